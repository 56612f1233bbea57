"""Random damage to every kind of file that strangers bring: `make fuzz MINUTES=10`."""

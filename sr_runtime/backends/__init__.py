"""The inference engines. `base.py` defines the interface, `registry.py` lists them."""

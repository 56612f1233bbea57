"""Real faults in real processes: what each command keeps, says and returns."""

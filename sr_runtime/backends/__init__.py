"""The inference engines. `base.py` is what each of them is, `registry.py` lists them."""

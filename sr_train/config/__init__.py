"""The configuration of a training run: its fields, its files and its checks."""

"""ESRGAN: its networks, its training in two stages, and the checkpoints of any trainer."""

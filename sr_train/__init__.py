"""Training: networks, losses, data, the two stages, and checkpoints of any trainer."""

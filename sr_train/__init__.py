"""The networks of ESRGAN, and the checkpoints of any trainer."""

"""The part of the CUDA driver that the backends need."""

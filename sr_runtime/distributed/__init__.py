"""Upscaling on many machines at once, by Ray: `python -m sr_runtime.distributed upscale …`.

Paths go to the workers and rows of a report come back. Pixels stay where they are made, but for
those of an image so large that several workers share it.
"""

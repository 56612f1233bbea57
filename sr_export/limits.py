"""The limits of the parity gate, which model cards quote: a file beyond them is not written."""

__all__ = [
    "FAR", "MAX_ACTIVATION", "MAX_FP32_ERROR", "MAX_SHARE_FAR", "MIN_PSNR", "SIZES",
    "WORSE_THAN_HALF",
]  # fmt: skip

# A common size, and an odd one that no kernel is made for.
SIZES = ((64, 64), (37, 53))
"""Height and width of the images on which a file is compared, where it takes them."""

MAX_FP32_ERROR = 1e-4
"""The largest difference that an FP32 file may have, where 1 is white."""

# What follows is for FP16 files.
MIN_PSNR = 45.0
WORSE_THAN_HALF = 10.0
"""How many dB a file may be worse than the network in true half, which also rounds the results of
its layers. Files of four networks were 4 to 19 dB better."""
FAR = 2 / 255
MAX_SHARE_FAR = 0.05
"""Share of the values that may differ by more than `FAR`."""
# FP16 ends at 65504. The margin is for images that are harder than the one measured.
MAX_ACTIVATION = 16_000.0
"""Largest value within the network."""

"""Images of 8 bits as floats, and back."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["Floats", "Pixels", "floats_of", "pixels_of"]

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
"""In [0, 1]; filters and resizing may overshoot."""


def floats_of(pixels: Pixels) -> Floats:
    """The same image as float32 in [0, 1]."""
    return np.divide(pixels, 255, dtype=np.float32)


def pixels_of(image: Floats) -> Pixels:
    """The same image, clipped and rounded."""
    scaled = np.multiply(image, 255, dtype=np.float32)
    return np.rint(scaled, out=scaled).clip(0, 255, out=scaled).astype(np.uint8)

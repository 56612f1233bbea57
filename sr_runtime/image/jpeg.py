"""JPEGs that lack nothing but the mark of their end, as some cameras and downloads leave them."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_runtime.image.bit_depth import file_bytes

__all__ = ["with_end_mark"]

END, SCAN = b"\xff\xd9", b"\xff\xda"
BASELINE, BASELINE_EXTENDED = 0xC0, 0xC1
FILLINGS = (b"", b"\x55" * 32, b"\xaa" * 32)


def with_end_mark(image: Image.Image) -> Image.Image:
    """`image`, or the same one with its end mark if that is all that a JPEG lacks.

    Nothing in the format tells a file that lacks pixels from one that lacks the mark. But where
    pixels are missing, they come out of whatever bytes follow: so some are appended, and the
    pictures are compared.
    """
    data = file_bytes(image) if image.format == "JPEG" else END
    if data.endswith(END) or data.rfind(END) > data.rfind(SCAN) or not _has_one_scan(data):
        return image
    data = data.removesuffix(b"\xff")
    try:
        first, *others = (_pixels(data + filling + END) for filling in FILLINGS)
    except (OSError, ValueError):
        return image
    if not all(np.array_equal(first, other) for other in others):
        return image
    return Image.open(io.BytesIO(data + END), formats=("JPEG",))


def _pixels(data: bytes) -> NDArray[Any]:
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        return np.asarray(image)


def _has_one_scan(data: bytes) -> bool:
    """Whether all components are in the first scan: a progressive file could lack the others."""
    place, components = 2, 0
    while place + 10 < len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker in (BASELINE, BASELINE_EXTENDED):
            components = data[place + 9]
        elif marker == SCAN[1]:
            return data[place + 4] == components
        place += 2 + int.from_bytes(data[place + 2 : place + 4])
    return False

"""TGA's alpha: its header and extension say whether there is any, and of which kind (TGA 2.0)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_runtime.image.bit_depth import file_bytes
from sr_runtime.image.pillow import pixels_of

__all__ = ["read_tga"]

DESCRIPTOR, ATTRIBUTES = 17, 494
FOOTER, MARK = 26, b"TRUEVISION-XFILE.\0"
PREMULTIPLIED = 4


def read_tga(image: Image.Image) -> tuple[NDArray[Any], bytes | None]:
    """As `pixels_of`, with alpha that is there and not premultiplied."""
    data = file_bytes(image)
    pixels, profile = pixels_of(image)
    if pixels.shape[2] not in (2, 4):
        return pixels, profile
    color, alpha = pixels[:, :, :-1], pixels[:, :, -1:]
    if _attributes(data) == PREMULTIPLIED:
        # Rounded, and what is wholly transparent stays as it is.
        divided = (color.astype(np.uint32) * 255 + alpha // 2) // np.maximum(alpha, 1)
        color = np.where(alpha == 0, color, divided.clip(max=255)).astype(np.uint8)
        return np.dstack([color, alpha]), profile
    has_no_alpha = data[DESCRIPTOR] & 0xF == 0 and not alpha.any()
    return (color if has_no_alpha else pixels), profile


def _attributes(data: bytes) -> int:
    """The type of alpha that an extension states; 0 without one."""
    footer = data[-FOOTER:]
    start = int.from_bytes(footer[:4], "little")
    stated = data[start + ATTRIBUTES :][:1] if footer.endswith(MARK) and start else b""
    return stated[0] if stated else 0

"""Opening an image file for what its header states, however large the image is."""

import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

__all__ = ["open_header"]


def open_header(file: BinaryIO, formats: Sequence[str]) -> Image.Image:
    """As `Image.open`, without its limit on pixels: none are decoded."""
    Image.init()
    file.seek(0)
    start = file.read(16)
    for name in formats:
        factory, accept = Image.OPEN[name]
        accepted = accept is None or accept(start)
        if accepted and not isinstance(accepted, str):  # a text says why not
            with suppress(SyntaxError, IndexError, TypeError, struct.error):
                file.seek(0)
                return factory(file, "")
    raise UnidentifiedImageError("no format of Pillow's")

"""HEIF of 10 and 12 bits, which Pillow cannot hold in colour: with the plug-in's own arrays."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_runtime.image.formats import load_plugin

__all__ = ["decode_heif"]


def decode_heif(data: bytes, bits: int) -> NDArray[Any]:
    """`(H, W, C)` uint16 of a file's main picture, of `bits` per channel; alpha not premultiplied.

    Raises ValueError and others, as Pillow does, if the file is damaged.
    """
    plugin = load_plugin("pillow_heif")
    file = plugin.open_heif(data, convert_hdr_to_8bit=False, hdr_to_16bit=False)
    values = np.asarray(file[file.primary_index])
    most = 2**bits - 1
    scaled: NDArray[Any] = (values.astype(np.uint32) * 65535 + most // 2) // most
    return scaled.astype(np.uint16).reshape(*scaled.shape[:2], -1)

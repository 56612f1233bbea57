"""Frames to RGB and back, with the matrix and the range that the video states.

The conversion is libswscale's. It takes everything for BT.601 that does not say otherwise, so each
frame gets its facts first. Rounding apart (one step of the video's own), both ways are exact; the
tests compare them with the equations of H.273.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sr_runtime.video.facts import FULL, VideoFacts

if TYPE_CHECKING:
    from av import VideoFrame

__all__ = ["FrameFromRgb", "RgbFromFrame"]

LIMITED = 1
# libswscale counts 16-bit RGB in 256ths of an 8-bit step, and has white at 255 of them.
WHITE = 255 << 8


class _Converter:
    """libswscale, set up for one video; for one thread at a time."""

    def __init__(self) -> None:
        from av.video.reformatter import Interpolation, VideoReformatter

        self._reformatter = VideoReformatter()
        self._flags = (
            Interpolation.BICUBIC
            | Interpolation.ACCURATE_RND
            | Interpolation.BITEXACT
            | Interpolation.FULL_CHR_H_INT
            | Interpolation.FULL_CHR_H_INP
        )

    def _convert(self, frame: "VideoFrame", pixels: str, color_range: int) -> "VideoFrame":
        return self._reformatter.reformat(
            frame, format=pixels, dst_color_range=color_range, interpolation=self._flags, threads=1
        )


class RgbFromFrame(_Converter):
    """Decoded frames as `(H, W, 3)` RGB: uint8, or uint16 for more than 8 bits."""

    def __init__(self, facts: VideoFacts) -> None:
        super().__init__()
        self._facts = facts

    def __call__(self, frame: "VideoFrame") -> NDArray[Any]:
        facts = self._facts
        if not frame.format.is_rgb:
            frame.colorspace = facts.matrix
            frame.color_range = FULL if facts.full_range else LIMITED
        if facts.depth == 8:
            return self._convert(frame, "rgb24", FULL).to_ndarray()
        rgb: NDArray[Any] = self._convert(frame, "rgb48le", FULL).to_ndarray()
        if not frame.format.is_rgb:
            if not facts.full_range:
                np.minimum(rgb, WHITE, out=rgb)
            rgb += rgb >> (facts.depth if facts.full_range else 8)
        return rgb


class FrameFromRgb(_Converter):
    """`(H, W, 3)` RGB as frames of a pixel format, with the colour facts of the video."""

    def __init__(self, facts: VideoFacts, pixels: str) -> None:
        super().__init__()
        self._facts = facts
        self._pixels = pixels

    def __call__(self, rgb: NDArray[Any]) -> "VideoFrame":
        from av import VideoFrame

        if rgb.dtype == np.uint8:
            frame = VideoFrame.from_numpy_buffer(rgb, format="rgb24")
        else:
            frame = VideoFrame.from_numpy_buffer(rgb - (rgb >> 8), format="rgb48le")
        frame.colorspace = self._facts.matrix
        frame.color_range = FULL
        result = self._convert(frame, self._pixels, FULL if self._facts.full_range else LIMITED)
        result.colorspace = self._facts.matrix
        result.color_primaries = self._facts.primaries
        result.color_trc = self._facts.transfer
        return result

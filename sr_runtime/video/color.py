"""Frames to RGB and back, by the equations of ITU-T H.273 with the video's own matrix and range.

libswscale only resamples the chroma: its RGB is up to 3 steps of 1023 off, and its full range up to
one step of 255.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sr_runtime.video.facts import (
    BT470BG,
    BT709,
    BT2020,
    FCC,
    FULL,
    LIMITED,
    SMPTE170M,
    SMPTE240M,
    VideoFacts,
)

if TYPE_CHECKING:
    from av import VideoFrame

__all__ = ["FrameFromRgb", "RgbFromFrame"]

WEIGHTS = {
    BT709: (0.2126, 0.0722),
    FCC: (0.30, 0.11),
    BT470BG: (0.299, 0.114),
    SMPTE170M: (0.299, 0.114),
    SMPTE240M: (0.212, 0.087),
    BT2020: (0.2627, 0.0593),
}
"""What red and blue contribute to luma, by the matrix's number; green is the rest."""

BLOCK = 1 << 15
"""Pixels that are converted at once, so that they stay in the processor's cache."""


class _Conversion:
    """The equations for one video, and libswscale for one thread at a time."""

    def __init__(self, facts: VideoFacts, depth: int) -> None:
        from av.video.reformatter import Interpolation, VideoReformatter

        self.red, self.blue = WEIGHTS[facts.matrix]
        self.range = FULL if facts.full_range else LIMITED
        step, self.most = 1 << (depth - 8), (1 << depth) - 1
        self.gray = 128 * step
        """The chroma of gray."""
        full = facts.full_range
        self.black, self.luma, self.chroma = (
            (0, self.most, self.most) if full else (16 * step, 219 * step, 224 * step)
        )
        self.white = 255 if facts.depth == 8 else 65535
        self.dtype: Any = np.uint8 if facts.depth == 8 else np.uint16
        self._reformatter = VideoReformatter()
        self._flags = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT

    def resampled(self, frame: "VideoFrame", pixels: str) -> "VideoFrame":
        """The frame in another pixel format of the same range."""
        return self._reformatter.reformat(
            frame, format=pixels, dst_color_range=self.range, interpolation=self._flags, threads=1
        )


class RgbFromFrame:
    """Decoded frames as `(H, W, 3)` RGB: uint8, or uint16 for more than 8 bits."""

    def __init__(self, facts: VideoFacts) -> None:
        self._facts = facts
        self._to = _Conversion(facts, facts.depth)
        self._suffix = "" if facts.depth == 8 else f"{facts.depth}le"

    def __call__(self, frame: "VideoFrame") -> NDArray[Any]:
        to = self._to
        if frame.format.is_rgb or frame.format.has_palette:
            planar: NDArray[Any] = to.resampled(frame, f"gbrp{self._suffix}").to_ndarray()
            if self._facts.depth in (8, 16):
                return planar
            scaled: NDArray[Any] = np.rint(planar * np.float32(to.white / to.most))
            return scaled.astype(to.dtype)
        frame.colorspace, frame.color_range = self._facts.matrix, to.range
        planes = _planes(to.resampled(frame, f"yuv444p{self._suffix}"))
        rgb = np.empty((*planes[0].shape, 3), to.dtype)
        for rows in _blocks(*planes[0].shape):
            samples = [plane[rows].astype(np.float32) for plane in planes]
            luma = (samples[0] - to.black) / to.luma
            red = luma + (samples[2] - to.gray) * ((2 - 2 * to.red) / to.chroma)
            blue = luma + (samples[1] - to.gray) * ((2 - 2 * to.blue) / to.chroma)
            green = (luma - to.red * red - to.blue * blue) / (1 - to.red - to.blue)
            for channel, values in enumerate((red, green, blue)):
                rgb[rows, :, channel] = np.rint(values.clip(0, 1) * to.white)
        return rgb


class FrameFromRgb:
    """`(H, W, 3)` RGB as frames of a pixel format, with the colour facts of the video."""

    def __init__(self, facts: VideoFacts, pixels: str) -> None:
        from av import VideoFormat

        self._facts = facts
        self._pixels = pixels
        depth = VideoFormat(pixels).components[0].bits
        self._to = _Conversion(facts, depth)
        self._whole = "yuv444p" if depth == 8 else f"yuv444p{depth}le"

    def __call__(self, rgb: NDArray[Any]) -> "VideoFrame":
        from av import VideoFrame

        to = self._to
        frame = VideoFrame(rgb.shape[1], rgb.shape[0], self._whole)
        planes = _planes(frame)
        luma_scale = np.float32(to.luma / to.white)
        blue_scale = np.float32(to.chroma / to.luma / (2 - 2 * to.blue))
        red_scale = np.float32(to.chroma / to.luma / (2 - 2 * to.red))
        # Half a step more, since integers are cut and not rounded.
        black, gray = np.float32(to.black + 0.5), np.float32(to.gray + 0.5)
        for rows in _blocks(*rgb.shape[:2]):
            red, green, blue = (rgb[rows, :, channel] * luma_scale for channel in range(3))
            luma = red * np.float32(to.red)
            luma += green * np.float32(1 - to.red - to.blue)
            luma += blue * np.float32(to.blue)
            blue -= luma
            blue *= blue_scale
            blue += gray
            red -= luma
            red *= red_scale
            red += gray
            luma += black
            # Full range has half a step more than the samples hold.
            planes[0][rows] = luma
            planes[1][rows] = np.minimum(blue, to.most, out=blue)
            planes[2][rows] = np.minimum(red, to.most, out=red)
        frame.colorspace, frame.color_range = self._facts.matrix, to.range
        result = to.resampled(frame, self._pixels)
        result.colorspace = self._facts.matrix
        result.color_primaries = self._facts.primaries
        result.color_trc = self._facts.transfer
        return result


def _planes(frame: "VideoFrame") -> list[NDArray[Any]]:
    """Views of the samples of a planar frame."""
    dtype: Any = np.uint8 if frame.format.components[0].bits == 8 else np.uint16
    return [
        np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)[:, : plane.width]
        for plane in frame.planes
    ]


def _blocks(height: int, width: int) -> Iterator[slice]:
    """The rows, some at a time."""
    rows = max(1, BLOCK // width)
    return (slice(row, row + rows) for row in range(0, height, rows))

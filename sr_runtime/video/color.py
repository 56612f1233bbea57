"""Frames to RGB and back, by the equations of ITU-T H.273 with the video's own matrix and range.

libswscale only resamples the chroma: its RGB is up to 3 steps of 1023 off, and its full range up to
one step of 255.
"""

from collections.abc import Iterator
from fractions import Fraction
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

BLOCK = 1 << 17
"""Pixels that are converted at once."""


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
        # Where there is no chroma, libswscale takes any range for the full one.
        pixels = "gray" if len(frame.format.components) == 1 else "yuv444p"
        planes = _planes(to.resampled(frame, f"{pixels}{self._suffix}"))
        rgb = np.empty((*planes[0].shape, 3), to.dtype)
        for rows in _blocks(*planes[0].shape):
            luma, *chroma = (plane[rows].astype(np.float32) for plane in planes)
            luma -= to.black
            luma *= to.white / to.luma
            for values, weight in zip(chroma, (to.blue, to.red), strict=False):
                values -= to.gray
                values *= (2 - 2 * weight) * to.white / to.chroma
                values += luma
            if chroma:
                luma -= to.blue * chroma[0]
                luma -= to.red * chroma[1]
                luma /= 1 - to.red - to.blue
            green = luma
            blue, red = chroma or (luma, luma)
            for channel, values in enumerate((red, green, blue)):
                np.clip(values, 0, to.white, out=values)
                rgb[rows, :, channel] = np.rint(values, out=values)
        return rgb


class FrameFromRgb:
    """`(H, W, 3)` RGB of one size as frames of a pixel format, with the colour facts of the video.

    One thread at a time may use it: it keeps its buffers.
    """

    def __init__(self, facts: VideoFacts, pixels: str) -> None:
        from av import VideoFormat

        self._facts = facts
        self._pixels = pixels
        depth = VideoFormat(pixels).components[0].bits
        self._to = _Conversion(facts, depth)
        self._whole = "yuv444p" if depth == 8 else f"yuv444p{depth}le"
        self._reused: VideoFrame | None = None
        self._scratch = np.empty((4, BLOCK), np.float32)

    def __call__(self, rgb: NDArray[Any]) -> "VideoFrame":
        frame = self._whole_frame(*rgb.shape[:2])
        self._write(rgb, _planes(frame))
        frame.colorspace, frame.color_range = self._facts.matrix, self._to.range
        result = self._to.resampled(frame, self._pixels)
        result.colorspace = self._facts.matrix
        result.color_primaries = self._facts.primaries
        result.color_trc = self._facts.transfer
        return result

    def _whole_frame(self, height: int, width: int) -> "VideoFrame":
        """A frame without subsampling: a new one if the encoder gets it, else the same again."""
        from av import VideoFrame

        if self._pixels == self._whole:
            return VideoFrame(width, height, self._whole)
        if self._reused is None:
            self._reused = _sited(VideoFrame(width, height, self._whole))
        return self._reused

    def _write(self, rgb: NDArray[Any], planes: list[NDArray[Any]]) -> None:
        """Y, Cb and Cr of the colours into `planes`.

        Few operations on many pixels each: threads that run numpy wait for each other in between.
        """
        to = self._to
        scale = np.float32(to.luma / to.white)
        weights = [np.float32(weight) for weight in (to.red, to.blue)]
        green_weight = np.float32(1 - to.red - to.blue) * scale
        chroma_scales = [
            np.float32(to.chroma / to.luma / (2 - 2 * weight)) for weight in (to.red, to.blue)
        ]
        # Half a step more, since integers are cut and not rounded.
        black, gray = np.float32(to.black + 0.5), np.float32(to.gray + 0.5)
        for rows in _blocks(*rgb.shape[:2]):
            block = rgb[rows]
            scratch = self._scratch[:, : block[:, :, 0].size].reshape(4, *block.shape[:2])
            np.copyto(scratch[:3], block.transpose(2, 0, 1))
            red, luma, blue, product = scratch
            luma *= green_weight
            for values, weight in zip((red, blue), weights, strict=True):
                values *= scale
                luma += np.multiply(values, weight, out=product)
            for values, chroma_scale in zip((red, blue), chroma_scales, strict=True):
                values -= luma
                values *= chroma_scale
                values += gray
                if self._facts.full_range:  # which has half a step more than the samples hold
                    np.minimum(values, to.most, out=values)
            luma += black
            for plane, values in zip(planes, (luma, blue, red), strict=True):
                plane[rows] = values


def _sited(frame: "VideoFrame") -> "VideoFrame":
    """The same, whose chroma is resampled to where players expect it: at the left pixel of two.

    Without a statement libswscale puts it between both.
    """
    from av.filter import Graph

    graph = Graph()
    graph.link_nodes(
        graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1)
        ),
        graph.add("setparams", "chroma_location=left"),
        graph.add("buffersink"),
    ).configure()
    graph.vpush(frame)
    sited: VideoFrame = graph.vpull()
    return sited


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

"""Videos that tests make, and what is in a video."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sr_runtime.backends.base import Limits
from sr_runtime.upscaler import Upscaler
from tests.runtime.known_network import KnownNetwork

av = pytest.importorskip("av")  # without it, whatever imports this file is skipped

WIDTH, HEIGHT = 32, 24

ASS = b"""[Script Info]
ScriptType: v4.00+
[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour
Style: Default,Arial,16,&Hffffff
[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


def pattern(number: int, height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    """A frame that tells its number, and smooth, so that codecs keep it."""
    y, x = np.mgrid[0:height, 0:width]
    red, green, blue = 4 * x + 3 * number, 200 - 4 * y, 60 + x + y + 5 * number
    return np.stack([red, green, blue], axis=2).clip(20, 230).astype(np.uint8)


@dataclass(kw_only=True)
class Clip:
    """A video to be made, of RGB arrays or of frames."""

    frames: Sequence[Any] = field(default_factory=lambda: [pattern(n) for n in range(12)])
    pts: Sequence[int] | None = None
    codec: str = "ffv1"
    pixels: str = "yuv444p"
    time_base: Fraction = Fraction(1, 12_800)
    rate: Fraction = Fraction(25)
    options: dict[str, str] = field(default_factory=dict)
    context: dict[str, Any] = field(default_factory=dict)
    """Attributes of the encoder's context."""
    metadata: dict[str, str] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    """Metadata of the stream."""
    chapters: list[Any] = field(default_factory=list)
    sound: str | None = None
    silence: int = 0
    """Seconds by which the sound is longer than the picture."""
    subtitles: str | None = None
    rotation: float | None = None
    prepare: Callable[[Any], None] | None = None
    """Called with each frame before it is encoded."""

    def write(self, path: Path) -> Path:
        """Make the file; the container follows the suffix."""
        first = self.frames[0]
        size = (first.height, first.width) if hasattr(first, "planes") else first.shape[:2]
        with av.open(str(path), "w") as file:
            file.metadata.update(self.metadata)
            file.set_chapters(self.chapters)
            video: Any = file.add_stream(
                self.codec, rate=self.rate, time_base=self.time_base, options=self.options,
                height=size[0], width=size[1],
            )  # fmt: skip
            video.pix_fmt = self.pixels
            for name, value in self.context.items():
                setattr(video.codec_context, name, value)
            video.metadata.update(self.facts)
            if self.rotation is not None:
                video.set_display_rotation(self.rotation)
            sound: Any = file.add_stream(self.sound, rate=48_000) if self.sound else None
            if sound:
                sound.metadata["language"] = "deu"
            texts: Any = file.add_stream(self.subtitles) if self.subtitles else None
            if texts:
                texts.codec_context.subtitle_header = ASS
            file.start_encoding()
            for number, pixels in enumerate(self.frames):
                frame = pixels if isinstance(pixels, av.VideoFrame) else _frame(pixels, self)
                step = round(1 / (self.rate * self.time_base))
                frame.pts = number * step if self.pts is None else self.pts[number]
                frame.time_base = self.time_base
                if self.prepare is not None:
                    self.prepare(frame)
                file.mux(video.encode(frame))
            file.mux(video.encode())
            if sound:
                _add_sound(file, sound, seconds=len(self.frames) / self.rate + self.silence)
            if texts:
                packet = av.Packet(b"\x00\x05Hello" if self.subtitles == "mov_text" else b"Hello")
                packet.stream, packet.time_base = texts, Fraction(1, 1000)
                packet.pts = packet.dts = 40
                packet.duration = 200
                file.mux(packet)
        return path


def _frame(pixels: NDArray[Any], clip: Clip) -> Any:
    kind = "rgb24" if pixels.dtype == np.uint8 else "rgb48le"
    frame = av.VideoFrame.from_ndarray(pixels, format=kind)
    matrix = clip.context.get("colorspace", 6)
    frame.colorspace, frame.color_range = matrix, 2
    result = frame.reformat(format=clip.pixels, dst_color_range=clip.context.get("color_range", 1))
    result.colorspace = matrix
    return result


def _add_sound(file: Any, stream: Any, seconds: Fraction) -> None:
    samples = np.sin(np.arange(int(seconds * 48_000)) / 20).astype(np.float32)
    for start in range(0, len(samples) - 1023, 1024):
        block = np.stack([samples[start : start + 1024]] * 2)
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, start, Fraction(1, 48_000)
        file.mux(stream.encode(frame))
    file.mux(stream.encode())


def frames_of(path: Path) -> list[Any]:
    """Every decoded frame."""
    with av.open(str(path)) as file:
        return list(file.decode(video=0))


def times_of(path: Path) -> list[Fraction]:
    """When each frame is shown, in seconds."""
    return [frame.pts * frame.time_base for frame in frames_of(path)]


def packets_of(path: Path, kind: str) -> list[tuple[Fraction, bytes]]:
    """The time and the bytes of each packet of the first stream of a kind."""
    with av.open(str(path)) as file:
        stream = next(each for each in file.streams if each.type == kind)
        return [
            (packet.pts * packet.time_base, bytes(packet))
            for packet in file.demux(stream)
            if packet.pts is not None and packet.size
        ]


class NearestNetwork(KnownNetwork):
    """Repeats each pixel: the result's colours are the source's, to the last bit."""

    def answer(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        scale = self.info.scale
        return batch.repeat(scale, axis=2).repeat(scale, axis=3)


def nearest_upscaler(*, scale: int = 2) -> Upscaler:
    """Each pixel repeated."""
    return Upscaler(NearestNetwork(radius=0, scale=scale, limits=Limits(depth=2)))


def planes_of(frame: Any) -> list[NDArray[Any]]:
    """The samples of a planar frame."""
    dtype = np.uint8 if frame.format.components[0].bits == 8 else np.uint16
    return [
        np.frombuffer(plane, dtype).reshape(plane.height, -1)[:, : plane.width]
        for plane in frame.planes
    ]


def frame_of_planes(planes: Sequence[NDArray[Any]], pixels: str) -> Any:
    """A planar frame with these samples."""
    frame = av.VideoFrame(planes[0].shape[1], planes[0].shape[0], pixels)
    for plane, samples in zip(frame.planes, planes, strict=True):
        rows = np.frombuffer(plane, samples.dtype).reshape(plane.height, -1).copy()
        rows[:, : plane.width] = samples
        plane.update(rows)
    return frame


def known_upscaler(*, scale: int = 2, images: int = 1) -> Upscaler:
    """A network whose results are known exactly."""
    return Upscaler(KnownNetwork(radius=1, scale=scale, limits=Limits(depth=2, images=images)))

"""Frames into the file of a segment, by an encoder of its own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr_runtime.errors import ArgumentError, StorageError
from sr_runtime.video.facts import FULL, LIMITED, VideoFacts
from sr_runtime.video.formats import CODECS, ENCODERS, Codec

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import OutputContainer
    from av.video.stream import VideoStream

__all__ = ["Encoding", "SegmentFile", "Timing", "add_encoder", "encoding_for", "writing"]


LONGEST = 250
"""Frames after which there is a keyframe at the latest, to which players jump."""


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How the frames of the result are encoded."""

    codec: Codec
    crf: int | None
    pixels: str
    """FFmpeg's name of the pixel format."""
    height: int
    width: int

    def options(self) -> dict[str, str]:
        """The encoder's options."""
        options = dict(ENCODERS[self.codec].options)
        if "420" in self.pixels:
            options["chroma_sample_location"] = "left"
        if self.crf is not None:
            options["crf"] = str(self.crf)
        return options


@dataclass(frozen=True)
class Timing:
    """When the packets of a segment are shown."""

    pts: list[int]
    """In the order in which they are decoded."""
    end: int
    """When the last frame ends."""


def encoding_for(
    facts: VideoFacts, codec: Codec, crf: int | None, *, height: int, width: int
) -> Encoding:
    """How a result of `height` × `width` is encoded, cut to the even sides that its colour needs.

    Raises:
        ArgumentError: `crf` is out of range, or the codec cannot hold these samples.
    """
    import av

    encoder = ENCODERS[codec]
    if crf is not None and encoder.crf is None:
        raise ArgumentError(
            f"crf {crf} is for codecs with loss, and {codec} has none: leave it out"
        )
    if crf is not None and not 0 <= crf <= encoder.largest_crf:
        raise ArgumentError(
            f"crf {crf} is out of range: {codec} takes 0 (best) to {encoder.largest_crf}"
        )
    known = {each.name for each in av.Codec(encoder.name, "w").video_formats or ()}
    pixels = _pixels(facts, known)
    if pixels is None:
        able = [each for each in CODECS if _can_hold(facts, each)]
        raise ArgumentError(
            f"{codec} cannot hold this video's samples ({facts.depth} bits, {facts.chroma}): take "
            f"{' or '.join(able)}"
        )
    across, down = {"420": (2, 2), "422": (2, 1), "444": (1, 1)}[facts.chroma]
    return Encoding(
        codec=codec,
        crf=encoder.crf if crf is None else crf,
        pixels=pixels,
        height=max(down, height - height % down),
        width=max(across, width - width % across),
    )


def _can_hold(facts: VideoFacts, codec: Codec) -> bool:
    import av

    formats = av.Codec(ENCODERS[codec].name, "w").video_formats or ()
    return _pixels(facts, {each.name for each in formats}) is not None


def _pixels(facts: VideoFacts, known: set[str]) -> str | None:
    """The format with the same subsampling and no fewer bits, of those that an encoder knows."""
    for depth in (8, 10, 12, 16):
        name = f"yuv{facts.chroma}p{'' if depth == 8 else f'{depth}le'}"
        if depth >= facts.depth and name in known:
            return name
    return None


def add_encoder(
    container: "OutputContainer", facts: VideoFacts, encoding: Encoding
) -> "VideoStream":
    """Add the stream of the result to a file."""
    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 prints all but errors unless it reads this
    encoder = ENCODERS[encoding.codec]
    stream: Any = container.add_stream(
        encoder.name,
        rate=facts.rate.limit_denominator(1 << 16),
        options=encoding.options(),
        width=encoding.width,
        height=encoding.height,
        time_base=facts.time_base,
    )
    context: Any = stream.codec_context
    context.pix_fmt = encoding.pixels
    context.gop_size = LONGEST
    if encoder.frames is not None:
        context.thread_type, context.thread_count = "FRAME", encoder.frames
    context.sample_aspect_ratio = facts.pixel_aspect or Fraction(0, 1)
    context.colorspace = facts.matrix
    context.color_range = FULL if facts.full_range else LIMITED
    context.color_primaries, context.color_trc = facts.primaries, facts.transfer
    return stream  # type: ignore[no-any-return]


class SegmentFile:
    """A segment that is being encoded, into a Matroska file: any player takes it, any codec fits.

    Matroska rounds times to milliseconds, so the exact ones are kept beside it (`Timing`).
    """

    def __init__(self, path: Path, facts: VideoFacts, encoding: Encoding) -> None:
        import av

        self.path = path
        self._facts = facts
        self._pts: list[int] = []
        self._end = 0
        with writing(path):
            self._container = av.open(f"file:{path}", "w", format="matroska",
                                      options={"fflags": "bitexact"})  # fmt: skip
            self._stream = add_encoder(self._container, facts, encoding)

    def add(self, frame: "VideoFrame", pts: int, duration: int) -> None:
        """Encode the next frame."""
        frame.pts, frame.time_base, frame.duration = pts, self._facts.time_base, duration
        self._end = pts + duration
        self._mux(frame)

    def finish(self) -> None:
        """Encode what the encoder still holds, and close the file."""
        self._mux(None)
        with writing(self.path):
            self._container.close()

    @property
    def timing(self) -> Timing:
        """When its packets are shown, once it is finished."""
        return Timing(self._pts, self._end)

    def _mux(self, frame: "VideoFrame | None") -> None:
        with writing(self.path):
            for packet in self._stream.encode(frame):
                assert packet.pts is not None
                self._pts.append(packet.pts)
                # x265 states any decoding time for the last of a few frames, and FFmpeg refuses
                # those after the showing time. Matroska stores none.
                packet.dts = self._pts[0]
                self._container.mux(packet)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise StorageError where FFmpeg cannot write the file `path`."""
    import av

    try:
        yield
    except av.error.FFmpegError as error:
        raise StorageError(f"cannot be written ({error.strerror})", path=path) from error

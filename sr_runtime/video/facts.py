"""What a video is: the facts that the result keeps, and what is refused before the work."""

import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sr_runtime.errors import ImageError, about, require_extra
from sr_runtime.image import DEFAULT_MAX_PIXELS
from sr_runtime.video.formats import DEMUXERS

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.format import VideoFormat
    from av.video.stream import VideoStream

__all__ = ["DEINTERLACE", "VideoFacts", "opened", "picture_stream", "read_facts"]

Chroma = Literal["420", "422", "444"]

# How far colour is subsampled across and down, and the least subsampling that loses nothing of it.
CHROMA: dict[tuple[int, int], Chroma] = {
    (1, 1): "444", (2, 1): "422", (2, 2): "420", (4, 1): "422", (4, 4): "420", (1, 2): "444",
}  # fmt: skip

BT709, UNSPECIFIED, FCC, BT470BG, SMPTE170M, SMPTE240M, BT2020 = 1, 2, 4, 5, 6, 7, 9
MATRICES = (BT709, FCC, BT470BG, SMPTE170M, SMPTE240M, BT2020)
"""Those of ITU-T H.273 that are weights of red, green and blue."""
LIMITED, FULL = 1, 2
"""FFmpeg's numbers of the ranges."""
HD_LINES, HD_COLUMNS = 720, 1280
"""From here on players take colours without a stated matrix for BT.709, and below for BT.601."""

INTERLACED = range(2, 6)
"""FFmpeg's field orders that are not progressive (1) or unknown (0)."""
DEINTERLACE = (
    "this video is interlaced, and its half pictures would be upscaled as if they were whole: "
    "make pictures of them with --deinterlace"
)


@dataclass(frozen=True, kw_only=True)
class VideoFacts:
    """The facts of the first video stream."""

    height: int
    width: int
    """Both as the pixels are stored: a rotation is a fact beside them."""
    chroma: Chroma
    depth: int
    """Bits of a sample."""
    matrix: int
    """How YUV was made of RGB, by H.273; where the file does not say, what players assume."""
    full_range: bool
    """Black is 0, and not 16 of 255."""
    primaries: int
    transfer: int
    """Both by H.273; 2 where the file does not say."""
    pixel_aspect: Fraction | None
    """Width over height of a pixel."""
    display_matrix: tuple[int, ...] | None
    """How the picture is rotated or mirrored when it is shown."""
    time_base: Fraction
    """Seconds of a tick of the timestamps."""
    rate: Fraction
    """Frames a second, on average."""
    start: Fraction
    """Seconds at which the file starts; the result starts at 0."""
    seconds: float | None
    """How long the file says it is."""
    interlaced: bool

    @property
    def frames(self) -> int | None:
        """About how many frames there are."""
        return None if self.seconds is None else max(1, round(self.seconds * self.rate))


@contextmanager
def opened(path: Path) -> "Iterator[InputContainer]":
    """A video file; ImageError if it is none, or damaged where its streams are described."""
    with require_extra("video", raising=ImageError):
        import av
    try:
        # `file:`: a name with a colon is no address.
        container = av.open(
            f"file:{path}", metadata_errors="replace", options={"format_whitelist": DEMUXERS}
        )
    except (av.error.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageError(f"cannot be read as a video ({reason})", path=path) from error
    with container, about(path):
        yield container


def picture_stream(container: "InputContainer") -> "VideoStream":
    """The stream that is upscaled: the first one that is no cover picture."""
    from av.stream import Disposition

    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            if stream.codec_context is None:
                raise ImageError(
                    "the codec of this video is not known here, or its header is damaged: convert "
                    "it first"
                )
            return stream
    raise ImageError("there is no video in this file")


def read_facts(path: Path, *, max_pixels: int | None = None) -> VideoFacts:
    """Read the facts of a video, and decode its first frame for those that only frames have.

    Args:
        max_pixels: Refuse frames of more pixels; None: of more than `DEFAULT_MAX_PIXELS`.

    Raises:
        ImageError: It cannot be read, is too large, or has what would not become right:
            transparency, Dolby Vision, a matrix that is no matrix.
    """
    with opened(path) as container:
        stream = picture_stream(container)
        width, height = stream.codec_context.width, stream.codec_context.height
        limit = DEFAULT_MAX_PIXELS if max_pixels is None else max_pixels
        if height * width > limit:
            raise ImageError(
                f"its frames have {width}×{height} pixels, more than the limit of {limit}: "
                "raise it with --max-pixels (in Python: max_pixels)"
            )
        frame = _first_frame(container, stream)
        chroma, depth = _samples(frame.format)
        is_rgb = frame.format.is_rgb or frame.format.has_palette
        every: Any = frame.side_data  # its stub says that it is a dict
        side_data = {each.type.name: bytes(each) for each in every}
        if any(name.startswith("DOVI") for name in side_data):
            raise ImageError(
                "this is Dolby Vision, whose colours only its own converters know: convert it to "
                "HDR10 first"
            )
        return VideoFacts(
            height=frame.height,
            width=frame.width,
            chroma=chroma,
            depth=depth,
            matrix=BT709 if is_rgb else _matrix(frame),
            full_range=not is_rgb and _is_full_range(frame),
            primaries=frame.color_primaries,
            transfer=frame.color_trc,
            pixel_aspect=stream.sample_aspect_ratio or None,
            display_matrix=_display_matrix(side_data.get("DISPLAYMATRIX")),
            time_base=stream.time_base or Fraction(1, 90_000),
            rate=stream.average_rate or stream.guessed_rate or Fraction(25),
            start=Fraction(max(0, container.start_time or 0), 1_000_000),
            seconds=_seconds(container, stream),
            interlaced=stream.codec_context.field_order in INTERLACED or frame.interlaced_frame,
        )


def _first_frame(container: "InputContainer", stream: "VideoStream") -> "VideoFrame":
    import av

    try:
        return next(container.decode(stream))
    except (StopIteration, av.error.FFmpegError) as error:
        raise ImageError("no frame of this video can be decoded: it is damaged") from error


def _samples(pixels: "VideoFormat") -> tuple[Chroma, int]:
    """How the samples are stored; ImageError for those that are not upscaled."""
    if any(component.is_alpha for component in pixels.components) and not pixels.has_palette:
        raise ImageError(
            f"this video has transparency ({pixels.name}), which is not upscaled: convert it to "
            "one without, or to a folder of images"
        )
    depth = 8 if pixels.has_palette else max(each.bits for each in pixels.components)
    if depth > 16:
        raise ImageError(f"its samples have {depth} bits ({pixels.name}), and 16 are the most")
    across, down = (
        64 // max(1, size) for size in (pixels.chroma_width(64), pixels.chroma_height(64))
    )
    if pixels.is_rgb or pixels.has_palette:
        return "444", max(8, depth)
    return CHROMA.get((across, down), "444") if len(pixels.components) > 1 else "420", max(8, depth)


def _matrix(frame: "VideoFrame") -> int:
    if frame.colorspace == UNSPECIFIED:
        large = frame.height >= HD_LINES or frame.width >= HD_COLUMNS
        return BT709 if large else SMPTE170M
    if frame.colorspace not in MATRICES:
        raise ImageError(
            f"the colours of this video are stored in a way that is not read (matrix "
            f"{frame.colorspace} of H.273): convert it to BT.709 or BT.2020 first"
        )
    return frame.colorspace


def _is_full_range(frame: "VideoFrame") -> bool:
    """As FFmpeg takes it where the file does not say: gray has the full range, and YUV not."""
    if len(frame.format.components) == 1:
        return frame.color_range != LIMITED
    return frame.color_range == FULL


def _display_matrix(data: bytes | None) -> tuple[int, ...] | None:
    return None if data is None else struct.unpack("=9i", data)


def _seconds(container: "InputContainer", stream: "VideoStream") -> float | None:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    # Matroska's header says how long the longest stream is, which may be the sound.
    if stated := re.fullmatch(r"(\d+):(\d+):([\d.]+)", stream.metadata.get("DURATION", "")):
        hours, minutes, seconds = stated.groups()
        return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    duration: Any = container.duration
    return duration / 1e6 if duration and duration > 0 else None

"""Pictures in memory: pixels and metadata, checked when they are made."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

from numpy.typing import NDArray

from sr_runtime.errors import ArgumentError
from sr_runtime.frame import frame_from_array
from sr_runtime.image.png import is_text

__all__ = ["LARGEST_DPI", "MOST_PLAYS", "Picture", "pixels_text", "rounded_durations"]

LARGEST_DPI = 65535
"""What all formats can hold."""

MOST_PLAYS = 65535
"""What WebP can state."""

EXIF_STARTS = (b"Exif\0\0", b"II*\0", b"MM\0*")


# Arrays compare elementwise, so pictures compare by identity.
@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """What an image file holds: pixels as the network takes them, and metadata.

    Raises ArgumentError, when it is made, for what no image is or has.
    """

    frames: tuple[NDArray[Any], ...]
    """Each `(H, W, C)` uint8, uint16, or float32 in [0, 1] (no file holds that), C being 1 (gray),
    2 (gray, alpha), 3 (RGB) or 4 (RGBA); one for a still, several of one shape for an animation."""
    durations: tuple[int, ...] = ()
    """Milliseconds per frame; empty for a still."""
    loop: int | None = None
    """How many times an animation plays; 0: for ever; None: not stated, which means once."""
    icc_profile: bytes | None = None
    """The profile of the frames' gray or RGB values; None means sRGB."""
    exif: bytes | None = None
    """Descriptive tags; `read` has applied the orientation and removed it."""
    dpi: tuple[float, float] | None = None
    """Dots per inch, horizontally and vertically."""
    xmp: bytes | None = None
    """An XMP packet, without what describes the old file."""
    iptc: bytes | None = None
    """IPTC-IIM, as a newspaper's TIFF or JPEG holds it."""
    png_text: tuple[tuple[bytes, bytes], ...] = ()
    """Text chunks of a PNG as they lie in the file: a name (tEXt, zTXt, iTXt) and the content. The
    comment of a JPEG or GIF is the one whose keyword is Comment."""
    pages: "tuple[Picture, ...]" = ()
    """The second and further pages of a TIFF, whose sizes and kinds may differ."""

    def __post_init__(self) -> None:
        frames = tuple(frame_from_array(frame) for frame in _sequence("frames", self.frames))
        object.__setattr__(self, "frames", frames)
        kinds = {(frame.shape, frame.dtype) for frame in frames}
        if len(kinds) != 1:
            raise ArgumentError(
                f"the frames of a picture are one or more of one shape and type, and these are "
                f"of {len(kinds)}: make a picture of each"
            )
        _check_metadata(self)

    @property
    def nbytes(self) -> int:
        """The memory that the pixels of all frames and pages take."""
        return sum(frame.nbytes for frame in self.frames) + sum(page.nbytes for page in self.pages)


def _sequence(name: str, value: object) -> Sequence[Any]:
    if not isinstance(value, tuple | list):
        raise ArgumentError(f"{name} of a picture is a tuple, and this is {type(value).__name__}")
    return value


def _check_metadata(picture: Picture) -> None:
    """Raise ArgumentError for metadata that no format could hold."""
    for duration in _sequence("durations", picture.durations):
        if not isinstance(duration, int):
            raise ArgumentError(f"a frame is shown for whole milliseconds, and not for {duration}")
    if not _is_play_count(picture.loop):
        raise ArgumentError(
            f"it plays {picture.loop!r} times: give at most {MOST_PLAYS}, 0 for ever, or None for "
            "once"
        )
    for name in ("icc_profile", "exif", "xmp", "iptc"):
        value = getattr(picture, name)
        if not isinstance(value, bytes | None):
            raise ArgumentError(f"{name} of a picture is bytes, and this is {type(value).__name__}")
    if picture.exif and not picture.exif.startswith(EXIF_STARTS):
        raise ArgumentError(
            f"exif begins with {picture.exif[:6]!r}, which EXIF does not: give what Pillow's "
            "getexif().tobytes() returns"
        )
    if picture.dpi is not None and not _is_resolution(picture.dpi):
        raise ArgumentError(
            f"dpi is {picture.dpi!r}: give two numbers above 0, at most {LARGEST_DPI}, for across "
            "and down"
        )
    for chunk in _sequence("png_text", picture.png_text):
        if not (isinstance(chunk, tuple | list) and len(chunk) == 2 and is_text(*chunk)):
            raise ArgumentError(
                f"{chunk!r:.80} is no text of a PNG: give the name tEXt, zTXt or iTXt, and a "
                "keyword of 1 to 79 bytes, a zero byte and the text, both as bytes"
            )
    for page in _sequence("pages", picture.pages):
        if not isinstance(page, Picture):
            raise ArgumentError(f"a page of a picture is a Picture, not {type(page).__name__}")


def _is_play_count(value: object) -> bool:
    return value is None or (isinstance(value, int) and 0 <= value <= MOST_PLAYS)


def _is_resolution(value: object) -> bool:
    match value:
        case (int() | float() as x, int() | float() as y):
            return 0 < x <= LARGEST_DPI and 0 < y <= LARGEST_DPI
    return False


def rounded_durations(durations: Sequence[float], step: int) -> tuple[int, ...]:
    """`durations` as multiples of `step` that never drift from them by more than half a step."""
    ends = [step * round(end / step) for end in accumulate(durations, initial=0)]
    return tuple(end - start for start, end in pairwise(ends))


def pixels_text(height: int, width: int, frames: int) -> str:
    """The size of an image or animation, for a message."""
    return f"{width} × {height} pixels" + (f" × {frames} frames" if frames > 1 else "")

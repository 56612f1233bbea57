"""Which videos are read, and what a result can be: its container, codec and pixel format."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from sr_runtime.errors import ArgumentError

__all__ = [
    "CODECS",
    "CONTAINERS",
    "DEMUXERS",
    "ENCODERS",
    "Codec",
    "Encoder",
    "container_of",
]

CONTAINERS: Mapping[str, str] = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
}
"""What can be written: FFmpeg's name of the container, by the file's suffix."""

DEMUXERS = "mov,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg"
"""The only formats that FFmpeg may take a file for: its lists of files, such as HLS and concat,
would open other files and addresses that a stranger's file names."""

Codec = Literal["h264", "hevc", "av1", "ffv1"]
CODECS = get_args(Codec)


@dataclass(frozen=True)
class Encoder:
    """How a codec is written."""

    name: str
    """FFmpeg's name of the encoder."""
    crf: int | None
    """The default; None: it is lossless."""
    largest_crf: int = 51
    options: Mapping[str, str] = field(default_factory=dict)
    frames: int | None = None
    """How many it encodes at once; None: it shares each frame among all cores instead."""


# The presets leave the processor to inference: `python -m benchmarks.video` measures it. A resumed
# run must give the bytes that one in one piece gives; with mbtree, two runs of x264 may differ.
# The bytes also depend on how many frames x264 and x265 encode at once, so it is not the number of
# cores. Up to five, x264's files have the size of those of one; slices for 16 cores add 10 %.
ENCODERS: Mapping[Codec, Encoder] = {
    "h264": Encoder(
        "libx264", crf=17, frames=5, options={"preset": "veryfast", "x264-params": "mbtree=0"}
    ),
    "hevc": Encoder(
        "libx265",
        crf=20,
        frames=5,
        options={"preset": "superfast", "x265-params": "log-level=none"},
    ),
    "av1": Encoder("libsvtav1", crf=24, largest_crf=63, options={"preset": "8"}),
    "ffv1": Encoder("ffv1", crf=None, options={"level": "3", "slices": "12", "slicecrc": "1"}),
}


def container_of(target: Path) -> str:
    """FFmpeg's name of the container of a result; ArgumentError if it cannot be written."""
    container = CONTAINERS.get(target.suffix.lower())
    if container is None:
        known = ", ".join(CONTAINERS)
        raise ArgumentError(f"a video is written as {known}: give the result one of these suffixes",
                            path=target)  # fmt: skip
    return container

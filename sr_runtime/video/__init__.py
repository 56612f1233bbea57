"""Videos: every frame upscaled, and all else that the file holds kept. Needs the extra `video`.

import sr_runtime
from sr_runtime.video import upscale_video

with sr_runtime.load() as upscaler:
    upscale_video(upscaler, "clip.mp4", "clip_x4.mp4")
"""

from typing import TYPE_CHECKING

from sr_runtime.lazy import imported_at_first_use
from sr_runtime.video.formats import (
    CODECS,
    CONTAINERS,
    ENCODERS,
    VIDEO_SUFFIXES,
    Codec,
    container_of,
)

if TYPE_CHECKING:
    from sr_runtime.video.facts import VideoFacts, read_facts
    from sr_runtime.video.upscale import UpscaledVideo, partial_file, upscale_video
else:
    __getattr__ = imported_at_first_use(
        __name__,
        {
            "UpscaledVideo": "sr_runtime.video.upscale",
            "VideoFacts": "sr_runtime.video.facts",
            "partial_file": "sr_runtime.video.upscale",
            "read_facts": "sr_runtime.video.facts",
            "upscale_video": "sr_runtime.video.upscale",
        },
    )

__all__ = [
    "CODECS",
    "CONTAINERS",
    "ENCODERS",
    "VIDEO_SUFFIXES",
    "Codec",
    "UpscaledVideo",
    "VideoFacts",
    "container_of",
    "partial_file",
    "read_facts",
    "upscale_video",
]

"""Videos: every frame upscaled, and all else that the file holds kept. Needs the extra `video`.

import sr_runtime
from sr_runtime.video import upscale_video

with sr_runtime.load() as upscaler:
    upscale_video(upscaler, "clip.mp4", "clip_x4.mp4")
"""

from typing import TYPE_CHECKING

from sr_runtime.lazy import imported_at_first_use

if TYPE_CHECKING:
    from sr_runtime.video.upscale import UpscaledVideo, partial_file, upscale_video
else:
    __getattr__ = imported_at_first_use(
        __name__,
        dict.fromkeys(
            ["UpscaledVideo", "partial_file", "upscale_video"], "sr_runtime.video.upscale"
        ),
    )

__all__ = ["UpscaledVideo", "partial_file", "upscale_video"]

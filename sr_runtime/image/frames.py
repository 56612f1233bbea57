"""The frames of an animated file, composited, and how they are played."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_runtime.errors import ImageError
from sr_runtime.image.bit_depth import file_bytes
from sr_runtime.image.composition import Region, drawn, gif_regions, png_regions
from sr_runtime.image.picture import MOST_PLAYS, pixels_text, rounded_durations

__all__ = ["check_size", "is_part_of_its_canvas", "play_count", "read_frames"]


def read_frames(
    image: Image.Image, indices: Sequence[int], max_pixels: int
) -> tuple[list[NDArray[Any]], tuple[int, ...]]:
    """Composited frames, RGBA if any pixel of any frame is transparent, and their durations."""
    frames: list[NDArray[Any]] = []
    durations: list[float] = []
    if image.format in ("PNG", "GIF"):
        regions = _regions(image, len(indices), max_pixels)
        frames += drawn(regions, image.height, image.width)
        durations += [region.duration for region in regions]
    else:
        if image.format == "WEBP":
            # Without the file's alpha flag, Pillow shows black where no frame covers the canvas.
            image.rawmode = image._mode = "RGBA"  # type: ignore[attr-defined]
        for index in indices:
            image.seek(index)
            frames.append(np.asarray(image.convert("RGBA")))
            durations.append(image.info.get("duration", 0))
    if all((frame[:, :, 3] == 255).all() for frame in frames):
        frames = [frame[:, :, :3] for frame in frames]
    return frames, rounded_durations(durations, 1) if len(frames) > 1 else ()


def is_part_of_its_canvas(image: Image.Image) -> bool:
    """Whether a PNG or GIF of one frame shows something else than Pillow's first frame."""
    if image.format == "GIF":
        frame = next(gif_regions(file_bytes(image)), None)
        return frame is not None and (frame.width, frame.height) != image.size
    return getattr(image, "default_image", False)


def play_count(image: Image.Image) -> int | None:
    """`Picture.loop`."""
    loop: int | None = image.info.get("loop")
    if loop and image.format == "GIF":
        loop += 1  # a GIF states the repetitions after the first time
    return loop and min(loop, MOST_PLAYS)


def check_size(width: int, height: int, frames: int, max_pixels: int) -> None:
    """Raise ImageError for more pixels than the limit."""
    if width * height * frames > max_pixels:
        raise ImageError(
            f"{pixels_text(height, width, frames)} are more than the limit of "
            f"{max_pixels}: raise it with --max-pixels (in Python: max_pixels)"
        )


def _regions(image: Image.Image, count: int, max_pixels: int) -> list[Region]:
    """The `count` frames of a PNG or GIF, as they are stored."""
    split = png_regions if image.format == "PNG" else gif_regions
    regions = list(islice(split(file_bytes(image)), count))
    if len(regions) < count:
        raise ValueError(f"{len(regions)} of {count} frames are there")
    for region in regions:  # which may be larger than the canvas
        check_size(region.width, region.height, count, max_pixels)
    return regions

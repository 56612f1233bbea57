"""Writing GIF: 256 colours per frame; pixels of alpha below one half become transparent."""

from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_runtime.image.picture import rounded_durations

__all__ = ["write_gif"]

TRANSPARENT = 255  # index into the palette
CENTISECOND = 10  # ms, the time step of the format


def write_gif(
    frames: Sequence[NDArray[Any]],
    file: BinaryIO,
    *,
    durations: Sequence[int],
    loop: int | None,
    comment: bytes | None,
) -> None:
    """Write `(H, W, C)` uint8 frames; `durations` in ms and `loop` as in Picture."""
    first, *others = (_indexed(frame) for frame in frames)
    options: dict[str, Any] = {} if comment is None else {"comment": comment}
    if others:
        options |= {
            "save_all": True,
            "append_images": others,
            "duration": rounded_durations(durations, CENTISECOND),
            # The canvas is cleared before each frame, or no pixel could become transparent again.
            "disposal": 2 if "transparency" in first.info else 1,
        }
    if loop == 0 or (loop is not None and loop > 1):
        # GIF states how often to repeat after the first time; to play once is its default.
        options["loop"] = max(0, loop - 1)
    first.save(file, format="GIF", optimize=False, **options)


def _indexed(frame: NDArray[Any]) -> Image.Image:
    channels = frame.shape[2]
    if channels == 1:
        return Image.fromarray(frame[:, :, 0])
    if channels == 3:
        return _with_palette(Image.fromarray(frame), 256)
    visible = frame[:, :, -1:] >= 128
    color = np.where(visible, np.broadcast_to(frame[:, :, :-1], (*frame.shape[:2], 3)), 0)
    indexed = _with_palette(Image.fromarray(color), TRANSPARENT)
    # Programs disagree on an index beyond the end of a short palette.
    indexed.putpalette([*(indexed.getpalette() or []), *[0] * 768][:768])
    indexed.paste(TRANSPARENT, mask=Image.fromarray(~visible[:, :, 0]))
    indexed.info["transparency"] = TRANSPARENT
    return indexed


def _with_palette(image: Image.Image, colors: int) -> Image.Image:
    if image.getcolors(colors) is not None:
        return image.quantize(colors, Image.Quantize.MEDIANCUT)  # exact
    # Median cut has the higher PSNR on photos, but turns a cat's green eyes brown.
    palette = image.quantize(colors, Image.Quantize.FASTOCTREE)
    return image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)

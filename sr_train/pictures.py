"""Images side by side, with captions."""

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
from numpy.typing import NDArray

from sr_runtime.evaluation.metrics import psnr
from sr_runtime.resize import resize

__all__ = ["comparison", "stacked"]

Image = NDArray[np.uint8]

# HR pixels of an image that a comparison shows: of larger ones, the middle.
WINDOW = 512

CAPTION = 24
GAP = 4


def comparison(lr: Image, srs: Mapping[str, Image], hr: Image, scale: int) -> Image:
    """LR, bicubic, each of `srs` and HR side by side, with captions and PSNR Y: (H, W, 3) uint8.

    `lr` is (h, w, 1 or 3), the others are `scale` times as high and wide. Of large images the
    middle is shown, and small ones are magnified by a whole number.
    """
    height, width = hr.shape[:2]
    panels = {"LR": lr.repeat(scale, axis=0).repeat(scale, axis=1)}
    for name, image in {"bicubic": resize(lr, height, width), **srs}.items():
        panels[f"{name}  {psnr(image, hr, channel='y', crop=scale):.2f} dB"] = image
    panels["HR"] = hr
    window = _middle(height), _middle(width)
    shown_height, shown_width = hr[window].shape[:2]
    font = PIL.ImageFont.load_default(size=CAPTION * 0.6)
    needed = ceil(max(font.getlength(caption) for caption in panels)) + 2 * GAP
    # Small images are magnified until their caption fits, or they are as large as a window.
    factor = max(1, min(ceil(needed / shown_width), WINDOW // max(shown_height, shown_width)))
    column = max(needed, factor * shown_width)
    size = (len(panels) * (column + GAP) - GAP, CAPTION + factor * shown_height)
    canvas = PIL.Image.new("RGB", size, color="white")
    draw = PIL.ImageDraw.Draw(canvas)
    for index, (caption, image) in enumerate(panels.items()):
        left = index * (column + GAP)
        rgb = np.broadcast_to(image[window], (shown_height, shown_width, 3))
        magnified = rgb.repeat(factor, axis=0).repeat(factor, axis=1)
        canvas.paste(PIL.Image.fromarray(magnified), (left, CAPTION))
        draw.text((left + GAP, CAPTION / 2), caption, fill=(0, 0, 0), font=font, anchor="lm")
    return np.asarray(canvas)


def stacked(pictures: Sequence[Image]) -> Image:
    """Pictures (H, W, 3) one below the other, on white."""
    sizes = [picture.shape for picture in pictures]
    canvas = np.full((sum(h for h, _, _ in sizes), max(w for _, w, _ in sizes), 3), 255, np.uint8)
    top = 0
    for picture in pictures:
        height, width, _ = picture.shape
        canvas[top : top + height, :width] = picture
        top += height
    return canvas


def _middle(length: int) -> slice:
    start = max(0, length - WINDOW) // 2
    return slice(start, start + min(length, WINDOW))

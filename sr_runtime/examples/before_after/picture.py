"""The picture of a comparison: the whole in small, and details at 100 %."""

from collections.abc import Sequence

import PIL.Image
from PIL import ImageDraw, ImageFont
from PIL.Image import Resampling

from sr_runtime.examples.before_after.comparison import DETAIL_HEIGHT, DETAIL_WIDTH, Comparison
from sr_runtime.examples.before_after.details import Box

__all__ = ["GAP", "WIDTH", "draw"]

GAP = 16  # pixels between two panels
WIDTH = 3 * DETAIL_WIDTH + 2 * GAP
LETTERS = 18  # pixels high
LABELS = "photo", "bicubic", "sr-toolkit"


def draw(comparison: Comparison, boxes: Sequence[Box]) -> PIL.Image.Image:
    """A row with the whole photo and both enlargements, and below it one for each detail."""
    photo = comparison.photo
    shrink = min(DETAIL_WIDTH / photo.width, DETAIL_HEIGHT / photo.height)
    size = max(1, round(photo.width * shrink)), max(1, round(photo.height * shrink))
    whole = [
        image.resize(size, Resampling.LANCZOS)
        for image in (photo, comparison.bicubic, comparison.model)
    ]
    # What is between the panels is clear, so that the picture suits light and dark pages.
    drawn = PIL.Image.new("RGBA", (WIDTH, size[1] + len(boxes) * (GAP + DETAIL_HEIGHT)))
    for number, box in enumerate(boxes, start=1):
        _mark(whole[0], [round(edge * shrink) for edge in box], f"{number}")
    _place(drawn, whole, 0, LABELS)
    for number, box in enumerate(boxes, start=1):
        pixels, bicubic, model = comparison.crops(box)
        squares = pixels.resize(model.size, Resampling.NEAREST)
        top = drawn.height - (len(boxes) + 1 - number) * (GAP + DETAIL_HEIGHT) + GAP
        _place(drawn, (squares, bicubic, model), top, (f"{number}  {LABELS[0]}", *LABELS[1:]))
    return drawn


def _place(
    drawn: PIL.Image.Image, panels: Sequence[PIL.Image.Image], top: int, labels: Sequence[str]
) -> None:
    """Three panels in a row."""
    for column, (panel, label) in enumerate(zip(panels, labels, strict=True)):
        left = column * (DETAIL_WIDTH + GAP)
        drawn.paste(panel, (left, top))
        _write(drawn, left + 8, top + 8, label)


def _mark(image: PIL.Image.Image, box: Sequence[int], number: str) -> None:
    """A frame around a detail, and its number, seen on every photo: light with a dark edge."""
    left, top, right, bottom = box
    frame = ImageDraw.Draw(image)
    frame.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline="black", width=4)
    frame.rectangle((left, top, right, bottom), outline="white", width=2)
    _write(image, left + 4, top + 4, number)


def _write(image: PIL.Image.Image, left: int, top: int, text: str) -> None:
    """Light letters on a dark ground."""
    letters = ImageFont.load_default(LETTERS)
    right, bottom = left + letters.getlength(text) + 14, top + LETTERS + 8
    pen = ImageDraw.Draw(image)
    pen.rounded_rectangle((left, top, right, bottom), radius=6, fill="black")
    pen.text((left + 7, (top + bottom) / 2), text, font=letters, fill="white", anchor="lm")

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
LEAST = LETTERS + 24  # pixels of a row, in which a label has room
LABELS = "photo", "bicubic", "sr-toolkit"

Panels = tuple[PIL.Image.Image, PIL.Image.Image, PIL.Image.Image]


def draw(comparison: Comparison, boxes: Sequence[Box]) -> PIL.Image.Image:
    """A row with the whole photo and both enlargements, and below it one for each detail."""
    rows = [_whole(comparison, boxes)]
    for box in boxes:
        pixels, bicubic, model = comparison.crops(box)
        rows.append((pixels.resize(model.size, Resampling.NEAREST), bicubic, model))
    heights = [max(LEAST, row[0].height) for row in rows]
    # What is between the panels is clear, so that the picture suits light and dark pages.
    drawn = PIL.Image.new("RGBA", (WIDTH, sum(heights) + GAP * len(boxes)))
    top = 0
    for number, (row, height) in enumerate(zip(rows, heights, strict=True)):
        for column, (panel, label) in enumerate(zip(row, LABELS, strict=True)):
            left = column * (DETAIL_WIDTH + GAP)
            drawn.paste(panel, (left, top))
            numbered = number > 0 and column == 0
            _write(drawn, left + 8, top + 8, f"{number}  {label}" if numbered else label)
        top += height + GAP
    return drawn


def _whole(comparison: Comparison, boxes: Sequence[Box]) -> Panels:
    """The whole as large as a detail, the photo with a frame around each box."""
    photo = comparison.photo
    zoom = min(DETAIL_WIDTH / photo.width, DETAIL_HEIGHT / photo.height)
    size = max(1, round(photo.width * zoom)), max(1, round(photo.height * zoom))
    small, bicubic, model = (
        image.resize(size, Resampling.LANCZOS)
        for image in (photo, comparison.bicubic, comparison.model)
    )
    for number, box in enumerate(boxes, start=1):
        _mark(small, [round(edge * zoom) for edge in box], f"{number}")
    return small, bicubic, model


def _mark(image: PIL.Image.Image, box: Sequence[int], number: str) -> None:
    """A frame around a detail, dark and light to be seen on every photo, and its number."""
    left, top, right, bottom = box
    frame = ImageDraw.Draw(image)
    frame.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline="black", width=4)
    frame.rectangle((left, top, right, bottom), outline="white", width=2)
    side = LETTERS + 12
    _write(image, right + 6 if right + side <= image.width else max(6, left - side), top, number)


def _write(image: PIL.Image.Image, left: int, top: int, text: str) -> None:
    """Light letters on a dark ground."""
    letters = ImageFont.load_default(LETTERS)
    right, bottom = left + letters.getlength(text) + 14, top + LETTERS + 8
    pen = ImageDraw.Draw(image)
    pen.rounded_rectangle((left, top, right, bottom), radius=6, fill="black")
    pen.text((left + 7, (top + bottom) / 2), text, font=letters, fill="white", anchor="lm")

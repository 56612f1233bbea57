"""The page: a template, filled with pictures and facts."""

import base64
import importlib.resources
import io
import string
from collections.abc import Mapping, Sequence
from html import escape

import PIL.Image

from sr_runtime.examples.before_after.comparison import Comparison
from sr_runtime.examples.before_after.details import Box

__all__ = ["filled_page"]

TEMPLATE = importlib.resources.files("sr_runtime.examples.before_after") / "page.html"
DETAIL_MARK = "<!-- detail -->\n"
"""Stands in the template before and after what is repeated for each detail."""

LARGEST = 3_000_000
"""Bytes of a page, as far as the worst quality allows."""

QUALITIES = 88, 80, 70, 60, 45, 30  # of WebP, tried in turn
DETAIL_QUALITY = 92


def filled_page(comparison: Comparison, boxes: Sequence[Box], facts: Mapping[str, object]) -> str:
    """The page with its pictures in it; `facts` are escaped here."""
    texts = {name: escape(str(value)) for name, value in facts.items()}
    start, detail, end = TEMPLATE.read_text(encoding="utf-8").split(DETAIL_MARK)
    details = "".join(
        string.Template(detail).substitute(texts, number=number, **_detail(comparison, box))
        for number, box in enumerate(boxes, start=1)
    )
    template = string.Template(f"{start}$details{end}")
    for quality in QUALITIES:
        page = template.substitute(
            texts,
            details=details,
            quality=quality,
            bicubic=_data_url(comparison.bicubic, quality),
            model=_data_url(comparison.model, quality),
        )
        if len(page) <= LARGEST:
            break
    return page


def _detail(comparison: Comparison, box: Box) -> dict[str, object]:
    """What the template says of one detail. The photo's pixels are stored as few as they are."""
    pixels, bicubic, model = comparison.crops(box)
    return {
        "pixels": _data_url(pixels, None),
        "bicubic": _data_url(bicubic, DETAIL_QUALITY),
        "model": _data_url(model, DETAIL_QUALITY),
        "detail_width": model.width,
        "detail_height": model.height,
    }


def _data_url(image: PIL.Image.Image, quality: int | None) -> str:
    """A picture as a `data:` URL; without loss if `quality` is None."""
    file = io.BytesIO()
    how = {"lossless": True} if quality is None else {"quality": quality}
    image.save(file, "WEBP", icc_profile=image.info.get("icc_profile"), **how)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"

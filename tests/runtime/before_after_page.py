"""What tests see of a page that shows a photo before and after."""

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import PIL.Image

from sr_runtime.examples.before_after.comparison import Comparison
from sr_runtime.examples.before_after.facts import facts_of
from sr_runtime.image import from_pil

Attributes = dict[str, str | None]


class Page(HTMLParser):
    """The tags of a page, its text outside of styles, and its pictures."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.tags: list[tuple[str, Attributes]] = []
        self.text = ""
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[Attributes]:
        return [attributes for name, attributes in self.tags if name == tag]

    def text_of(self, tag: str) -> str:
        """What is in the first such tag."""
        found = re.search(f"<{tag}[^>]*>(.*?)</{tag}>", self.source, re.DOTALL)
        assert found is not None
        return found[1]

    @property
    def pictures(self) -> dict[str | None, PIL.Image.Image]:
        """The pictures by their alternative texts."""
        return {image["alt"]: embedded(image) for image in self.all("img")}


def embedded(image: Attributes) -> PIL.Image.Image:
    source = image["src"]
    assert source is not None
    _, _, data = source.partition("base64,")
    return PIL.Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")


def facts(comparison: Comparison, model: str = "esrgan") -> dict[str, object]:
    """The page's facts about a photo called photo.png."""
    return facts_of(
        name="photo.png",
        photo=from_pil(comparison.photo),
        credit=None,
        comparison=comparison,
        model=model,
        architecture="RRDBNet",
        result=Path("photo_x4.png"),
    )

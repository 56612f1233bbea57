"""The page that shows a photo before and after: what it holds, and what a screen reader finds."""

import os
import re
from itertools import pairwise

import numpy as np
import PIL.Image
import pytest
from PIL.Image import Resampling

from sr_runtime.examples.before_after import page as page_module
from sr_runtime.examples.before_after.__main__ import main
from sr_runtime.examples.before_after.comparison import Comparison, compared
from sr_runtime.examples.before_after.page import QUALITIES, filled_page
from tests.runtime.before_after_page import Page, facts


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    # In shades of gray: a WebP keeps less of the colours.
    pixels = np.random.default_rng(0).integers(0, 256, (100, 120), np.uint8)
    photo = PIL.Image.fromarray(pixels).convert("RGB")
    return compared(photo, photo.resize((480, 400), Resampling.NEAREST))


def filled(comparison: Comparison, model: str = "esrgan") -> str:
    return filled_page(comparison, comparison.details(None), facts(comparison, model))


@pytest.fixture(scope="module")
def page(comparison) -> Page:
    return Page(filled(comparison))


def difference(a: PIL.Image.Image, b: PIL.Image.Image) -> float:
    return float(np.abs(np.asarray(a, float) - np.asarray(b, float)).mean())


def test_the_page_needs_nothing_but_itself(page) -> None:
    addresses = [
        value
        for _, attributes in page.tags
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "data", "action", "poster", "xlink:href")
    ]
    assert len(addresses) == len(page.all("img"))
    assert all(address.startswith("data:image/webp;base64,") for address in addresses)
    words = ("http:", "https:", "url(", "@import", "fetch(", "import(")
    assert not any(word in page.source for word in words)


def test_the_page_holds_both_enlargements_and_details_at_full_size(page, comparison) -> None:
    pictures = page.pictures
    before = pictures["photo.png, ordinary enlargement"]
    after = pictures["photo.png, AI enlargement"]
    assert difference(before, comparison.bicubic) < difference(before, comparison.model) / 2
    assert difference(after, comparison.model) < difference(after, comparison.bicubic) / 2
    pixels, bicubic, model = comparison.crops(comparison.details(None)[0])
    assert difference(pictures["Detail 1: the photo’s own pixels"], pixels) == 0
    assert pictures["Detail 1: ordinary enlargement"].size == bicubic.size
    assert pictures["Detail 1: AI enlargement"].size == model.size


def test_the_page_says_what_is_shown(page, comparison) -> None:
    for fact in ("photo.png", "120×100", "480×400", "photo_x4.png", "esrgan", "RRDBNet"):
        assert fact in page.text
    assert "non-commercial" in page.text
    assert "non-commercial" not in Page(filled(comparison, "folder/other.onnx")).text
    said = " ".join(page.text.split())
    assert "Drag to compare: ordinary enlargement | AI enlargement" in said


def test_a_page_of_pictures_that_compress_badly_has_lower_quality(comparison, monkeypatch) -> None:
    best = filled(comparison)
    limit = len(best) - 1
    monkeypatch.setattr(page_module, "LARGEST", limit)
    smaller = filled(comparison)
    assert f"quality {QUALITIES[0]}" in best
    assert f"quality {QUALITIES[1]}" in smaller
    assert len(smaller) <= limit


@pytest.mark.skipif(os.name == "nt", reason="Windows allows no such file names")
@pytest.mark.parametrize(
    "name", ["\"><img src=x onerror=alert(1)>'&amp;$model${x}.png", "<script>.png", "\udcff.png"]
)
def test_a_hostile_file_name_is_text_in_the_page(
    name, tmp_path, tiny_onnx, comparison, monkeypatch
) -> None:
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", PIL.Image.MAX_IMAGE_PIXELS)
    comparison.photo.save(tmp_path / name, "PNG")
    out = tmp_path / "out"
    assert main([str(tmp_path / name), "-m", str(tiny_onnx()), "-o", str(out)]) == 0
    page = Page((out / "before_after.html").read_text(encoding="utf-8"))
    shown = name.encode("utf-8", "replace").decode()
    assert shown in page.text
    assert f"{shown}, AI enlargement" in page.pictures
    assert len(page.all("script")) == 1


def test_everything_has_a_name_for_a_screen_reader(page) -> None:
    assert page.all("html")[0]["lang"] == "en"
    assert "photo.png" in page.text_of("title")
    assert len(page.all("main")) == 1
    assert all(image["alt"] for image in page.all("img"))
    (slider,) = page.all("input")
    assert slider["type"] == "range"  # which has the role slider, its values and its keys
    assert [label["for"] for label in page.all("label")] == [slider["id"]]
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    assert slider["aria-describedby"] in ids


def test_no_heading_level_is_skipped(page) -> None:
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_nothing_moves_by_itself_for_those_who_want_that(page) -> None:
    wanted = re.sub(
        r"@media \(prefers-reduced-motion: no-preference\) \{.*?\n\}",
        "",
        page.source,
        flags=re.DOTALL,
    )
    assert wanted != page.source
    assert "transition" not in wanted
    assert "animation" not in wanted


def test_readers_can_zoom(page) -> None:
    (viewport,) = (meta["content"] for meta in page.all("meta") if meta.get("name") == "viewport")
    assert viewport == "width=device-width, initial-scale=1"

"""The program that shows a photo before and after: its pictures, its page, its errors."""

import base64
import io
import os
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from PIL.Image import Resampling

import sr_runtime
from sr_runtime.examples.before_after import GAP, main

SCALE = 4
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="no folder of its kind there")


@pytest.fixture(autouse=True)
def limit_of_pillow(monkeypatch) -> None:
    """The program lifts it for its own process; other tests rely on it."""
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", PIL.Image.MAX_IMAGE_PIXELS)


@pytest.fixture
def model(tiny_onnx) -> str:
    return str(tiny_onnx())


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (100, 120, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def opened(path: Path) -> PIL.Image.Image:
    with PIL.Image.open(path) as image:
        image.load()
    return image


def panels(folder: Path) -> list[PIL.Image.Image]:
    drawn = opened(folder / "before_after.png")
    width = (drawn.width - 2 * GAP) // 3
    lefts = (0, width + GAP, 2 * (width + GAP))
    return [drawn.crop((left, 0, left + width, drawn.height)) for left in lefts]


class Page(HTMLParser):
    """What is in a page: its tags, the addresses it refers to, its text outside of styles."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def embedded(image: dict[str, str | None]) -> PIL.Image.Image:
    source = image["src"]
    assert source is not None
    _, _, data = source.partition("base64,")
    return PIL.Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")


def difference(a: PIL.Image.Image, b: PIL.Image.Image) -> float:
    return float(np.abs(np.asarray(a, float) - np.asarray(b, float)).mean())


@pytest.mark.slow
def test_the_packages_photo_is_shown_and_the_page_is_printed_last(
    tmp_path, model, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["-m", model]) == 0
    written = [Path("before_after") / name for name in ("chelsea_x4.png", "before_after.png")]
    page = Path("before_after/before_after.html")
    assert capsys.readouterr().out.splitlines()[-3:] == [str(path) for path in (*written, page)]
    assert opened(written[0]).size == (1804, 1200)
    assert opened(written[1]).size == (3 * 320 + 2 * GAP, 320)
    assert page.stat().st_size < 3e6
    assert sorted(tmp_path.rglob("*.*")) == sorted(tmp_path / path for path in (*written, page))


def test_the_panels_are_the_photos_pixels_bicubic_and_the_model(tmp_path, photo, model) -> None:
    out = tmp_path / "out"
    assert main([str(photo), "-m", model, "-o", str(out), "--box", "7,20,30,16"]) == 0
    pixels, bicubic, network = panels(out)
    box = (7, 20, 37, 36)
    image, large_box = opened(photo), tuple(SCALE * edge for edge in box)
    assert pixels.size == (120, 64)
    assert np.array_equal(pixels.resize((30, 16), Resampling.NEAREST), image.crop(box))
    assert np.array_equal(pixels, np.kron(image.crop(box), np.ones((SCALE, SCALE, 1), np.uint8)))
    enlarged = image.resize((480, 400), Resampling.BICUBIC)
    assert np.array_equal(bicubic, enlarged.crop(large_box))
    with sr_runtime.load(model) as upscaler:
        expected = upscaler.upscale(image)
    assert np.array_equal(network, expected.crop(large_box))
    assert np.array_equal(opened(out / "photo_x4.png"), expected)


def test_without_a_box_the_detail_is_the_middle(tmp_path, photo, model) -> None:
    out = tmp_path / "out"
    assert main([str(photo), "-m", model, "-o", str(out)]) == 0
    middle = panels(out)[0].resize((80, 80), Resampling.NEAREST)
    assert np.array_equal(middle, opened(photo).crop((20, 10, 100, 90)))


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1"])
def test_gray_and_transparent_photos_work_down_to_one_pixel(mode, tmp_path, photo, model) -> None:
    image = opened(photo)
    if mode in ("LA", "RGBA"):
        image.putalpha(PIL.Image.linear_gradient("L").resize(image.size))
    out = tmp_path / "out"
    for size in ((120, 100), (1, 1)):
        image.convert(mode).crop((0, 0, *size)).save(tmp_path / "kind.png")
        assert main([str(tmp_path / "kind.png"), "-m", model, "-o", str(out)]) == 0
        pictures = Page(out / "before_after.html").all("img")
        assert {embedded(picture).size for picture in pictures} == {(4 * size[0], 4 * size[1])}
    has_alpha = "A" in opened(out / "kind_x4.png").getbands()
    assert has_alpha == (mode in ("LA", "RGBA"))


def test_transparency_is_shown_on_white_and_kept_in_the_result(tmp_path, model) -> None:
    PIL.Image.new("RGBA", (40, 30), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    out = tmp_path / "out"
    assert main([str(tmp_path / "clear.png"), "-m", model, "-o", str(out)]) == 0
    for panel in panels(out):
        assert panel.getextrema() == ((255, 255),) * 3
    assert opened(out / "clear_x4.png").getextrema()[3] == (0, 0)
    assert "transparency on white" in Page(out / "before_after.html").text


def test_the_page_needs_nothing_but_itself(tmp_path, photo, model) -> None:
    out = tmp_path / "out"
    assert main([str(photo), "-m", model, "-o", str(out)]) == 0
    page = Page(out / "before_after.html")
    addresses = [
        value
        for _, attributes in page.tags
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "data", "action", "poster", "xlink:href")
    ]
    assert len(addresses) == 2
    assert all(address.startswith("data:image/webp;base64,") for address in addresses)
    source = (out / "before_after.html").read_text(encoding="utf-8")
    assert not any(word in source for word in ("http:", "https:", "url(", "@import", "fetch("))


def test_the_page_holds_both_enlargements_and_says_what_they_are(tmp_path, photo, model) -> None:
    out = tmp_path / "out"
    assert main([str(photo), "-m", model, "-o", str(out)]) == 0
    page = Page(out / "before_after.html")
    of = {image["alt"]: embedded(image) for image in page.all("img")}
    before = of["photo.png, enlarged by bicubic interpolation"]
    after = of["photo.png, enlarged by tiny"]
    bicubic = opened(photo).resize((480, 400), Resampling.BICUBIC)
    network = opened(out / "photo_x4.png")
    assert difference(before, bicubic) < difference(before, network) / 3
    assert difference(after, network) < difference(after, bicubic) / 3
    for fact in ("photo.png", "bicubic", "tiny", "RRDBNet", "120×100", "480×400", "photo_x4.png"):
        assert fact in page.text
    (slider,) = page.all("input")
    assert slider["type"] == "range"
    assert [label["for"] for label in page.all("label")] == [slider["id"]]


@pytest.mark.skipif(os.name == "nt", reason="Windows allows no such file names")
@pytest.mark.parametrize(
    "name", ["\"><img src=x onerror=alert(1)>'&amp;$model${x}.png", "<script>.png", "\udcff.png"]
)
def test_a_hostile_file_name_is_text_in_the_page(name, tmp_path, photo, model) -> None:
    hostile = photo.rename(tmp_path / name)
    out = tmp_path / "out"
    assert main([str(hostile), "-m", model, "-o", str(out)]) == 0
    page = Page(out / "before_after.html")
    shown = name.encode("utf-8", "replace").decode()
    assert shown in page.text
    assert [image["alt"].startswith(f"{shown}, enlarged") for image in page.all("img")] == [
        True
    ] * 2
    assert len(page.all("script")) == 1


@pytest.mark.slow
def test_results_are_replaced_and_the_photo_never(tmp_path, photo, model, capsys) -> None:
    arguments = ["-m", model, "-o", str(tmp_path)]
    for _ in range(2):
        assert main([str(photo), *arguments]) == 0
    names = {"photo.png", "photo_x4.png", "before_after.png", "before_after.html"}
    assert {path.name for path in tmp_path.iterdir()} == names
    panels_before = (tmp_path / "before_after.png").read_bytes()
    assert main([str(tmp_path / "before_after.png"), *arguments]) == 2
    assert "is an input, which is never overwritten" in capsys.readouterr().err
    assert (tmp_path / "before_after.png").read_bytes() == panels_before


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files that a page cannot show."""
    folder = tmp_path_factory.mktemp("refused")
    (folder / "text.jpg").write_text("no photo")
    PIL.Image.effect_noise((100, 120), 50).save(folder / "cut.png")
    (folder / "cut.png").write_bytes((folder / "cut.png").read_bytes()[:900])
    frames = [PIL.Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (0, 128)]
    frames[0].save(folder / "moves.gif", save_all=True, append_images=frames[1:])
    PIL.Image.fromarray(np.zeros((8, 8), np.uint16)).save(folder / "deep.png")
    PIL.Image.new("1", (5000, 4000)).save(folder / "huge.png")
    PIL.Image.new("1", (20000, 20000)).save(folder / "bomb.png")
    PIL.Image.new("L", (5000, 2)).save(folder / "long.png")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{refused}/nowhere.png"], "nowhere.png: No such file"),
        (["{refused}"], "Is a directory"),
        (["{refused}/text.jpg"], "not an image"),
        (["{refused}/cut.png"], "cut.png"),
        (["{refused}/moves.gif"], "it has 2 frames, and a page shows one"),
        (["{refused}/deep.png"], "16 bits per channel, and a page shows 8"),
        (["{refused}/huge.png"], "would become 20000×16000"),
        (["{refused}/bomb.png"], "at most 17 megapixels"),
        (["{refused}/long.png"], "16383 per side"),
        (["{photo}", "--box", "1,2,3"], "four whole numbers"),
        (["{photo}", "--box", "1,2,3,four"], "four whole numbers"),
        (["{photo}", "--box", "100,0,21,10"], "not within the photo, which has 120×100"),
        (["{photo}", "--box", "0,0,0,10"], "not within the photo"),
        (["{photo}", "--box=-1,0,10,10"], "not within the photo"),
        (["{photo}", "-m", "nowhere.onnx"], "nowhere.onnx"),
        (["{photo}", "-o", "{photo}"], "name another with -o"),
        (["{photo}", "-o", "{photo}/below"], "name another with -o"),
        pytest.param(["{photo}", "-o", "/proc"], "cannot be written", marks=ON_LINUX),
    ],
)
def test_a_user_error_is_one_sentence_and_nothing_is_written(
    arguments, says, tmp_path, photo, refused, model, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted([*tmp_path.rglob("*"), *refused.iterdir()])
    names = {"photo": photo, "refused": refused}
    assert main(["-m", model, *(text.format(**names) for text in arguments)]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("error: ")
    assert says in said
    assert "\n" not in said
    assert sorted([*tmp_path.rglob("*"), *refused.iterdir()]) == before

"""The program that shows a photo before and after: its files, odd photos, its errors."""

import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from PIL.Image import Resampling

import sr_runtime
from sr_runtime.examples.before_after import photo as photo_module
from sr_runtime.examples.before_after.__main__ import main
from sr_runtime.examples.before_after.comparison import DETAIL_HEIGHT, DETAIL_WIDTH
from sr_runtime.examples.before_after.picture import GAP, WIDTH
from tests.runtime.before_after_page import Page

SCALE = 4
LABEL = 40  # pixels at the top of a panel, where its label is
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


def page_in(folder: Path) -> Page:
    return Page((folder / "before_after.html").read_text(encoding="utf-8"))


def panels(folder: Path) -> list[PIL.Image.Image]:
    """The photo's pixels, bicubic and model of the first detail, each below its label."""
    drawn = opened(folder / "before_after.png").convert("RGB")
    # The whole photo is shown above; one of 120×100 pixels is as high there as a detail.
    top = DETAIL_HEIGHT + GAP
    lefts = (column * (DETAIL_WIDTH + GAP) for column in range(3))
    return [
        drawn.crop((left, top + LABEL, left + DETAIL_WIDTH, top + DETAIL_HEIGHT)) for left in lefts
    ]


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
    assert opened(written[1]).width == WIDTH
    assert page.stat().st_size < 3e6
    assert "CC0" in page_in(page.parent).text
    assert sorted(tmp_path.rglob("*.*")) == sorted(tmp_path / path for path in (*written, page))


def test_the_panels_are_the_photos_pixels_bicubic_and_the_model(tmp_path, photo, model) -> None:
    out = tmp_path / "out"
    assert main([str(photo), "-m", model, "-o", str(out), "--detail", "60,50"]) == 0
    pixels, bicubic, network = panels(out)
    box = (8, 15 + LABEL // SCALE, 112, 85)
    image, large_box = opened(photo), tuple(SCALE * edge for edge in box)
    squares = np.ones((SCALE, SCALE, 1), np.uint8)
    assert np.array_equal(pixels, np.kron(image.crop(box), squares))
    enlarged = image.resize((480, 400), Resampling.BICUBIC)
    assert np.array_equal(bicubic, enlarged.crop(large_box))
    with sr_runtime.load(model) as upscaler:
        expected = upscaler.upscale(image)
    assert np.array_equal(network, expected.crop(large_box))
    assert np.array_equal(opened(out / "photo_x4.png"), expected)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1"])
def test_gray_and_transparent_photos_work_down_to_one_pixel(mode, tmp_path, photo, model) -> None:
    image = opened(photo)
    if mode in ("LA", "RGBA"):
        image.putalpha(PIL.Image.linear_gradient("L").resize(image.size))
    out = tmp_path / "out"
    for size in ((120, 100), (1, 1)):
        image.convert(mode).crop((0, 0, *size)).save(tmp_path / "kind.png")
        assert main([str(tmp_path / "kind.png"), "-m", model, "-o", str(out)]) == 0
        pictures = page_in(out).pictures
        assert pictures["kind.png, AI enlargement"].size == (4 * size[0], 4 * size[1])
    has_alpha = "A" in opened(out / "kind_x4.png").getbands()
    assert has_alpha == (mode in ("LA", "RGBA"))


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1, 8])
def test_models_of_every_scale_are_shown(scale, tmp_path, photo, tiny_onnx) -> None:
    out = tmp_path / "out"
    assert main([str(photo), "-m", str(tiny_onnx(scale_factor=scale)), "-o", str(out)]) == 0
    pictures = page_in(out).pictures
    assert pictures["photo.png, AI enlargement"].size == (120 * scale, 100 * scale)
    width = min(120, DETAIL_WIDTH // scale) * scale
    assert pictures["Detail 1: AI enlargement"].width == width


def test_transparency_is_shown_on_white_and_kept_in_the_result(tmp_path, model) -> None:
    PIL.Image.new("RGBA", (120, 100), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    out = tmp_path / "out"
    assert main([str(tmp_path / "clear.png"), "-m", model, "-o", str(out)]) == 0
    for panel in panels(out):
        assert panel.getextrema() == ((255, 255),) * 3
    assert opened(out / "clear_x4.png").getextrema()[3] == (0, 0)
    assert "shown on white" in page_in(out).text


def test_sixteen_bits_are_kept_in_the_result_and_shown_as_eight(tmp_path, model) -> None:
    ramp = np.linspace(0, 65535, 120 * 100).reshape(100, 120).astype(np.uint16)
    PIL.Image.fromarray(ramp).save(tmp_path / "deep.png")
    out = tmp_path / "out"
    assert main([str(tmp_path / "deep.png"), "-m", model, "-o", str(out)]) == 0
    assert opened(out / "deep_x4.png").mode == "I;16"
    page = page_in(out)
    assert "16 bits" in page.text
    ordinary = np.asarray(page.pictures["deep.png, ordinary enlargement"].convert("L"), float)
    assert ordinary[0, 0] == pytest.approx(0, abs=6)
    assert ordinary[-1, -1] == pytest.approx(255, abs=6)


def test_of_a_photo_that_is_too_large_a_part_is_shown_and_that_is_said(
    tmp_path, photo, model, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(photo_module, "MAX_PIXELS", 120 * 100 * SCALE**2 // 4)
    out = tmp_path / "out"
    assert main([str(photo), "-m", model, "-o", str(out), "--detail", "119,99"]) == 0
    assert "a part of 60×50" in capsys.readouterr().out
    assert opened(out / "photo_part_x4.png").size == (240, 200)
    page = page_in(out)
    assert "120×100" in page.text
    assert "a part of 60×50" in page.text
    with sr_runtime.load(model) as upscaler:
        corner = upscaler.upscale(opened(photo).crop((60, 50, 120, 100)))
    assert np.array_equal(opened(out / "photo_part_x4.png"), corner)


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
    PIL.Image.new("1", (20000, 20000)).save(folder / "bomb.png")
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
        (["{refused}/bomb.png"], "20000×20000 pixels, and at most 134 megapixels"),
        (["{photo}", "--detail", "1,2,3"], "two whole numbers"),
        (["{photo}", "--detail", "1,two"], "two whole numbers"),
        (["{photo}", "--detail", "120,0"], "not within the photo, which has 120×100"),
        (["{photo}", "--detail=-1,0"], "not within the photo"),
        (["{photo}", "-m", "nowhere.onnx"], "nowhere.onnx"),
        (["{photo}", "-o", "{photo}"], "cannot be created"),
        (["{photo}", "-o", "{photo}/below"], "cannot be created"),
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

"""The page with the slider in Chromium: where the boundary is, and what is on either side."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

RED = (196, 32, 40)
MARGIN = 20  # of the page, in pixels

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=f"no {', '.join(NAMES)} on the PATH")


@pytest.fixture
def page_of_red(tmp_path, tiny_onnx) -> Path:
    """A page whose left side is red all over, and whose right side is not."""
    photo, out = tmp_path / "red.png", tmp_path / "out"
    PIL.Image.new("RGB", (200, 120), RED).save(photo)
    program = [sys.executable, "-m", "sr_runtime.examples.before_after"]
    subprocess.run([*program, photo, "-m", tiny_onnx(), "-o", out], check=True, timeout=600)
    return out / "before_after.html"


def screenshot(page: Path, width: int) -> PIL.Image.Image:
    """What Chromium shows of a page in a window of `width` × 900."""
    assert CHROMIUM is not None
    picture = page.with_suffix(f".{width}.png")
    root = os.name != "nt" and os.geteuid() == 0
    command = [
        CHROMIUM, "--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--hide-scrollbars", "--force-device-scale-factor=1", "--force-color-profile=srgb",
        f"--user-data-dir={page.parent / 'profile'}", f"--window-size={width},900",
        f"--screenshot={picture}", *(["--no-sandbox"] if root else []), page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert picture.exists(), done.stderr
    with PIL.Image.open(picture) as image:
        return image.convert("RGB")


def moved(page: Path, value: int) -> Path:
    """A copy of the page whose boundary a script has moved as a hand would."""
    script = (
        "<script>{const hand = document.querySelector('input');"
        f"hand.value = {value}; hand.dispatchEvent(new Event('input'));}}</script>"
    )
    copy = page.with_name(f"moved{value}.html")
    text = page.read_text(encoding="utf-8")
    copy.write_text(text.replace("</body>", script + "</body>"), encoding="utf-8")
    return copy


def row_below_the_handle(shown: PIL.Image.Image) -> np.ndarray:
    """A row of pixels three quarters down the red side: below the labels and the handle's knob."""
    pixels = np.asarray(shown).astype(int)
    rows = np.flatnonzero(is_red(pixels).sum(axis=1) > 20)
    return pixels[rows[0] + (rows[-1] - rows[0]) * 3 // 4]


def is_red(pixels: np.ndarray) -> np.ndarray:
    return np.abs(pixels - RED).max(axis=-1) < 16


@pytest.mark.parametrize("width", [1200, 400])
def test_a_browser_shows_bicubic_on_the_left_and_the_model_on_the_right(page_of_red, width) -> None:
    with PIL.Image.open(page_of_red.with_name("red_x4.png")) as image:
        network = np.asarray(image).astype(int)
    expected = network[network.shape[0] * 3 // 4, network.shape[1] * 3 // 4]
    assert not is_red(expected)

    row = row_below_the_handle(screenshot(page_of_red, width))
    red = np.flatnonzero(is_red(row))
    left, half = red[0], red[-1] - red[0] + 1
    assert len(red) == half  # in one piece
    side = row[left + half + 8 : left + 2 * half - 8]
    assert np.abs(side - expected).max(axis=1).mean() < 24
    assert left >= MARGIN
    assert 2 * half == pytest.approx(min(800, width - 2 * MARGIN), abs=4)


def test_moving_the_slider_moves_the_boundary(page_of_red) -> None:
    def red_pixels(page: Path) -> int:
        return int(is_red(row_below_the_handle(screenshot(page, 1200))).sum())

    assert red_pixels(page_of_red) == pytest.approx(400, abs=4)
    assert red_pixels(moved(page_of_red, 25)) == pytest.approx(200, abs=4)
    assert red_pixels(moved(page_of_red, 90)) == pytest.approx(720, abs=4)

"""The page with the slider in Chromium: where the boundary is, and what is on either side."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from sr_runtime.examples.before_after.comparison import Comparison
from sr_runtime.examples.before_after.page import filled_page
from tests.runtime.before_after_page import facts

RED, GREEN = (196, 32, 40), (20, 120, 60)
WIDTH, HEIGHT = 1600, 960  # of the enlargement
MARGIN = 20  # of the page, in pixels

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason=f"no {', '.join(NAMES)} on the PATH"),
]


@pytest.fixture
def page(tmp_path) -> Path:
    """A page whose ordinary enlargement is red all over, and whose AI enlargement is green."""
    red, green = (PIL.Image.new("RGB", (WIDTH, HEIGHT), color) for color in (RED, GREEN))
    comparison = Comparison(photo=red.reduce(4), bicubic=red, model=green)
    file = tmp_path / "page.html"
    file.write_text(filled_page(comparison, [], facts(comparison)), encoding="utf-8")
    return file


def screenshot(page: Path, width: int, script: str = "") -> np.ndarray:
    """What Chromium shows of a page in a window of `width` × 900 after a script has run in it."""
    assert CHROMIUM is not None
    copy = page.with_name(f"{width}.html")
    text = page.read_text(encoding="utf-8")
    copy.write_text(text.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    picture = copy.with_suffix(".png")
    root = os.name != "nt" and os.geteuid() == 0
    command = [
        CHROMIUM, "--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--hide-scrollbars", "--force-device-scale-factor=1", "--force-color-profile=srgb",
        "--force-prefers-reduced-motion",  # else the loupe is still fading in
        f"--user-data-dir={page.parent / 'profile'}", f"--window-size={width},900",
        f"--screenshot={picture}", *(["--no-sandbox"] if root else []), copy.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert picture.exists(), done.stderr
    with PIL.Image.open(picture) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def places(shown: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    """Which pixels have a colour, as a WebP keeps it."""
    return np.abs(shown - color).max(axis=-1) < 16


def boundary(shown: np.ndarray) -> tuple[int, int, int]:
    """Where the red begins and ends and the green ends, below the labels and the handle's knob."""
    rows = np.flatnonzero(places(shown, RED).sum(axis=1) > 20)
    row = shown[rows[0] + (rows[-1] - rows[0]) * 3 // 4]
    red, green = (np.flatnonzero(places(row, color)) for color in (RED, GREEN))
    assert len(red) == red[-1] - red[0] + 1  # in one piece
    assert len(green) == green[-1] - green[0] + 1
    return red[0], red[-1] + 1, green[-1] + 1


@pytest.mark.parametrize("width", [1200, 400])
def test_ordinary_is_on_the_left_and_ai_on_the_right(page, width) -> None:
    left, middle, right = boundary(screenshot(page, width))
    assert left >= MARGIN
    expected = min(WIDTH, width - 2 * MARGIN, 0.84 * 900 * WIDTH / HEIGHT)
    assert right - left == pytest.approx(expected, abs=4)
    assert middle - left == pytest.approx(expected / 2, abs=4)


def test_moving_the_slider_moves_the_boundary(page) -> None:
    script = "slider.value = 25; slider.dispatchEvent(new Event('input'));"
    left, middle, right = boundary(screenshot(page, 1200, script))
    assert middle - left == pytest.approx((right - left) / 4, abs=4)


def test_the_loupe_shows_both_enlargements_beside_each_other(page) -> None:
    # The pointer is over the red side, so any green in the left half is in the loupe.
    shown = screenshot(
        page, 1200,
        "moveLoupe(new PointerEvent('pointermove', {clientX: 300, clientY: 600}));",
    )  # fmt: skip
    rows, columns = np.nonzero(places(shown[:, :500], GREEN))
    assert rows.max() < 600
    assert len(rows) > 0.8 * 200 * 200
    beside = shown[rows.min() : rows.max(), columns.min() - 200 : columns.min() - 8]
    assert places(beside, RED).mean() > 0.8

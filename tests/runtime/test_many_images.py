"""Folders of very many images: nothing is read of all of them before the first one is done."""

import sys
from pathlib import Path

import pytest

from sr_runtime import Upscaler
from sr_runtime.backends.base import Limits
from sr_runtime.batch import order
from sr_runtime.batch.job import Job
from sr_runtime.cli import progress_bar
from sr_runtime.image import Header
from sr_runtime.image.header import header_of
from tests.runtime.known_network import KnownNetwork
from tests.runtime.test_plan import picture

MANY = 5000


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    photo = picture(tmp_path / "a.png")
    return [Job.of(photo, tmp_path / f"{number}.png") for number in range(MANY)]


def test_the_first_image_is_upscaled_after_some_headers_are_read(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def counted(source: Path) -> Header | None:
        read.append(source)
        return header_of(source)

    monkeypatch.setattr(order, "header_of", counted)
    upscaler = Upscaler(KnownNetwork(radius=1, limits=Limits(shape_cost=1)))
    numbers = order.in_order(upscaler, jobs, None)
    next(numbers)
    assert len(read) <= 500
    assert sorted([0, *numbers]) == list(range(MANY))


def test_the_bar_estimates_the_megapixels_of_very_many_images(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def counted(source: Path) -> Header | None:
        read.append(source)
        return header_of(source)

    monkeypatch.setattr(progress_bar, "header_of", counted)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress_bar.ProgressBar(jobs, shown=True) as bar:
        assert len(read) <= 1000
        assert bar.total == pytest.approx(MANY * 16 / 1e6)
        bar.skip(0)
        bar.start(1)
        bar.finish(1, failed=False)
        assert bar.total == pytest.approx((MANY - 1) * 16 / 1e6)

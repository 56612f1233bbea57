"""What is shown of many images: a bar on a terminal, lines in a log."""

import re
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sr_runtime import Upscaler
from sr_runtime.backends.base import Limits
from sr_runtime.batch.job import Job
from sr_runtime.batch.run import run_jobs
from sr_runtime.cli.progress_bar import ProgressBar
from sr_runtime.output_size import OutputSize
from tests.runtime.known_network import KnownNetwork
from tests.runtime.test_batch import TOO_LONG, folder_of, photo


def shown_run(network: KnownNetwork, jobs: Sequence[Job]) -> None:
    with ProgressBar(jobs, shown=True) as bar:
        run_jobs(Upscaler(network), jobs, size=OutputSize(), bar=bar)


def test_the_bar_is_full_at_the_end_and_names_the_newest_image(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gpu(KnownNetwork):
        together = threading.Barrier(3)

        def answer(self, batch: NDArray[Any]) -> NDArray[np.float32]:
            self.together.wait(TOO_LONG)
            return super().answer(batch)

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    jobs = folder_of(9, tmp_path, broken=[])
    network = Gpu(radius=1, limits=Limits(depth=3, images=3))
    shown_run(network, jobs)
    shown = capsys.readouterr().err
    pixels = sum(photo(number).shape[0] * photo(number).shape[1] for number in range(9)) / 1e6
    assert f"{pixels:.2f}/{pixels:.2f} MP" in shown.split("\r")[-1]
    assert "9/9 008.png" in shown
    assert re.search(r"/9 00\d\.png and 2 more", shown)


def test_a_log_gets_a_line_for_each_image_and_no_bar(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = folder_of(3, tmp_path, broken=[1])
    shown_run(KnownNetwork(radius=1), jobs)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines] == ["1/3", "2/3", "3/3"]
    assert sorted(line.split()[1] for line in lines) == [str(job.source) for job in jobs]
    assert [line for line in lines if line.endswith(" failed")] == [
        line for line in lines if "001.png" in line
    ]


def test_a_log_gets_nothing_for_one_image(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown_run(KnownNetwork(radius=1), folder_of(1, tmp_path))
    assert capsys.readouterr().err == ""


def test_the_writing_of_a_large_image_shows_how_long_it_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with ProgressBar(folder_of(1, tmp_path), shown=True) as bar:
        bar.start(0)
        bar.tiles(0, 3, 3)
        bar.writing(0, 0, 100)
        bar.writing(0, 40, 100)
        bar.finish(0, failed=False)

    shown = capsys.readouterr().err
    assert "000.png writing " in shown
    assert re.search(r"writing 40%, \d\d:\d\d left", shown)

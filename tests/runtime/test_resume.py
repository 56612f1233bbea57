"""Runs that go on where another ended, and several on one folder."""

import multiprocessing
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sr_runtime import ModelError, StorageError, Upscaler, image
from sr_runtime.backends.base import Limits
from sr_runtime.batch import run as run_module
from sr_runtime.batch.job import Job, Report
from sr_runtime.batch.journal import JOURNAL, Journal
from sr_runtime.batch.ledger import Ledger
from sr_runtime.image import Picture
from sr_runtime.storage.temporary import Temporary
from tests.runtime.known_network import KnownNetwork
from tests.runtime.test_batch import TOO_LONG, folder_of, number_of, photo, result_of, run
from tests.runtime.test_plan import picture, plan

SETTINGS = {"model": "known"}


def assert_right(jobs: list[Job]) -> None:
    """Every result is there, and nothing else is."""
    network = KnownNetwork(radius=1)
    for number, job in enumerate(jobs):
        np.testing.assert_array_equal(result_of(job), network.whole(photo(number)))
    there = {path.name for path in jobs[0].place.iterdir()}
    assert there == {".sr-journal.jsonl", *(job.result for job in jobs)}


@pytest.mark.parametrize("images", [1, 3])
def test_a_run_that_ended_early_is_gone_on_with(images: int, tmp_path: Path) -> None:
    class Wrong(KnownNetwork):
        def answer(self, batch: NDArray[Any]) -> NDArray[np.float32]:
            output = super().answer(batch)
            return output[:, :, 1:] if number_of(batch) == 7 else output

    jobs = folder_of(12, tmp_path)
    limits = Limits(depth=3, images=images)
    with pytest.raises(ModelError):
        run(Upscaler(Wrong(radius=1, limits=limits)), jobs, ledger=Ledger(SETTINGS))
    done = sum(job.target.exists() for job in jobs)
    assert done >= 7 - images
    network, reports = KnownNetwork(radius=1, limits=limits), list[Report]()
    failures = run(Upscaler(network), jobs, ledger=Ledger(SETTINGS), on_report=reports.append)
    assert failures == []
    assert len(network.batches) == len(jobs) - done
    assert [report.status for report in reports].count("done") == done
    assert_right(jobs)


def test_an_image_that_goes_by_rows_is_noted_too(tmp_path: Path) -> None:
    (job,) = folder_of(1, tmp_path)
    job = Job.of(job.source, job.place / "000.dzi")
    network = KnownNetwork(radius=1)
    for _ in range(2):
        assert run(Upscaler(network), [job], ledger=Ledger(SETTINGS)) == []
    assert len(network.batches) == 1
    journal = (job.place / JOURNAL).read_text("utf-8")
    assert journal.count('"target"') == 1  # and none of the files on the way


def test_tiles_without_their_file_keep_no_later_run_from_writing_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise StorageError("no space left on device")

    (job,) = folder_of(1, tmp_path)
    job = Job.of(job.source, job.place / "000.dzi")
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", refused)
        (failure,) = run(Upscaler(KnownNetwork(radius=1)), [job], ledger=Ledger(SETTINGS))
    assert "no space left" in str(failure)
    assert run(Upscaler(KnownNetwork(radius=1)), [job], ledger=Ledger(SETTINGS)) == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="it forks")
def test_a_killed_run_loses_the_image_in_work_alone(tmp_path: Path) -> None:
    class Killed(KnownNetwork):
        def answer(self, batch: NDArray[Any]) -> NDArray[np.float32]:
            if number_of(batch) == 5:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().answer(batch)

    def work() -> None:
        run(Upscaler(Killed(radius=1)), jobs, ledger=Ledger(SETTINGS))

    jobs = folder_of(8, tmp_path)
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(TOO_LONG)
    assert child.exitcode == -signal.SIGKILL
    network = KnownNetwork(radius=1)
    assert run(Upscaler(network), jobs, ledger=Ledger(SETTINGS)) == []
    assert {number_of(np.empty(shape)) for shape in network.batches} <= {4, 5, 6, 7}
    assert_right(jobs)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="it forks")
@pytest.mark.parametrize("when", ["before the name", "after it"])
def test_a_kill_leaves_no_result_among_the_inputs_that_the_next_run_takes_for_a_photo(
    when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def jobs() -> list[Job]:
        return plan([tmp_path], tmp_path, ledger=Ledger(SETTINGS)).jobs

    def go_on() -> None:
        assert run(Upscaler(KnownNetwork(radius=1)), jobs(), ledger=Ledger(SETTINGS)) == []

    def be_killed(temporary: Temporary, target: Path) -> None:
        if when == "after it":
            become(temporary, target)
        os.kill(os.getpid(), signal.SIGKILL)

    def work() -> None:
        monkeypatch.setattr(Temporary, "become", be_killed)
        go_on()

    become = Temporary.become
    photo = picture(tmp_path / "a.png")
    for content in (1, 2):  # a new result, and one in place of another
        picture(photo, frames=content)
        child = multiprocessing.get_context("fork").Process(target=work)
        child.start()
        child.join(TOO_LONG)
        assert child.exitcode == -signal.SIGKILL
        assert (tmp_path / "a_x4.png").exists() == (content == 2 or when == "after it")
        go_on()
        assert jobs() == []


@pytest.mark.parametrize("images", [1, 2])
def test_two_runs_on_one_folder_do_each_image_once(images: int, tmp_path: Path) -> None:
    jobs = folder_of(30, tmp_path)
    networks = [KnownNetwork(radius=1, limits=Limits(depth=2, images=images)) for _ in range(2)]
    start, reports = threading.Barrier(2), list[Report]()

    def work(network: KnownNetwork) -> list[Any]:
        start.wait(TOO_LONG)
        ledger = Ledger(SETTINGS)  # of its own, as in another process
        return run(Upscaler(network), jobs, ledger=ledger, on_report=reports.append)

    with ThreadPoolExecutor() as pool:
        assert list(pool.map(work, networks)) == [[], []]
    assert sum(len(network.batches) for network in networks) == len(jobs)
    assert [report.status for report in reports].count("written") == len(jobs)
    assert len(reports) == 2 * len(jobs)
    assert_right(jobs)


@pytest.mark.parametrize("finished", [True, False])
def test_what_another_process_does_is_waited_for_and_done_if_it_dies(
    finished: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "PATIENCE", 0.01)
    jobs = folder_of(4, tmp_path)
    theirs = Ledger(SETTINGS).claim(jobs[1])
    assert theirs is not None
    others_done = threading.Event()
    reports: list[Report] = []

    def add(report: Report) -> None:
        reports.append(report)
        if len(reports) == 3:
            others_done.set()

    network = KnownNetwork(radius=1)
    with ThreadPoolExecutor(1) as pool:
        ours = pool.submit(run, Upscaler(network), jobs, ledger=Ledger(SETTINGS), on_report=add)
        assert others_done.wait(TOO_LONG)
        if finished:
            with theirs.noting():
                image.write(Picture(frames=(network.whole(photo(1)),)), jobs[1].target)
        theirs.release()
        assert ours.result(TOO_LONG) == []
    assert reports[3].source == jobs[1].source
    assert reports[3].status == ("done" if finished else "written")
    assert len(network.batches) == (3 if finished else 4)
    assert_right(jobs)

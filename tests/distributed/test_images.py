"""Folders over a cluster: what one machine makes, whatever happens to the head and the workers."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sr_runtime.__main__ import main as one_machine
from sr_runtime.batch.journal import Journal
from sr_runtime.distributed.__main__ import main
from sr_runtime.image.geotiff import is_geotiff
from tests.distributed.conftest import files_of, workers

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("cluster")]


def wait_until(is_true: Callable[[], object]) -> None:
    for _ in range(6000):
        if is_true():
            return
        time.sleep(0.01)
    raise TimeoutError


def noted(folder: Path) -> dict[Path, int]:
    """The inodes of the results that the journals name."""
    results = {}
    for path in folder.rglob("[!.]*.*"):
        journal = Journal(path.parent)
        journal.refresh()
        if journal.records_of(path.name):
            results[path] = path.stat().st_ino
    return results


def test_results_are_those_of_one_machine_though_the_head_and_a_worker_are_killed(
    photos: Path, model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], cluster: str
) -> None:
    one, many = tmp_path / "one", tmp_path / "many"
    if sys.platform == "linux":  # where a name is of any bytes
        shutil.copy(photos / "05.png", photos / os.fsdecode(b"\xff.png"))
    assert one_machine(["upscale", str(photos), "-o", str(one), *model, "-q"]) == 1
    said = capsys.readouterr().err
    words = ["upscale", str(photos), "-o", str(many), *model, "--concurrency", "2", "--resume"]

    command = [sys.executable, "-m", "sr_runtime.distributed", *words, "--address", cluster]
    head = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: noted(many))
    head.kill()
    head.wait()
    wait_until(lambda: not workers())  # Ray ends them
    there = len(files_of(many))  # the last one may not be in the journal yet, and is made again
    first = noted(many)
    assert 0 < len(first) < len(files_of(one))

    def kill_worker() -> None:
        """When it has written an image, and has not told of it."""
        wait_until(lambda: len(files_of(many)) > there)
        os.kill(workers()[0], signal.SIGKILL)

    killing = threading.Thread(target=kill_worker)
    killing.start()
    code = main(words)
    killing.join()

    told = capsys.readouterr()
    assert code == 1
    assert files_of(many) == files_of(one)
    for scene in many.glob("scene.*"):  # where there is the library that made it
        assert is_geotiff(scene)
    assert {path: path.stat().st_ino for path in first} == first  # none was made twice
    assert said.splitlines()[-1] == told.err.splitlines()[-1]  # of the damaged image
    table = [line.split()[:3] for line in told.out.splitlines()]
    assert ["all", str(len(files_of(one)) - len(first)), "1"] in table


def test_what_does_not_fit_into_the_cluster_is_refused_in_one_sentence(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for options in (["--num-gpus", "1"], ["--concurrency", "0"], ["--num-gpus", "-1"]):
        assert main(["upscale", str(photos), *options]) == 2
        assert capsys.readouterr().err.startswith("error: ")
    assert main(["upscale", "-", "-o", "large"]) == 2

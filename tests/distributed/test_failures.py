"""Images that kill their worker and workers with a bug: what ends, and what goes on."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sr_runtime.distributed.__main__ import main
from sr_runtime.distributed.tasks import Settings, Task
from sr_runtime.output_size import OutputSize
from tests.distributed.conftest import files_of

pytest.importorskip("ray.data", exc_type=ImportError)
bands = pytest.importorskip("sr_runtime.distributed.bands")
cluster_of = pytest.importorskip("sr_runtime.distributed.cluster")
images = pytest.importorskip("sr_runtime.distributed.images")
schedule = pytest.importorskip("sr_runtime.distributed.schedule")
worker = pytest.importorskip("sr_runtime.distributed.worker")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("cluster")]

RETRIES = 1


def task(source: Path, target: Path) -> Task:
    return Task(source=str(source), target=str(target), before="")


def test_an_image_that_kills_its_worker_fails_after_a_few_tries_and_no_other_does(
    photos: Path,
    model: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tries, results = tmp_path / "tries", tmp_path / "out"

    class Killed(worker.Worker):  # type: ignore[name-defined,misc]
        def _begin(self, work: Any) -> None:
            if work.job.source.name == "deadly.png":
                with tries.open("a") as file:
                    file.write("x")
                os.kill(os.getpid(), signal.SIGKILL)
            super()._begin(work)

    shutil.copy(photos / "05.png", photos / "deadly.png")
    expected = len(files_of(photos)) - 2  # the damaged one fails too
    monkeypatch.setattr(images, "Worker", Killed)
    monkeypatch.setattr(images, "RETRIES", RETRIES)
    words = ["upscale", str(photos), "-o", str(results), *model, "--concurrency", "2", "-q"]
    assert main(words) == 1
    assert len(files_of(results)) == expected
    assert len(tries.read_text()) == 2 * (RETRIES + 1)
    said = capsys.readouterr().err
    assert "2 failed:" in said
    assert f"deadly.png: its process was killed {2 * (RETRIES + 1)} times" in said


def test_an_image_whose_bands_kill_their_worker_fails_and_the_others_are_made(
    tiny_onnx: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyvips", exc_type=ImportError)
    tries = tmp_path / "tries"

    class Small(worker.Worker):  # type: ignore[name-defined,misc]
        def _begin(self, work: Any) -> None:
            vars(worker)["DEFAULT_MAX_PIXELS"] = 1000
            super()._begin(work)

    class Killed(bands.BandWorker):  # type: ignore[name-defined,misc]
        def band(self, source: str, *rest: Any) -> Any:
            if source.endswith("deadly.tif"):
                with tries.open("a") as file:
                    file.write("x")
                os.kill(os.getpid(), signal.SIGKILL)
            return super().band(source, *rest)

    tasks = []
    for name in ("first", "deadly", "last"):
        pixels = np.random.default_rng(1).integers(0, 255, (90, 50, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.tif")
        tasks.append(task(tmp_path / f"{name}.tif", tmp_path / "out" / f"{name}.png"))
    monkeypatch.setattr(images, "Worker", Small)
    monkeypatch.setattr(schedule, "BandWorker", Killed)
    monkeypatch.setattr(cluster_of, "RETRIES", RETRIES)
    load = {"model": str(tiny_onnx()), "backend": "onnxruntime", "precision": "fp32", "tile": 64}
    settings = Settings(
        load=load, size=OutputSize(), quality=None, max_pixels=None, tileable=None, resume=True
    )
    workers = cluster_of.Workers(count=2, gpus=0)
    # They come in the order in which two workers opened the images.
    made = schedule.upscale_tasks(tasks, settings, workers)
    outcomes = {Path(outcome.target).stem: outcome for outcome in made}
    assert len(outcomes) == 3
    deadly = outcomes.pop("deadly")
    assert (deadly.status, deadly.error) == ("failed", "OutOfMemoryError")
    for good in outcomes.values():
        assert good.status == "written"
        with Image.open(good.target) as result:
            assert result.size == (200, 360)
    assert len(tries.read_text()) <= 2 * (RETRIES + 1)  # of its two bands
    assert not list((tmp_path / "out").glob(".sr-claim-*"))


def test_a_bug_in_a_worker_is_shown_and_does_not_count_as_a_lost_worker(
    photos: Path, tiny_onnx: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wrong(worker.Worker):  # type: ignore[name-defined,misc]
        def _begin(self, work: Any) -> None:
            raise ZeroDivisionError("of a test")

    monkeypatch.setattr(images, "Worker", Wrong)
    load = {"model": str(tiny_onnx()), "backend": "onnxruntime"}
    settings = Settings(load=load, size=OutputSize(), quality=None, max_pixels=None, tileable=None)
    workers = cluster_of.Workers(count=1, gpus=0)
    with pytest.raises(RuntimeError, match="ZeroDivisionError: of a test"):
        list(
            images.upscale_images([task(photos / "00.png", tmp_path / "a.png")], settings, workers)
        )

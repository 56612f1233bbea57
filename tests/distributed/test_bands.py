"""An image that all workers share: the file that one machine makes, also after an interruption."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import sr_runtime
from sr_runtime import BackendError
from sr_runtime.batch.job import Job
from sr_runtime.batch.journal import JOURNAL
from sr_runtime.batch.ledger import Ledger
from sr_runtime.distributed.tasks import Outcome, Settings, Task
from sr_runtime.large.output import LargeOutput
from sr_runtime.large.upscale import upscale_large
from sr_runtime.output_size import OutputSize
from sr_runtime.storage.atomic import atomic_path

pytest.importorskip("pyvips", exc_type=ImportError)
pytest.importorskip("ray.data", exc_type=ImportError)
bands = pytest.importorskip("sr_runtime.distributed.bands")
schedule = pytest.importorskip("sr_runtime.distributed.schedule")
cluster_of = pytest.importorskip("sr_runtime.distributed.cluster")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("cluster")]


@pytest.fixture(scope="module")
def load(tiny_onnx: Any) -> dict[str, Any]:
    return {"model": str(tiny_onnx()), "backend": "onnxruntime", "precision": "fp32", "tile": 64}


@pytest.fixture(scope="module")
def actors(load: dict[str, Any], cluster: None) -> Iterator[list[Any]]:
    settings = Settings(load=load, size=OutputSize(), quality=None, max_pixels=None, tileable=None)
    with cluster_of.Workers(count=2, gpus=0).actors(bands.BandWorker, settings) as made:
        yield made


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "scan.tif"
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (300, 50, 4), np.uint8)).save(path)
    return path


@pytest.mark.parametrize("size", [OutputSize(), OutputSize(scale=1.7)])
def test_bands_of_many_workers_make_the_file_of_one(
    size: OutputSize, scan: Path, load: dict[str, Any], actors: list[Any], tmp_path: Path
) -> None:
    one, many = tmp_path / "one.png", tmp_path / "many.png"
    with sr_runtime.load(**load) as upscaler:
        upscale_large(upscaler, scan, LargeOutput(one), size=size)
    bands.upscale_by_bands(actors, str(scan), LargeOutput(many), size=size)
    assert many.read_bytes() == one.read_bytes()


@pytest.mark.parametrize("finished", [True, False])
def test_an_image_of_bands_is_noted_once_by_whoever_claims_it(
    finished: bool, scan: Path, actors: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "PATIENCE", 0.01)
    job = Job.of(scan, tmp_path / "out.png")
    task = Task(source=str(scan), target=str(job.target), before="")
    settings = Settings(
        load={}, size=OutputSize(), quality=None, max_pixels=None, tileable=None, resume=True
    )
    begun = Outcome(target=str(job.target), worker="", status="written")
    theirs = Ledger({"model": "a"}).claim(job)
    assert theirs is not None
    with ThreadPoolExecutor(1) as pool:
        ours = pool.submit(schedule._upscale, task, settings, actors, begun, Ledger({"model": "a"}))
        time.sleep(0.1)
        assert not ours.done()
        if finished:
            with theirs.noting():
                Image.new("RGB", (4, 4)).save(tmp_path / "made.png")
                with atomic_path(job.target) as temporary:
                    (tmp_path / "made.png").replace(temporary)
        theirs.release()
        assert ours.result(60).status == ("done" if finished else "written")
    assert Ledger({"model": "a"}).is_done(job)
    assert (job.place / JOURNAL).read_text("utf-8").count('"target"') == 1


@pytest.mark.parametrize("options", [{"img_channels": 1}, {"io": "uint8"}])
def test_models_of_gray_and_of_bytes_have_a_test_image_too(
    options: dict[str, Any], load: dict[str, Any], tiny_onnx: Any
) -> None:
    load = load | {"model": str(tiny_onnx(**options))}
    settings = Settings(load=load, size=OutputSize(), quality=None, max_pixels=None, tileable=None)
    worker = bands.BandWorker(settings)
    assert worker.fingerprint()["the pixels of a test image"]


def test_workers_that_compute_other_pixels_make_no_bands_with_the_others(
    scan: Path, load: dict[str, Any], actors: list[Any], tmp_path: Path
) -> None:
    class OtherEngine(bands.BandWorker):  # type: ignore[name-defined,misc]
        """Computes less precisely, though all that it says of itself is the same."""

        def __init__(self, settings: Settings) -> None:
            super().__init__(settings)
            backend = self.upscaler.backend
            submit = backend.submit
            backend.submit = lambda batch: submit(batch.astype(np.float16).astype(np.float32))

    settings = Settings(load=load, size=OutputSize(), quality=None, max_pixels=None, tileable=None)
    with cluster_of.Workers(count=1, gpus=0).actors(OtherEngine, settings) as (other,):
        with pytest.warns(RuntimeWarning, match="1 of 3 workers.*the pixels of a test image"):
            assert bands.alike([other, *actors]) == actors
        with pytest.raises(BackendError, match="was started anew"):
            bands.upscale_by_bands(
                [actors[0], other], str(scan), LargeOutput(tmp_path / "a.png"), size=OutputSize()
            )


def test_one_machine_and_many_go_on_with_each_others_bands(
    scan: Path, load: dict[str, Any], actors: list[Any], tmp_path: Path
) -> None:
    target = tmp_path / "large.png"

    def stop(done: int, total: int) -> None:
        if done > total // 2:
            raise InterruptedError

    with sr_runtime.load(**load) as upscaler:
        whole = upscaler.upscale(np.asarray(Image.open(scan)))
        with pytest.raises(InterruptedError):
            upscale_large(upscaler, scan, LargeOutput(target), size=OutputSize(), progress=stop)
    assert (tmp_path / "large.png.part" / "rows").stat().st_size > 0
    bands.upscale_by_bands(actors, str(scan), LargeOutput(target), size=OutputSize())
    np.testing.assert_array_equal(np.asarray(Image.open(target)), whole)

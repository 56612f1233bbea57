"""Folders of images, several of them at once: results, failures, errors and Ctrl-C."""

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from sr_runtime import ArgumentError, ModelError, OutOfMemoryError, Upscaler, image
from sr_runtime.backends.base import Limits
from sr_runtime.backends.choice import open_backend
from sr_runtime.batch.job import Job
from sr_runtime.batch.run import run_jobs
from sr_runtime.image import encode, header, reader
from sr_runtime.image.png_encoder import write_png
from sr_runtime.output_size import OutputSize
from tests.running import own_threads
from tests.runtime.known_network import KnownNetwork
from tests.runtime.tiny_engine import engine_file
from tests.simulated_tensorrt import simulated

TOO_LONG = 30  # seconds after which nothing is going to happen any more

run = partial(run_jobs, size=OutputSize())


def photo(number: int) -> NDArray[np.uint8]:
    """A photo whose width tells its number."""
    return np.random.default_rng(number).integers(0, 256, (24, 20 + number, 3), np.uint8)


def folder_of(count: int, folder: Path, *, broken: Sequence[int] = ()) -> list[Job]:
    jobs = []
    for number in range(count):
        source = folder / f"{number:03}.png"
        PIL.Image.fromarray(photo(number)).save(source)
        if number in broken:
            source.write_bytes(source.read_bytes()[:200])
        jobs.append(Job.of(source, folder / "out" / source.name))
    return jobs


def result_of(job: Job) -> NDArray[np.uint8]:
    with PIL.Image.open(job.target) as result:
        return np.asarray(result)


def number_of(batch: NDArray[Any]) -> int:
    """The number of the photo in a batch."""
    return batch.shape[3] - 20


@pytest.mark.parametrize("images", [1, 2, 5])
def test_every_image_gets_its_own_result(images: int, tmp_path: Path) -> None:
    jobs = folder_of(23, tmp_path)
    network = KnownNetwork(radius=1, limits=Limits(depth=3, images=images))
    assert run(Upscaler(network, tile=24), jobs) == []
    for number, job in enumerate(jobs):
        np.testing.assert_array_equal(result_of(job), network.whole(photo(number)))
    assert len(list((tmp_path / "out").iterdir())) == len(jobs)


def test_a_cpu_takes_the_images_in_their_order_one_at_a_time(tmp_path: Path) -> None:
    network = KnownNetwork(radius=1)
    assert run(Upscaler(network), folder_of(12, tmp_path)) == []
    assert [shape[3] - 20 for shape in network.batches] == list(range(12))


def test_images_of_one_tile_shape_are_taken_together_where_a_new_shape_costs(
    tmp_path: Path,
) -> None:
    jobs = folder_of(9, tmp_path, broken=[4])
    for number, job in enumerate(jobs):
        if number not in (2, 4, 5):  # and all others are of one size
            PIL.Image.fromarray(photo(0)).save(job.source)
    network = KnownNetwork(radius=1, limits=Limits(depth=2, shape_cost=1))
    failures = run(Upscaler(network), jobs)
    assert [failure.source for failure in failures] == [jobs[4].source]
    assert [shape[3] - 20 for shape in network.batches] == [0] * 6 + [2, 5]


def test_a_cpu_works_one_image_ahead_of_the_writer_and_no_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, jobs, write = KnownNetwork(radius=1), folder_of(8, tmp_path), image.Output.write

    def slow_write(output: image.Output, picture: image.Picture) -> None:
        write(output, picture)
        time.sleep(0.05)
        written = len(list((tmp_path / "out").iterdir()))
        assert len(network.batches) <= written + 1

    monkeypatch.setattr(image.Output, "write", slow_write)
    assert run(Upscaler(network), jobs) == []


def test_two_images_are_on_two_gpus_at_once(tiny_onnx: Callable[..., Path], tmp_path: Path) -> None:
    jobs = folder_of(2, tmp_path)
    with simulated(gpus=2) as machine:
        engine = engine_file(tiny_onnx(precision="fp16"), tmp_path)
        backend = open_backend("tensorrt", engine, device="cuda:0,cuda:1", precision="fp16")
        with Upscaler(backend) as upscaler:
            assert len(upscaler.plan(*photo(1).shape[:2])) == 1
            together, seen = threading.Barrier(2), []

            def meet(gpu: int) -> None:
                together.wait(TOO_LONG)
                seen.append(gpu)

            for number, gpu in enumerate(machine.gpus):
                gpu.at_work = partial(meet, number)
            assert run(upscaler, jobs) == []
    assert sorted(seen) == [0, 1]


def test_on_one_gpu_the_next_image_begins_before_the_last_one_ends(tmp_path: Path) -> None:
    class Gpu(KnownNetwork):
        """Computes an image only when the other one is there too."""

        together = threading.Barrier(2)

        def answer(self, batch: NDArray[Any]) -> NDArray[np.float32]:
            self.together.wait(TOO_LONG)
            return super().answer(batch)

    network = Gpu(radius=1, limits=Limits(depth=3, images=2))
    assert run(Upscaler(network), folder_of(2, tmp_path)) == []


def test_failures_are_returned_in_the_order_of_the_jobs(tmp_path: Path) -> None:
    class Damaged(KnownNetwork):
        """The first image fails, once the third is being computed."""

        third = threading.Event()

        def answer(self, batch: NDArray[Any]) -> NDArray[np.float32]:
            if number_of(batch) == 0:
                assert self.third.wait(TOO_LONG)
                return super().answer(batch) * np.float32(np.nan)
            if number_of(batch) == 2:
                self.third.set()
            return super().answer(batch)

    jobs = folder_of(7, tmp_path, broken=[1, 5])
    jobs[3].target.mkdir(parents=True)  # where it cannot be written
    jobs[4] = Job.of(tmp_path / "missing.png", jobs[4].target)
    network = Damaged(radius=1, limits=Limits(depth=2, images=2))
    failures = run(Upscaler(network), jobs)
    assert [failure.source for failure in failures] == [jobs[i].source for i in (0, 1, 3, 4, 5)]
    for number in (2, 6):
        np.testing.assert_array_equal(result_of(jobs[number]), network.whole(photo(number)))
    assert network.in_flight == 0


@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("method", ["read", "upscale", "write"])
def test_an_image_that_needs_too_much_memory_fails_and_the_others_go_on(
    method: str, images: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever takes too much memory: its header and pixels, its upscaling, its result."""

    def short_of_memory(call: Callable[..., Any], large: Callable[..., bool]) -> Callable[..., Any]:
        def attempt(*arguments: Any, **options: Any) -> Any:
            if large(*arguments):
                raise MemoryError("Unable to allocate 3 GiB")
            return call(*arguments, **options)

        return attempt

    jobs = folder_of(5, tmp_path)
    width = photo(2).shape[1]
    if method == "read":
        opened = short_of_memory(
            header.opened, lambda file, _: Path(file.name).name == jobs[2].source.name
        )
        monkeypatch.setattr(header, "opened", opened)
        monkeypatch.setattr(reader, "opened", opened)
    elif method == "upscale":
        upscaled = short_of_memory(
            Upscaler.upscale_picture, lambda _, picture: picture.frames[0].shape[1] == width
        )
        monkeypatch.setattr(Upscaler, "upscale_picture", upscaled)
    else:
        written = short_of_memory(write_png, lambda frame, *_: frame.shape[1] == 2 * width)
        monkeypatch.setattr(encode, "write_png", written)
    network = KnownNetwork(radius=1, limits=Limits(depth=2, images=images))
    (failure,) = run_jobs(Upscaler(network), jobs, size=OutputSize())
    monkeypatch.undo()
    assert failure.source == jobs[2].source
    assert isinstance(failure.error, OutOfMemoryError)
    assert str(failure).startswith(f"{jobs[2].source}: ")
    assert "smaller image" in str(failure)
    for number in (0, 1, 3, 4):
        np.testing.assert_array_equal(result_of(jobs[number]), network.whole(photo(number)))


def test_a_failure_names_its_image_once_and_the_file_that_failed(tmp_path: Path) -> None:
    jobs = folder_of(3, tmp_path, broken=[0])
    jobs[1].target.mkdir(parents=True)  # where it cannot be written
    unreadable, unwritable = run(Upscaler(KnownNetwork(radius=1)), jobs)
    assert str(unreadable).count(str(jobs[0].source)) == 1
    assert str(unwritable).startswith(f"{jobs[1].source}: {jobs[1].target}: ")


@pytest.mark.parametrize("images", [1, 3])
def test_a_model_that_does_not_work_ends_the_run(images: int, tmp_path: Path) -> None:
    class Wrong(KnownNetwork):
        def answer(self, batch: NDArray[Any]) -> NDArray[np.float32]:
            output = super().answer(batch)
            return output[:, :, 1:] if number_of(batch) == 5 else output

    jobs = folder_of(60, tmp_path)
    network = Wrong(radius=1, limits=Limits(depth=3, images=images))
    upscaler = Upscaler(network)
    threads = own_threads()
    with pytest.raises(ModelError, match="scale 2"):
        run(upscaler, jobs)
    assert own_threads() == threads
    assert_ended_early(jobs, network)
    assert len(run(upscaler, jobs[6:])) == 0  # and nobody holds anything of it


def test_a_model_that_fails_leaves_no_empty_folder(tmp_path: Path) -> None:
    class Wrong(KnownNetwork):
        def answer(self, batch: NDArray[Any]) -> NDArray[np.float32]:
            return super().answer(batch)[:, :, 1:]

    place = tmp_path / "a/b"
    jobs = [Job.of(job.source, place / job.result) for job in folder_of(3, tmp_path)]
    with pytest.raises(ModelError, match="scale 2"):
        run(Upscaler(Wrong(radius=1)), jobs)
    assert not (tmp_path / "a").exists()


def test_a_quality_is_for_the_results_that_have_one(tmp_path: Path) -> None:
    jobs = folder_of(2, tmp_path)
    jobs[1] = Job.of(jobs[1].source, jobs[1].target.with_suffix(".jpg"))
    assert run(Upscaler(KnownNetwork(radius=1)), jobs, quality=5) == []
    assert jobs[1].target.stat().st_size < 3000
    for some, quality in ((jobs[:1], 5), (jobs, 101), (jobs, "lossless")):
        with pytest.raises(ArgumentError, match=r"quality|lossless"):
            run(Upscaler(KnownNetwork(radius=1)), some, quality=quality)


@pytest.mark.usefixtures("hears_signals")
@pytest.mark.parametrize("images", [1, 3])
def test_ctrl_c_ends_the_run_with_nothing_half_written(images: int, tmp_path: Path) -> None:
    class Interrupting(KnownNetwork):
        def answer(self, batch: NDArray[Any]) -> NDArray[np.float32]:
            if number_of(batch) == 5:
                os.kill(os.getpid(), signal.SIGINT)
            if number_of(batch) >= 5:
                time.sleep(0.05)
            return super().answer(batch)

    jobs = folder_of(60, tmp_path)
    network = Interrupting(radius=1, limits=Limits(depth=3, images=images))
    threads = own_threads()
    with pytest.raises(KeyboardInterrupt):
        run(Upscaler(network), jobs)
    assert own_threads() == threads
    assert_ended_early(jobs, network)


def assert_ended_early(jobs: Sequence[Job], network: KnownNetwork) -> None:
    """Some results are missing, the others are complete, and there is nothing else."""
    targets = {job.target: number for number, job in enumerate(jobs)}
    written = list(jobs[0].target.parent.iterdir())
    assert len(written) < len(jobs)
    for path in written:
        number = targets[path]
        np.testing.assert_array_equal(result_of(jobs[number]), network.whole(photo(number)))
    assert network.in_flight == 0

"""One upscaler in several threads: each gets what it would get alone, even if another fails."""

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sr_runtime import BackendError, NonFiniteError, Upscaler
from sr_runtime.backends.base import Backend, Limits, infer
from sr_runtime.backends.choice import open_backend
from sr_runtime.backends.multi_device import MultiDeviceBackend
from sr_runtime.in_flight import InFlightLimiter
from tests.runtime.in_threads import TOO_LONG, in_threads, photo
from tests.runtime.known_network import KnownNetwork, Submitted
from tests.runtime.simulated_onnxruntime import simulated_cuda_provider
from tests.runtime.tiny_engine import engine_file
from tests.simulated_tensorrt import VERSIONS, simulated


@contextlib.contextmanager
def opened(kind: str, tiny_onnx: Callable[..., Path], folder: Path) -> Iterator[Backend]:
    """OpenVINO, or two GPUs with one of the other engines."""
    if kind == "openvino":
        yield open_backend("openvino", tiny_onnx(), device="cpu", precision="auto")
    elif kind == "onnxruntime":
        with simulated_cuda_provider(gpus=2) as machine:
            yield open_backend(kind, tiny_onnx(), device="cuda:0,cuda:1", precision="auto")
            assert all(gpu.is_clean for gpu in machine.gpus)
    else:
        rtx = kind == "tensorrt-rtx"
        with simulated(None if rtx else kind, rtx=rtx, gpus=2) as machine:
            engine = engine_file(tiny_onnx(precision="fp16"), folder)
            yield open_backend(machine.kind, engine, device="cuda:0,cuda:1", precision="fp16")
            assert all(gpu.is_clean for gpu in machine.gpus)


every_engine = pytest.mark.parametrize(
    "kind", ["openvino", "onnxruntime", "tensorrt-rtx", *VERSIONS]
)


@pytest.mark.slow
@every_engine
def test_every_thread_gets_what_it_would_get_alone(
    kind: str, tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    images = [photo(40 + 9 * i, 100 - 8 * i, seed=i) for i in range(8)]
    with (
        opened(kind, tiny_onnx, tmp_path) as backend,
        Upscaler(backend, tile=48) as upscaler,
    ):
        alone = [upscaler.upscale(image) for image in images]
        together = in_threads(upscaler.upscale, images)
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
@every_engine
def test_failed_batches_keep_no_slot(
    kind: str, tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    with opened(kind, tiny_onnx, tmp_path) as backend:
        good = np.zeros((1, 3, 16, 16), np.float32)
        before = infer(backend, good)
        for _ in range(100):
            handles = [backend.submit(good[:, :2]) for _ in range(backend.limits.depth)]
            with pytest.raises(BackendError):
                handles[0].result()
            for handle in handles:
                handle.release()
        np.testing.assert_array_equal(infer(backend, good), before)
        backend.shrink()
        np.testing.assert_array_equal(infer(backend, good), before)
        backend.close()


@pytest.mark.parametrize("tta", [False, True])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_more_threads_than_slots_do_not_deadlock(depth: int, tta: bool) -> None:
    network = KnownNetwork(radius=2, limits=Limits(depth=depth, batch=2))
    upscaler = Upscaler(network, tile=20, tta=tta)
    images = [photo(40 + i, 50, seed=i) for i in range(4)]
    alone = [Upscaler(KnownNetwork(radius=2), tile=20, tta=tta).upscale(x) for x in images]
    for one, other in zip(in_threads(upscaler.upscale, images), alone, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_image_is_submitted_whole_before_one_of_another_shape() -> None:
    """An engine must not switch shapes for every batch."""
    network = KnownNetwork(radius=1, limits=Limits(depth=2))
    upscaler = Upscaler(network, tile=20)
    images = [photo(200, 200), photo(15, 300), photo(300, 13)]
    in_threads(upscaler.upscale, images)
    assert len({shape[2:] for shape in network.batches}) == 3
    assert len([shape for shape, _ in itertools.groupby(network.batches)]) == 3


def test_images_of_one_shape_are_submitted_side_by_side() -> None:
    together = threading.Barrier(2)

    class Meeting(KnownNetwork):
        def submit(self, batch: NDArray[Any]) -> Submitted:
            together.wait(TOO_LONG)
            return super().submit(batch)

    network = Meeting(radius=1, limits=Limits(depth=4))
    images = [photo(60, 60, seed=i) for i in range(2)]
    for image, result in zip(
        images, in_threads(Upscaler(network, tile=20).upscale, images), strict=True
    ):
        np.testing.assert_array_equal(result, network.whole(image))


def test_a_waiting_shape_comes_before_more_images_of_the_current_one() -> None:
    room, order = InFlightLimiter(1), []
    submitting = threading.Event()

    def image(shape: tuple[int, int]) -> None:
        holder = room.holder(shape)
        with room.turn(holder):
            order.append(shape)
            submitting.wait(TOO_LONG)

    threads = []
    for number, shape in enumerate([(1, 1), (2, 2), (1, 1)]):
        threads.append(threading.Thread(target=image, args=(shape,), daemon=True))
        threads[-1].start()
        while sum(holder.waiting for holder in room._holders) + len(order) <= number:
            time.sleep(0.001)
    assert order == [(1, 1)]
    submitting.set()
    for thread in threads:
        thread.join(TOO_LONG)
    assert sorted(order) == [(1, 1), (1, 1), (2, 2)]


def test_running_out_of_memory_in_one_thread_does_not_change_the_result_of_another() -> None:
    class SmallMemory(KnownNetwork):
        """Computes one image only once the other has run out of memory."""

        refused = threading.Event()

        def submit(self, batch: NDArray[Any]) -> Submitted:
            submitted = super().submit(batch)
            if not submitted.fits:
                self.refused.set()
            return submitted

        def answer(self, batch: NDArray[Any]) -> NDArray[np.float32]:
            assert self.refused.wait(TOO_LONG)
            return super().answer(batch)

    network = SmallMemory(radius=2, memory=40 * 40, limits=Limits(depth=3))
    upscaler = Upscaler(network, tile=64)
    images = [photo(150, 130), photo(30, 40, seed=1)]
    with pytest.warns(RuntimeWarning, match="no room: continuing with tiles of"):
        results = in_threads(upscaler.upscale, images)
    assert network.shrunk > 0
    for image, result in zip(images, results, strict=True):
        np.testing.assert_array_equal(result, network.whole(image))


def test_threads_that_run_out_of_memory_together_shrink_the_tiles_once() -> None:
    together = threading.Barrier(2)

    class Meeting(Submitted):
        def result(self) -> NDArray[Any]:
            if not self.fits:
                together.wait(TOO_LONG)
            return super().result()

    class SmallMemory(KnownNetwork):
        def submit(self, batch: NDArray[Any]) -> Submitted:
            submitted = super().submit(batch)
            return Meeting(self, batch, submitted.fits)

    network = SmallMemory(radius=2, memory=40 * 40, limits=Limits(depth=2))
    upscaler = Upscaler(network, tile=80)
    images = [photo(80, 80, seed=i) for i in range(2)]
    with pytest.warns(RuntimeWarning, match="tiles of 40 instead of 80") as said:
        results = in_threads(upscaler.upscale, images)
    assert len(said) == 1
    for image, result in zip(images, results, strict=True):
        np.testing.assert_array_equal(result, network.whole(image))


@pytest.mark.slow
def test_a_full_simulated_gpu_serves_all_threads_with_smaller_tiles(
    tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    images = [photo(96, 150, seed=i) for i in range(4)]
    with (
        opened(VERSIONS[-1], tiny_onnx, tmp_path) as backend,
        Upscaler(backend, tile=48, halo=16) as upscaler,
    ):
        expected = [upscaler.upscale(image) for image in images]
    with simulated(gpus=2) as machine:
        backend = open_backend(
            "tensorrt", tmp_path / "tiny.engine", device="cuda:0,cuda:1", precision="fp16"
        )
        with Upscaler(backend, tile=96, halo=16) as upscaler:
            machine.gpus[1].total -= machine.gpus[1].free - 6_000_000
            with pytest.warns(RuntimeWarning, match="tiles of 48 instead of 96"):
                results = in_threads(upscaler.upscale, images)
    for one, other in zip(results, expected, strict=True):
        # The GPU that is not full computes some in larger tiles, which add in another order.
        assert np.abs(one.astype(int) - other).max() <= 1


def test_failed_images_keep_no_slot() -> None:
    class Failing(KnownNetwork):
        fails: type[Exception] | None = None

        def submit(self, batch: NDArray[Any]) -> Submitted:
            if self.fails is RuntimeError:
                raise RuntimeError
            return super().submit(batch)

        def answer(self, batch: NDArray[Any]) -> NDArray[np.float32]:
            if self.fails is NonFiniteError:
                return super().answer(batch) * np.float32(np.nan)
            return super().answer(batch)

    def cancelled(done: int, total: int) -> None:
        raise TimeoutError

    networks = [Failing(radius=1, limits=Limits(depth=2)) for _ in range(2)]
    upscaler = Upscaler(MultiDeviceBackend(networks), tile=20)
    image = photo(60, 60)
    for _ in range(100):
        for fails in (NonFiniteError, RuntimeError):
            for network in networks:
                network.fails = fails
            with pytest.raises(fails):
                upscaler.upscale(image)
        for network in networks:
            network.fails = None
        with pytest.raises(TimeoutError):
            upscaler.upscale(image, progress=cancelled)
    np.testing.assert_array_equal(upscaler.upscale(image), networks[0].whole(image))
    assert [network.in_flight for network in networks] == [0, 0]

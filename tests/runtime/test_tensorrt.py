"""Engines on a simulated GPU: outputs, two batches in flight, threads, and memory."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sr_runtime.backends.base import infer
from sr_runtime.backends.onnxruntime.cpu import OnnxRuntimeBackend
from sr_runtime.backends.tensorrt.options import Profile
from sr_runtime.errors import BackendError, OutOfMemoryError
from sr_runtime.upscaler import Upscaler
from tests.runtime.tiny_engine import (
    batches,
    engine_file,
    expected,
    open_engine,
    same_in_flight,
)
from tests.simulated_tensorrt import Machine, simulated


@pytest.mark.slow
@pytest.mark.parametrize("io", ["float32", "uint8"])
def test_outputs_equal_the_models_own_to_the_last_bit(
    io: str, runner: Machine, tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    model = tiny_onnx(precision="fp16", io=io)
    backend = open_engine(engine_file(model, tmp_path))
    inputs = batches(io, *[(2, 16, 24)] * 6, *[(1, 32, 16)] * 3, *[(4, 16, 24)] * 5)
    assert same_in_flight(backend, inputs, model)
    assert runner.gpu.launches > 0, "no CUDA graph was used"
    backend.close()
    assert runner.gpu.is_clean


@pytest.mark.slow
def test_an_engine_goes_on_when_an_interrupt_lost_every_pending_batch(
    runner: Machine, tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    model = tiny_onnx(precision="fp16")
    backend = open_engine(engine_file(model, tmp_path))
    inputs = batches("float32", *[(2, 16, 24)] * 4)
    for _ in range(backend.limits.depth):
        backend.submit(inputs[0])  # Ctrl-C before the caller could keep it
    assert same_in_flight(backend, inputs, model)
    backend.close()
    assert runner.gpu.is_clean


def test_ctrl_c_during_a_capture_leaves_no_stream_recording(
    machine: Machine,
    tiny_onnx: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = tiny_onnx(precision="fp16")
    backend = open_engine(engine_file(model, tmp_path))
    inputs = batches("float32", *[(1, 16, 16)] * 6)
    for batch in inputs[:2]:  # once in each slot; the next run there is captured
        infer(backend, batch)
    context = type(backend._slots[0]._context)
    execute = context.execute_async_v3

    def interrupted(*arguments: object) -> bool:
        execute(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(context, "execute_async_v3", interrupted)
        with pytest.raises(KeyboardInterrupt):
            backend.submit(inputs[2])
    assert all(stream.capture is None for stream in machine.gpu.streams.values())
    assert same_in_flight(backend, inputs, model)
    assert machine.gpu.launches > 0
    backend.close()
    assert machine.gpu.is_clean


def test_pycuda_gives_the_same(tiny_onnx: Callable[..., Path], tmp_path: Path) -> None:
    model = tiny_onnx(precision="fp16")
    with simulated(pycuda=True, bindings=False) as machine:
        backend = open_engine(engine_file(model, tmp_path))
        assert same_in_flight(backend, batches("float32", *[(2, 16, 24)] * 4), model)
        backend.close()
        assert machine.gpu.is_empty


def test_an_image_is_upscaled_as_onnxruntime_upscales_it(
    runner: Machine, tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    model = tiny_onnx(precision="fp16")
    image = np.random.default_rng(1).integers(0, 256, (70, 83, 3), np.uint8)
    backend = open_engine(engine_file(model, tmp_path))
    other = OnnxRuntimeBackend(model, device="cpu", precision="fp32")
    # So that the image is cut into the same tiles.
    other.limits = replace(backend.limits, pixels=False)
    with (
        Upscaler(backend, tile=48, halo=8) as ours,
        Upscaler(other, tile=48, halo=8) as theirs,
    ):
        np.testing.assert_array_equal(ours.upscale(image), theirs.upscale(image))
    assert runner.gpu.is_clean


def test_a_result_stays_while_other_batches_are_taken(
    runner: Machine, tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    model = tiny_onnx(precision="fp16")
    backend = open_engine(engine_file(model, tmp_path))
    first, *others = batches("float32", *[(1, 16, 16)] * 4)
    pending = backend.submit(first)
    result = pending.result()
    for other in others:
        np.testing.assert_array_equal(infer(backend, other), expected(model, other))
    np.testing.assert_array_equal(result, expected(model, first))
    pending.release()
    backend.close()


def test_a_batch_that_nobody_takes_does_not_harm_the_next_in_its_place(
    runner: Machine, tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    model = tiny_onnx(precision="fp16")
    backend = open_engine(engine_file(model, tmp_path))
    for batch in batches("float32", *[(1, 16 * (1 + i), 16) for i in range(5)]):
        backend.submit(batch).release()  # and the next frees its buffers for larger ones
    assert same_in_flight(backend, batches("float32", *[(1, 96, 16)] * 4), model)
    backend.close()


def test_goes_on_without_graphs_where_nothing_can_be_captured(
    runner: Machine, tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    runner.gpu.capturing_fails = True
    model = tiny_onnx(precision="fp16")
    backend = open_engine(engine_file(model, tmp_path))
    assert same_in_flight(backend, batches("float32", *[(1, 16, 16)] * 6), model)
    assert runner.gpu.launches == 0
    backend.close()
    assert runner.gpu.is_clean


def test_any_thread_may_use_it_and_finds_its_own_context_afterwards(
    runner: Machine, tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    model = tiny_onnx(precision="fp16")
    backend = open_engine(engine_file(model, tmp_path))
    right = []
    thread = threading.Thread(
        target=lambda: right.append(
            same_in_flight(backend, batches("float32", *[(1, 16, 16)] * 3), model)
        )
    )
    thread.start()
    thread.join()
    assert right == [True]
    backend.close()
    assert runner.stack == []


def test_a_batch_outside_the_profile_fails_alone(
    runner: Machine, tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    model = tiny_onnx(precision="fp16")
    backend = open_engine(engine_file(model, tmp_path))
    good, bad = batches("float32", (1, 16, 16), (1, 16, 200))
    pending = [backend.submit(good), backend.submit(bad)]
    np.testing.assert_array_equal(pending[0].result(), expected(model, good))
    with pytest.raises(BackendError, match="1×3×16×200"):
        pending[1].result()
    for one in pending:
        one.release()
    np.testing.assert_array_equal(infer(backend, good), expected(model, good))
    backend.close()


def test_tiles_are_as_large_as_profile_and_memory_allow(
    runner: Machine, tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    path = engine_file(tiny_onnx(precision="fp16"), tmp_path)
    backend = open_engine(path)
    limits = backend.limits
    backend.close()
    assert (limits.min_tile, limits.max_tile) == ((16, 16), (96, 96))
    assert (limits.tile, limits.batch, limits.depth) == (96, 1, 2)
    runner.gpu.total = 8_000_000
    backend = open_engine(path)
    largest = backend.limits.max_tile
    assert 48 <= max(largest) < 96
    (batch,) = batches("float32", (backend.limits.batch, *largest))
    pending = [backend.submit(batch), backend.submit(batch)]
    assert all(one.result().shape[2] == 4 * largest[0] for one in pending)
    backend.close()


@pytest.mark.parametrize(
    ("shapes", "batch"),
    [
        (("1x16x16", "4x48x48", "8x64x64"), 2),  # of 64×64 about the pixels of four of 48×48
        (("1x16x16", "4x48x48", "8x96x96"), 1),
        (("2x16x16", "2x48x48", "4x96x96"), 2),  # no fewer than the profile takes
        (("1x16x16", "1x48x48", "4x48x48"), 1),
    ],
)
def test_a_batch_has_about_the_pixels_that_the_engine_was_optimised_for(
    shapes: tuple[str, str, str], batch: int, tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    with simulated():
        profile = Profile.parse(*shapes)
        backend = open_engine(engine_file(tiny_onnx(precision="fp16"), tmp_path, profile))
        assert backend.limits.batch == batch
        backend.close()


@pytest.mark.slow
def test_an_image_is_finished_with_smaller_tiles_where_memory_runs_out(
    runner: Machine, tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    model = tiny_onnx(precision="fp16")
    image = np.random.default_rng(1).integers(0, 256, (96, 150, 3), np.uint8)
    with Upscaler(open_engine(engine_file(model, tmp_path)), tile=96, halo=16) as upscaler:
        runner.gpu.total -= runner.gpu.free - 6_000_000  # another process takes the rest
        with pytest.warns(RuntimeWarning, match="tiles of 48 instead of 96"):
            result = upscaler.upscale(image)
    with Upscaler(
        OnnxRuntimeBackend(model, device="cpu", precision="fp32"), tile=48, halo=16
    ) as other:
        np.testing.assert_array_equal(result, other.upscale(image))


def test_an_engine_without_enough_memory_names_the_missing_amount(
    runner: Machine, tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    backend = open_engine(engine_file(tiny_onnx(precision="fp16"), tmp_path))
    runner.gpu.total -= runner.gpu.free - 1_000_000
    (batch,) = batches("float32", (2, 96, 96))
    pending = backend.submit(batch)
    with pytest.raises(OutOfMemoryError, match=r"cuda:0: not enough memory for \d+ MB more"):
        pending.result()
    pending.release()
    backend.close()


def test_closing_waits_for_what_is_in_flight(
    runner: Machine, tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    backend = open_engine(engine_file(tiny_onnx(precision="fp16"), tmp_path))
    for batch in batches("float32", (1, 16, 16), (1, 16, 16)):
        backend.submit(batch)
    backend.close()
    assert runner.gpu.is_clean

"""The progress of a build, and its end on request, by Ctrl-C or by an error."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sr_export.stages import BuildFraction
from sr_runtime.backends.tensorrt.options import BuildOptions, Kind, Profile
from sr_runtime.errors import BackendError
from tests.simulated_tensorrt import Machine


def build(model: Path, kind: Kind = "tensorrt", **arguments: Any) -> Any:
    from sr_runtime.backends.tensorrt.build import build_engine

    profile = Profile.parse("1x16x16", "2x32x32", "4x64x64")
    return build_engine(model, BuildOptions(kind=kind, profile=profile), **arguments)


def test_progress_tells_phase_step_and_how_many(
    builder: Kind, tiny_onnx: Callable[..., Path]
) -> None:
    seen: dict[str, list[tuple[int, int]]] = {}
    shares: list[float] = []
    fraction = BuildFraction(shares.append)

    def progress(phase: str, done: int, total: int) -> None:
        seen.setdefault(phase, []).append((done, total))
        fraction(phase, done, total)

    build(tiny_onnx(precision="fp16"), builder, progress=progress)
    assert len(seen) > 1
    for steps in seen.values():
        assert all(0 <= done <= total for done, total in steps)
        assert steps[0][0] == 0
        assert steps[-1][0] == steps[-1][1]
    assert shares == sorted(shares)
    assert 0.3 < shares[-1] < 1


def test_a_build_can_be_cancelled(builder: Kind, tiny_onnx: Callable[..., Path]) -> None:
    asked = []

    def cancelled() -> bool:
        asked.append(None)
        return len(asked) > 3

    with pytest.raises(BackendError, match="was cancelled"):
        build(tiny_onnx(precision="fp16"), builder, cancelled=cancelled)
    assert len(asked) < 10  # it has ended, and not gone on to the last step


def test_a_build_that_is_cancelled_leaves_nothing_on_the_gpu(
    machine: Machine, tiny_onnx: Callable[..., Path]
) -> None:
    with pytest.raises(BackendError, match="was cancelled"):
        build(tiny_onnx(precision="fp16"), cancelled=lambda: True)
    assert machine.library.builds == 0
    assert machine.gpu.is_clean


@pytest.mark.usefixtures("hears_signals")
def test_impatient_ctrl_c_is_raised_once_when_the_build_has_ended(
    builder: Kind, tiny_onnx: Callable[..., Path]
) -> None:
    ended: list[int] = []
    heard_after: list[list[int]] = []

    def hear(number: int, frame: object) -> None:
        heard_after.append(ended.copy())
        raise KeyboardInterrupt

    def progress(phase: str, done: int, total: int) -> None:
        if done == 2 and not ended:
            for _ in range(20):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.02)  # the builder is deep in a step, as it is for seconds
            ended.append(done)

    signal.signal(signal.SIGINT, hear)
    with pytest.raises(KeyboardInterrupt):
        build(tiny_onnx(precision="fp16"), builder, progress=progress)
    assert heard_after == [[2]]
    assert signal.getsignal(signal.SIGINT) is hear


@pytest.mark.usefixtures("hears_signals")
def test_ctrl_c_leaves_nothing_on_the_gpu(machine: Machine, tiny_onnx: Callable[..., Path]) -> None:
    machine.library.steps, machine.library.step_seconds = 10_000, 0.01

    def progress(phase: str, done: int, total: int) -> None:
        if done == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        build(tiny_onnx(precision="fp16"), progress=progress)
    assert machine.library.builds == 0
    assert machine.gpu.is_clean


@pytest.mark.parametrize("at", [0, 1])
def test_what_a_callback_raises_comes_out_of_the_build(
    at: int, builder: Kind, tiny_onnx: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    """At a phase's start, where TensorRT would lose it, and at a step."""

    def progress(phase: str, done: int, total: int) -> None:
        if done == at:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        build(tiny_onnx(precision="fp16"), builder, progress=progress)
    assert "Exception caught" not in capfd.readouterr().err

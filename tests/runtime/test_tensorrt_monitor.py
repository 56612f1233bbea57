"""The progress of a build, and its end on request, by Ctrl-C or by an error."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sr_runtime.backends.tensorrt.options import BuildOptions, Profile
from sr_runtime.errors import BackendError
from tests.simulated_tensorrt import Machine


def build(model: Path, **arguments: Any) -> Any:
    from sr_runtime.backends.tensorrt.build import build_engine

    profile = Profile.parse("1x16x16", "2x32x32", "4x64x64")
    return build_engine(model, BuildOptions(profile=profile), **arguments)


def test_progress_tells_phase_step_and_how_many(
    tensorrt: None, tiny_onnx: Callable[..., Path]
) -> None:
    seen: list[tuple[str, int, int]] = []
    build(tiny_onnx(precision="fp16"), progress=lambda *step: seen.append(step))
    assert [done for phase, done, _ in seen if phase == "Timing"] == [0, 1, 2, 3, 4, 4]
    assert {of for phase, _, of in seen if phase == "Timing"} == {4}


def test_a_build_can_be_cancelled(machine: Machine, tiny_onnx: Callable[..., Path]) -> None:
    machine.library.steps = 1000
    asked = []

    def cancelled() -> bool:
        asked.append(None)
        return len(asked) > 3

    with pytest.raises(BackendError, match="was cancelled"):
        build(tiny_onnx(precision="fp16"), cancelled=cancelled)
    assert machine.library.builds == 0
    assert machine.gpu.is_clean


@pytest.mark.usefixtures("hears_ctrl_c")
def test_ctrl_c_is_raised_when_the_build_has_ended(
    machine: Machine, tiny_onnx: Callable[..., Path]
) -> None:
    machine.library.steps, machine.library.step_seconds = 10_000, 0.01
    ended: list[int] = []

    def progress(phase: str, done: int, of: int) -> None:
        if done == 2:
            for _ in range(3):  # with impatience
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.1)  # the builder is deep in a step, as it is for seconds
            ended.append(done)

    with pytest.raises(KeyboardInterrupt):
        build(tiny_onnx(precision="fp16"), progress=progress)
    assert ended == [2]
    assert machine.library.builds == 0
    assert machine.gpu.is_clean


def test_what_a_callback_raises_comes_out_of_the_build(
    tensorrt: None, tiny_onnx: Callable[..., Path]
) -> None:
    def progress(phase: str, done: int, of: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        build(tiny_onnx(precision="fp16"), progress=progress)

"""Ctrl-C at every line of the code that counts: nothing is lost, and nobody waits for ever."""

import contextlib
import functools
import itertools
import linecache
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import sr_runtime
from sr_runtime import OutOfMemoryError, Upscaler
from sr_runtime.backends.base import Limits
from sr_runtime.backends.multi_device import MultiDeviceBackend
from tests.runtime.in_threads import in_threads, photo
from tests.runtime.known_network import KnownNetwork

WHERE = ("upscaler.py", "lifetime.py", "tiled_network.py", "in_flight.py", "multi_device.py")
IMAGE = photo(16, 9)
OTHER = photo(8, 12)


def trace_lines(call: Callable[[], object], on_line: Callable[[FrameType], None]) -> None:
    """Run `call`, and `on_line` before each of its lines in our files."""
    folder = str(Path(sr_runtime.__file__).parent)

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        file = frame.f_code.co_filename
        if not (file.startswith(folder) and file.endswith(WHERE)):
            return None
        if event == "line" and not leaves_with(frame):
            on_line(frame)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)


def leaves_with(frame: FrameType) -> bool:
    """Whether a `with` is about to call `__exit__`, which has its line, but comes after its block.

    Ctrl-C never comes there: Python handles signals after calls and before jumps back.
    """
    begin = begin_of_with(frame.f_code, frame.f_lineno)
    return begin is not None and frame.f_lasti > begin


@functools.cache
def begin_of_with(code: CodeType, line: int) -> int | None:
    """Where a `with` statement begins in its code; None for a line that is none."""
    if not linecache.getline(code.co_filename, line).strip().startswith("with "):
        return None
    return min(start for start, _, number in code.co_lines() if number == line)


def interrupt(call: Callable[[], object], number: int) -> None:
    """Run `call` with Ctrl-C before its line of this number."""
    lines = itertools.count()

    def interrupt_at_line(_: FrameType) -> None:
        if next(lines) == number:
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        trace_lines(call, interrupt_at_line)


def every_line(call: Callable[[], object]) -> list[int]:
    """The numbers of the lines that `call` runs: the first and the last time of each."""
    first: dict[tuple[str, int], int] = {}
    last: dict[tuple[str, int], int] = {}
    lines = itertools.count()

    def note(frame: FrameType) -> None:
        place = frame.f_code.co_filename, frame.f_lineno
        last[place] = next(lines)
        first.setdefault(place, last[place])

    trace_lines(call, note)
    return sorted({*first.values(), *last.values()})


def networks() -> list[KnownNetwork]:
    return [KnownNetwork(radius=1, limits=Limits(depth=2)) for _ in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2])
def test_an_image_interrupted_at_any_line_keeps_no_place(devices: int) -> None:
    several = networks()[:devices]
    backend = several[0] if devices == 1 else MultiDeviceBackend(several)
    upscaler = Upscaler(backend, tile=10)
    wanted = several[0].whole(OTHER)

    lines = every_line(lambda: upscaler.upscale(IMAGE))
    assert len(lines) > 100
    for line in lines:
        interrupt(lambda: upscaler.upscale(IMAGE), line)
        (result,) = in_threads(upscaler.upscale, [OTHER])
        np.testing.assert_array_equal(result, wanted)
    upscaler.close()
    assert all(network.closed for network in several)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:no room")
def test_an_image_that_runs_out_of_memory_and_is_interrupted_blocks_nobody() -> None:
    network = KnownNetwork(radius=1, memory=8 * 8)
    upscaler = Upscaler(network, tile=16)

    def upscale() -> NDArray[Any]:
        upscaler._network.max_tile = (16, 16)
        return upscaler.upscale(IMAGE)

    wanted = network.whole(IMAGE)
    lines = every_line(upscale)
    assert len(lines) > 100
    for line in lines:
        interrupt(upscale, line)
        (result,) = in_threads(lambda _: upscale(), [None])
        np.testing.assert_array_equal(result, wanted)


def test_a_close_interrupted_at_any_line_is_finished_by_the_next_one() -> None:
    lines = every_line(Upscaler(networks()[0]).close)
    assert len(lines) > 8
    for line in lines:
        (network, _) = networks()
        upscaler = Upscaler(network)
        interrupt(upscaler.close, line)
        upscaler.close()
        assert network.closed


def test_a_device_without_memory_for_another_place_says_so_with_the_batchs_result() -> None:
    """`submit` itself raises nothing, so that the upscaler uses smaller tiles."""
    from sr_runtime.backends.tensorrt.backend import _PendingBatch

    class Full:
        def _take_slot(self) -> None:
            raise OutOfMemoryError("no memory")

    pending = _PendingBatch(Full(), np.zeros(1))  # type: ignore[arg-type]
    with pytest.raises(OutOfMemoryError):
        pending.result()
    pending.release()

"""Closing an upscaler: while others use it, from callbacks, from any thread, and with Ctrl-C."""

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import sr_runtime
from sr_runtime import ArgumentError, Upscaler
from sr_runtime.backends.base import Limits
from tests.runtime.in_threads import TOO_LONG, in_threads, photo
from tests.runtime.known_network import KnownNetwork


def test_a_callback_that_uses_its_own_upscaler_gets_an_error_and_not_a_deadlock() -> None:
    network = KnownNetwork(radius=1)
    upscaler = Upscaler(network, tile=20)
    image = photo(60, 60)
    for use in (upscaler.close, lambda: upscaler.upscale(image)):
        with pytest.raises(ArgumentError, match="a progress callback cannot use the upscaler"):
            upscaler.upscale(image, progress=lambda done, total, use=use: use())
    np.testing.assert_array_equal(upscaler.upscale(image), network.whole(image))
    upscaler.close()
    assert network.closed


def test_closing_waits_for_the_images_in_work_and_refuses_new_ones() -> None:
    closing = threading.Event()

    class Slow(KnownNetwork):
        def answer(self, batch: NDArray[Any]) -> NDArray[np.float32]:
            assert closing.wait(TOO_LONG)
            return super().answer(batch)

    network = Slow(radius=1, limits=Limits(depth=2))
    upscaler = Upscaler(network, tile=20)
    images = [photo(90, 90, seed=i) for i in range(2)]

    def work(image: NDArray[np.uint8] | None) -> NDArray[np.uint8] | None:
        if image is not None:
            return upscaler.upscale(image)
        while len(network.batches) < 2:  # both are in work
            pass
        closing.set()
        upscaler.close()
        return None

    *results, closed = in_threads(work, [*images, None])
    assert closed is None
    assert network.closed
    for image, result in zip(images, results, strict=True):
        np.testing.assert_array_equal(result, network.whole(image))
    with pytest.raises(ArgumentError, match="closed"):
        upscaler.upscale(images[0])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_an_interrupted_close_takes_no_more_work_and_can_be_called_again() -> None:
    code = """
import os, signal, threading
from sr_runtime import ArgumentError, Upscaler
from sr_runtime.backends.base import Limits
from tests.runtime.in_threads import photo
from tests.runtime.known_network import KnownNetwork

signal.signal(signal.SIGINT, signal.default_int_handler)
started, go_on = threading.Event(), threading.Event()

class Slow(KnownNetwork):
    def answer(self, batch):
        if batch.shape[2] == 50:
            started.set()
            go_on.wait()
        return super().answer(batch)

network = Slow(radius=1, limits=Limits(depth=2))
upscaler = Upscaler(network)
working = threading.Thread(target=upscaler.upscale, args=(photo(50, 50),))
working.start()
started.wait()

def interrupt_close():
    try:
        while True:
            upscaler.upscale(photo(9, 9))
    except ArgumentError as error:  # close() waits from here on
        print(error)
        os.kill(os.getpid(), signal.SIGINT)

interrupting = threading.Thread(target=interrupt_close)
interrupting.start()
try:
    upscaler.close()
except KeyboardInterrupt:
    print("interrupted, closed:", network.closed)
interrupting.join()
go_on.set()
try:
    upscaler.upscale(photo(9, 9))
except ArgumentError as error:
    print(error)
upscaler.close()
print("closed:", network.closed)
working.join()
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TOO_LONG)
    closed = "this upscaler is closed: load the model again"
    assert done.stdout.splitlines() == [
        closed,
        "interrupted, closed: False",
        closed,
        "closed: True",
    ], done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_after_an_interrupted_close_the_last_image_closes_the_engine() -> None:
    code = """
import os, signal, threading
from sr_runtime import Upscaler
from tests.runtime.in_threads import photo
from tests.runtime.known_network import KnownNetwork

signal.signal(signal.SIGINT, signal.default_int_handler)
started, go_on = threading.Event(), threading.Event()

class Slow(KnownNetwork):
    def answer(self, batch):
        started.set()
        go_on.wait()
        return super().answer(batch)

network = Slow(radius=1)
upscaler = Upscaler(network)
working = threading.Thread(target=upscaler.upscale, args=(photo(50, 50),))
working.start()
started.wait()
changed = upscaler._lifetime._changed
waits = changed.wait
changed.wait = lambda seconds: (os.kill(os.getpid(), signal.SIGINT), waits(seconds))
try:
    upscaler.close()
except KeyboardInterrupt:
    print("interrupted, closed:", network.closed)
go_on.set()
working.join()
print("closed:", network.closed)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TOO_LONG)
    assert done.stdout.splitlines() == ["interrupted, closed: False", "closed: True"], done.stderr


def test_any_threads_may_close_a_loaded_model(tiny_onnx: Callable[..., Path]) -> None:
    upscaler = sr_runtime.load(tiny_onnx())
    assert in_threads(lambda close: close(), [upscaler.close] * 4) == [None] * 4


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_ctrl_c_still_works_after_another_thread_closed_a_model(
    tiny_onnx: Callable[..., Path],
) -> None:
    code = """
import os, signal, sys, threading, time
import sr_runtime

signal.signal(signal.SIGINT, signal.default_int_handler)
upscaler = sr_runtime.load(sys.argv[1], backend="openvino")
closing = threading.Thread(target=upscaler.close)
closing.start()
closing.join()
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)
except KeyboardInterrupt:
    print("heard")
"""
    # In a process of its own, because the handler that OpenVINO installs would end this one.
    command = [sys.executable, "-c", code, str(tiny_onnx())]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "heard\n"

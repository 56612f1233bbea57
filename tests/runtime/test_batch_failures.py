"""What ends one image, or a run before it begins: an impossible size, a full disk, Ctrl-C."""

import os
import signal
import struct
import threading
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from sr_runtime import Upscaler
from sr_runtime.__main__ import main
from sr_runtime.backends.base import Limits
from sr_runtime.batch import run as run_module
from tests.running import own_threads
from tests.runtime.known_network import KnownNetwork
from tests.runtime.test_batch import TOO_LONG, folder_of, number_of, run


def test_an_image_that_claims_an_impossible_size_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", None)  # as the command line does
    jobs = folder_of(3, tmp_path)
    header = b"IHDR" + struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0)
    file = bytearray(jobs[1].source.read_bytes())
    file[12:33] = header + struct.pack(">I", zlib.crc32(header))
    jobs[1].source.write_bytes(file)

    network = KnownNetwork(radius=1, limits=Limits(depth=2, shape_cost=1))
    failures = run(Upscaler(network), jobs)

    assert [failure.source for failure in failures] == [jobs[1].source]
    assert jobs[2].target.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("images", [1, 2])
def test_a_full_disk_ends_the_run_and_keeps_what_is_done(tmp_path: Path, images: int) -> None:
    jobs = folder_of(30, tmp_path)
    jobs[2].target.parent.mkdir()
    jobs[2].target.symlink_to("/dev/full")
    network = KnownNetwork(radius=1, limits=Limits(depth=2, images=images))

    failures = run(Upscaler(network), jobs)

    assert "No space left on device" in str(failures[0])
    assert all("was not begun" in str(failure) for failure in failures[1:])
    done = {job.source for job in jobs if job.target.is_file()}
    assert {jobs[0].source, jobs[1].source} <= done
    assert len(failures) > 1
    assert done | {failure.source for failure in failures} == {job.source for job in jobs}


def test_every_failure_is_listed_where_the_only_image_left_cannot_be_enlarged_so_far(
    tmp_path: Path, tiny_onnx: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    PIL.Image.new("RGB", (10, 10)).save(tmp_path / "small.png")
    words = [str(tmp_path / "small.png"), str(tmp_path / "missing.png"), "-o", f"{tmp_path}/out/"]
    assert main(["upscale", *words, "--width", "100000", "-m", str(tiny_onnx())]) == 1
    said = capsys.readouterr().err
    assert "2 failed:" in said
    assert "missing.png: there is no such file" in said
    assert "small.png: the result would be 10000 times the image" in said


@pytest.mark.slow
@pytest.mark.usefixtures("hears_signals")
def test_ctrl_c_while_the_threads_start_leaves_none_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes before the pool, which waits for its threads, has a note of the second one."""
    starting, start = threading.Event(), threading.Thread.start

    class Interrupting(KnownNetwork):
        def answer(self, batch: NDArray[Any]) -> NDArray[np.float32]:
            if number_of(batch) == 0:
                starting.wait(TOO_LONG)
                os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)
            return super().answer(batch)

    class SlowPool(ThreadPoolExecutor):
        def submit(self, *arguments: Any, **options: Any) -> Any:
            if threading.current_thread() is threading.main_thread():
                time.sleep(0.2)  # the threads that there are may go on
            return super().submit(*arguments, **options)

    def start_slowly(thread: threading.Thread) -> None:
        start(thread)
        if thread.name.endswith("_1") and threading.current_thread() is threading.main_thread():
            starting.set()
            time.sleep(0.2)

    monkeypatch.setattr(run_module, "ThreadPoolExecutor", SlowPool)
    monkeypatch.setattr(threading.Thread, "start", start_slowly)
    network = Interrupting(radius=1, limits=Limits(images=3))
    threads = own_threads()
    with pytest.raises(KeyboardInterrupt):
        run(Upscaler(network), folder_of(20, tmp_path))
    assert own_threads() == threads

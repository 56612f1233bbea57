"""The threads of a video: how far they run ahead of each other, and how they end."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sr_runtime.errors import OutOfMemoryError
from sr_runtime.upscaler import Upscaler
from sr_runtime.video import pipeline, upscale
from sr_runtime.video.upscale import upscale_video
from tests.running import own_threads
from tests.runtime.known_network import KnownNetwork
from tests.runtime.video_files import Clip, frames_of, known_upscaler, pattern


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return Clip(frames=[pattern(n) for n in range(20)]).write(tmp_path / "a.mkv")


def test_a_second_ctrl_c_is_one_too(
    source: Path, monkeypatch: pytest.MonkeyPatch, hears_signals: None
) -> None:
    read, pressed = upscale.decoded, threading.Event()

    def slow(*args: Any, **options: Any) -> Iterator[Any]:
        for number, timed in enumerate(read(*args, **options)):
            if number == 3:
                pressed.wait(5)
                time.sleep(0.3)
            yield timed

    def press(done: int, _total: int | None) -> None:
        if done == 2:
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.1)
            pressed.set()

    monkeypatch.setattr(upscale, "decoded", slow)
    with pytest.raises(KeyboardInterrupt):
        upscale_video(known_upscaler(), source, source.with_name("b.mkv"), progress=press)


@pytest.mark.filterwarnings("ignore:no room")
def test_an_error_of_the_network_ends_every_thread(source: Path) -> None:
    class Failing(KnownNetwork):
        def answer(self, batch: Any) -> Any:
            if len(self.batches) > 5:
                raise OutOfMemoryError("no room")
            return super().answer(batch)

    before = own_threads()
    with pytest.raises(OutOfMemoryError, match="no room"):
        upscale_video(Upscaler(Failing(radius=1)), source, source.with_name("b.mkv"))
    assert own_threads() == before


def test_equal_frames_in_a_row_are_upscaled_once(tmp_path: Path) -> None:
    shown = [0, 0, 0, 1, 1, 2, 0, 0]
    source = Clip(frames=[pattern(n) for n in shown]).write(tmp_path / "a.mkv")
    network, target = KnownNetwork(radius=1), tmp_path / "b.mkv"
    upscale_video(Upscaler(network), source, target, codec="ffv1")
    assert len(network.batches) == 4
    results = [bytes(frame.planes[0]) for frame in frames_of(target)]
    assert [results.index(each) for each in results] == [0, 0, 0, 3, 3, 5, 0, 0]


@pytest.mark.parametrize("images", [1, 2])
def test_a_slow_encoder_holds_the_frames_back(
    images: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Clip(frames=[pattern(n) for n in range(30)]).write(tmp_path / "a.mkv")
    upscaler = known_upscaler(images=images)
    network: Any = upscaler.backend
    add, encoded, most = pipeline.SegmentFile.add, 0, 0

    def slow(self: Any, frame: Any, pts: int, duration: int) -> None:
        nonlocal encoded, most
        time.sleep(0.01)
        add(self, frame, pts, duration)
        encoded += 1
        most = max(most, len(network.batches) - encoded)

    monkeypatch.setattr(pipeline.SegmentFile, "add", slow)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    upscale_video(upscaler, source, tmp_path / "b.mkv", codec="ffv1")
    assert encoded == 30
    converting = 1 if images == 1 else min(pipeline.CONVERTERS_PER_IMAGE * images, 4)
    assert 1 <= most <= images + converting + 2

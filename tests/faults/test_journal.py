"""Claims and the journal of `upscale --resume`: processes that are killed, and damaged journals."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sr_runtime.__main__ import main
from sr_runtime.batch.journal import JOURNAL
from sr_runtime.batch.ledger import CLAIM
from tests.faults.harness import leftovers, whole_files

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="stops and kills processes"),
]

COUNT = 40


class Folder:
    """Photos, the folder of their results, and the command that upscales them."""

    def __init__(self, place: Path, model: Path) -> None:
        self.photos, self.out = place / "photos", place / "out"
        self.photos.mkdir()
        self.out.mkdir()
        self.names = [f"{number:02}.png" for number in range(COUNT)]
        for number, name in enumerate(self.names):
            pixels = np.random.default_rng(number).integers(0, 256, (40, 40, 3), np.uint8)
            Image.fromarray(pixels).save(self.photos / name)
        self.words = ["upscale", str(self.photos), "-o", str(self.out), "--resume", "-m"]
        self.model = model

    def start(self) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "sr_runtime", *self.words, str(self.model)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def stopped_with_a_claim(self) -> "subprocess.Popen[str]":
        """A process that has claimed an image, and is stopped there."""
        process = self.start()
        while process.poll() is None:
            if self.claims():
                process.send_signal(signal.SIGSTOP)
                os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
                if self.claims():
                    return process
                process.send_signal(signal.SIGCONT)
            time.sleep(0.001)
        raise AssertionError(process.communicate())

    def claims(self) -> list[Path]:
        return list(self.out.glob(f"{CLAIM}*"))

    def noted(self) -> list[str]:
        """The results that the journal names, as often as it does; some have the name not yet."""
        lines = map(json.loads, (self.out / JOURNAL).read_text("utf-8").splitlines())
        return [line["target"] for line in lines if "target" in line]

    def made(self) -> dict[str, int]:
        """Which file each result is: another one if it was made again."""
        return {path.name: path.stat().st_ino for path in self.out.glob("[!.]*.png")}


@pytest.fixture
def folder(tmp_path: Path, tiny_onnx: Callable[..., Path]) -> Folder:
    return Folder(tmp_path, tiny_onnx())


def test_of_two_processes_one_is_killed_and_the_other_does_its_image_and_no_other_twice(
    folder: Folder,
) -> None:
    first = folder.stopped_with_a_claim()
    second = folder.start()
    while len(folder.made()) + len(folder.claims()) < COUNT:
        assert second.poll() is None, second.communicate()
        time.sleep(0.01)
    assert second.poll() is None  # it waits for what the first one has claimed
    first.kill()
    _, errors = second.communicate(timeout=60)
    first.communicate()
    assert second.returncode == 0, errors
    assert sorted(set(folder.noted())) == folder.names
    assert len(folder.noted()) <= COUNT + 1  # the killed one may have noted what it did not name
    assert whole_files(folder.out) == folder.names
    assert leftovers(folder.out) == []


def test_a_dead_claim_a_cut_journal_and_one_of_another_model_cost_their_own_images_alone(
    folder: Folder, tiny_onnx: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    killed = folder.stopped_with_a_claim()
    killed.kill()
    killed.communicate()
    before = folder.made()
    assert folder.claims()
    assert main([*folder.words, str(folder.model)]) == 0
    assert {name: folder.made()[name] for name in before} == before
    assert sorted(set(folder.noted())) == folder.names
    assert leftovers(folder.out) == []

    journal, before = folder.out / JOURNAL, folder.made()
    last = folder.noted()[-1]
    journal.write_bytes(journal.read_bytes()[:-30])
    assert main([*folder.words, str(folder.model)]) == 0
    again = {name for name, file in folder.made().items() if before[name] != file}
    assert again == {last}

    before = folder.made()
    assert main([*folder.words, str(tiny_onnx(scale_factor=2))]) == 0
    assert {*folder.made().items()}.isdisjoint(before.items())
    assert whole_files(folder.out) == folder.names
    capsys.readouterr()
    assert main([*folder.words, str(tiny_onnx(scale_factor=2))]) == 0
    assert f"{COUNT} results are done already" in capsys.readouterr().out

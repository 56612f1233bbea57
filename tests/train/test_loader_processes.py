"""The training loader among processes: its workers, and the ranks that share its mini-batches."""

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sr_runtime.errors import ArgumentError
from sr_train.config.schema import Augmentation
from sr_train.data.crops import Key, TrainingCrops
from sr_train.data.loader import training_loader
from sr_train.data.prepared import prepared
from tests.train.training_sets import batches, config


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_workers_go_on_when_the_whole_group_is_told_to_stop(root: Path, number: int) -> None:
    found = iter(training_loader(config(root, workers=2, epochs=30), "training", epoch=0, batch=0))
    for _ in range(2):  # one from each worker: both are at work
        next(found)
    for worker in multiprocessing.active_children():
        os.kill(worker.pid, number)
    assert len(list(found)) == 3 * 30 - 2


LEAVE = """
import os, signal, sys
import torch
from pathlib import Path
from sr_train.data.loader import training_loader
from tests.train.training_sets import config

torch.utils.data._utils.worker.MP_STATUS_CHECK_INTERVAL = 0.1  # how often workers look for us
how, root = sys.argv[1:]
settings = config(Path(root), workers=2, epochs=100)
batches = iter(training_loader(settings, "training", epoch=0, batch=0))
next(batches)
if how == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
raise SystemError(how)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_workers_end_with_the_process_however_it_ends(root: Path) -> None:
    runs = [
        # They inherit its stderr, which is read until all have closed it.
        subprocess.Popen(
            [sys.executable, "-c", LEAVE, how, root],
            stderr=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        for how in ("kill", "an error")
    ]
    killed, failed = (run.communicate(timeout=30)[1] for run in runs)
    assert [run.returncode for run in runs] == [-signal.SIGKILL, 1]
    assert killed == b""
    assert failed.endswith(b"SystemError: an error\n")


HOST = """
import multiprocessing, os, signal, sys, time
from pathlib import Path

def sleep(ready):
    signal.signal(signal.SIGTERM, lambda *_: os._exit(os.write(1, b"terminated") and 0))
    ready.set()
    time.sleep(60)

context = multiprocessing.get_context("fork")
ready = context.Event()
context.Process(target=sleep, args=(ready,), daemon=True).start()
ready.wait()

from sr_train.data.loader import training_loader
from tests.train.training_sets import config

settings = config(Path(sys.argv[1]), workers=1, epochs=100)
batches = iter(training_loader(settings, "training", epoch=0, batch=0))
next(batches)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_at_exit_only_its_own_workers_are_killed(root: Path) -> None:
    # Python itself sends SIGTERM to the program's own daemonic child, which can then clean up.
    run = subprocess.run(
        [sys.executable, "-c", HOST, root],
        capture_output=True,
        cwd=Path(__file__).parents[2],
        timeout=60,
        check=True,
    )
    assert (run.stdout, run.stderr) == (b"terminated", b"")


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_the_crops_survive_another_start_method(root: Path, method: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {method}")
    settings = config(root, augmentation=Augmentation(), epochs=1)
    sets = prepared("mine", root=root, scale=4, purpose="train")
    crops = TrainingCrops(sets, settings, "pretraining")
    here = crops[[Key(0, 0, 3)]]
    with multiprocessing.get_context(method).Pool(1) as pool:
        there = pool.apply(_crop, (crops, Key(0, 0, 3)))
    assert [tensor.numpy().tobytes() for tensor in here] == there


def _crop(crops: TrainingCrops, key: Key) -> list[bytes]:
    return [tensor.numpy().tobytes() for tensor in crops[[key]]]


def test_ranks_share_the_mini_batches_of_one_process(root: Path) -> None:
    whole = batches(config(root))
    shares = [batches(config(root), rank=rank, world_size=2) for rank in range(2)]
    for expected, first, second in zip(whole, *shares, strict=True):
        for one, a, b in zip(expected, first, second, strict=True):
            assert torch.equal(one, torch.cat([a, b]))


def test_ranks_that_cannot_share_equally_are_refused(root: Path) -> None:
    for settings, words in (
        (config(root), "mini-batch of 4 cannot be shared equally by 3"),
        (config(root, cr_patch_size=None), "mini-batch of 1"),
    ):
        with pytest.raises(ArgumentError, match=words):
            training_loader(settings, "pretraining", epoch=0, batch=0, rank=0, world_size=3)

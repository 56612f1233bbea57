"""The training loader's worker processes, and the ranks that share its mini-batches."""

import multiprocessing
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sr_runtime.errors import ArgumentError
from sr_train.config.schema import Augmentation
from sr_train.data.loader import Key, TrainingCrops, training_loader
from sr_train.data.prepared import prepared
from tests.train.training_sets import batches, config


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_workers_ignore_the_signals_that_stop_a_process_group(root: Path, number: int) -> None:
    found = iter(training_loader(config(root, workers=2, epochs=30), "training", batch=0))
    for _ in range(2):  # one from each worker: both are running
        next(found)
    for worker in multiprocessing.active_children():
        os.kill(worker.pid, number)
    assert len(list(found)) == 3 * 30 - 2


LEAVE = """
import multiprocessing, os, signal, sys, time

def sleep(ready):
    signal.signal(signal.SIGTERM, lambda *_: os._exit(os.write(1, b"cleaned up") and 0))
    ready.set()
    time.sleep(60)

how, root = sys.argv[1:]
if how == "error":
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    context.Process(target=sleep, args=(ready,), daemon=True).start()
    ready.wait()

import torch
from pathlib import Path
from sr_train.data.loader import training_loader
from tests.train.training_sets import config

torch.utils.data._utils.worker.MP_STATUS_CHECK_INTERVAL = 0.1  # how often workers look for us
settings = config(Path(root), workers=2, epochs=100)
batches = iter(training_loader(settings, "training", batch=0))
next(batches)
if how == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
raise SystemError(how)
"""


@pytest.fixture(scope="module")
def left(root: Path) -> dict[str, tuple[int, bytes, bytes]]:
    """Exit code, stdout and stderr of programs that end while their loader's workers are at work.

    The one that ends by an error also has a daemonic child of its own, which cleans up on SIGTERM.
    """
    if sys.platform == "win32":
        pytest.skip("Windows has no such signals")
    runs = {
        # The workers inherit its output, which is read until all have closed it.
        how: subprocess.Popen(
            [sys.executable, "-c", LEAVE, how, root],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        for how in ("kill", "error")
    }
    outputs = {how: run.communicate(timeout=60) for how, run in runs.items()}
    return {how: (runs[how].returncode, *output) for how, output in outputs.items()}


@pytest.mark.slow
def test_workers_end_with_the_process_however_it_ends(
    left: dict[str, tuple[int, bytes, bytes]],
) -> None:
    assert left["kill"] == (-signal.SIGKILL, b"", b"")
    code, _, errors = left["error"]
    assert code == 1
    assert errors.endswith(b"SystemError: error\n")


@pytest.mark.slow
def test_at_exit_the_loader_kills_no_child_of_the_program(
    left: dict[str, tuple[int, bytes, bytes]],
) -> None:
    # Python itself sends SIGTERM to daemonic children.
    assert left["error"][1] == b"cleaned up"


@pytest.mark.slow
def test_crops_are_the_same_in_a_spawned_process(root: Path) -> None:
    settings = config(root, augmentation=Augmentation(), epochs=1)
    sets = prepared("mine", root=root, scale=4, purpose="train")
    crops = TrainingCrops(sets, settings, "pretraining")
    here = crops[[Key(0, 0, 3)]]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.apply(_crop, (crops, Key(0, 0, 3)))
    assert [tensor.numpy().tobytes() for tensor in here] == there


def _crop(crops: TrainingCrops, key: Key) -> list[bytes]:
    return [tensor.numpy().tobytes() for tensor in crops[[key]]]


def test_the_shares_of_all_ranks_make_up_the_mini_batches_of_one_process(root: Path) -> None:
    whole = batches(config(root))
    shares = [batches(config(root), rank=rank, world_size=2) for rank in range(2)]
    for expected, first, second in zip(whole, *shares, strict=True):
        for one, a, b in zip(expected, first, second, strict=True):
            assert torch.equal(one, torch.cat([a, b]))


def test_a_mini_batch_that_ranks_cannot_share_equally_is_refused(root: Path) -> None:
    for settings, words in (
        (config(root), "mini-batch of 4 .* 3 processes"),
        (config(root, cr_patch_size=None), "mini-batch of 1"),
    ):
        with pytest.raises(ArgumentError, match=words):
            training_loader(settings, "pretraining", batch=0, rank=0, world_size=3)
    parted = replace(config(root), grad_accumulation=4)  # of the two crops that each would have
    with pytest.raises(ArgumentError, match=r"2 processes, in 4 parts each: .* a multiple of 8$"):
        training_loader(parted, "pretraining", batch=0, rank=0, world_size=2)

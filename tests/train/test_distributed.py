"""Two processes with half of every mini-batch each, against one process with all of it."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import sr_train
from sr_runtime.errors import ArgumentError, BackendError
from sr_train.config.file import write_config
from sr_train.distributed import init_distributed
from tests.train.processes import ROOT, finish
from tests.train.resumable_run import rows, write_config_of

COMPARED = ("content", "perceptual", "g_adversarial", "g_total", "d_adversarial", "val_psnr_y")


def _start_two(*arguments: str) -> "subprocess.Popen[str]":
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return subprocess.Popen(
        # Without the dashes torchrun takes --run for one of its own options.
        [sys.executable, "-m", *torchrun, "-m", "--", "sr_train", "fit", *arguments],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_tf32_is_off_in_a_run_and_as_before_after_it() -> None:
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = True
    try:
        with init_distributed("cpu"):
            assert not torch.backends.cudnn.allow_tf32
        assert torch.backends.cudnn.allow_tf32
    finally:
        torch.backends.cudnn.allow_tf32 = before


@pytest.mark.parametrize(
    "variables", [{"RANK": "x"}, {"WORLD_SIZE": "2"}, {"RANK": "1"}, {"WORLD_SIZE": "0"}]
)
def test_variables_that_are_not_torchruns_are_refused(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ArgumentError, match="start the run with torchrun"), init_distributed("cpu"):
        raise AssertionError


def test_a_lost_process_is_no_bug_of_this_one() -> None:
    lost = "[gloo/transport/tcp/pair.cc:537] Read error [::1]:48837: Connection reset by peer"
    with pytest.raises(BackendError, match=r"reset by peer.*--resume"), init_distributed("cpu"):
        raise RuntimeError(lost)
    with pytest.raises(RuntimeError, match="another"), init_distributed("cpu"):
        raise RuntimeError("another")


@pytest.mark.slow
def test_two_processes_have_the_loss_curve_of_one(data_root: Path, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    config = write_config_of(path, data_root, loss="ragan")
    config = replace(config, validation=replace(config.validation, samples=2))
    write_config(config, path)
    sr_train.fit(config, tmp_path / "one")
    said = finish(_start_two("--config", str(path), "--run", str(tmp_path / "two")))
    assert "Warning: " not in said
    samples, found = (
        sorted(path.name for path in (tmp_path / name / "samples").rglob("*.png"))
        for name in ("one", "two")
    )
    assert samples == found

    one, two = rows(tmp_path / "one"), rows(tmp_path / "two")
    assert [row["step"] for row in one] == [row["step"] for row in two]
    compared = 0
    for expected, found in zip(one, two, strict=True):
        for name in COMPARED:
            if expected[name]:
                assert float(found[name]) == pytest.approx(float(expected[name]), rel=2e-3), name
                compared += 1
    assert compared > 20


@pytest.mark.slow
def test_a_mini_batch_that_two_processes_cannot_share_is_refused(
    data_root: Path, tmp_path: Path
) -> None:
    path = tmp_path / "config.yaml"
    write_config_of(path, data_root)
    process = _start_two("--config", str(path), "--batch_size", "3", "--run", str(tmp_path / "two"))
    output, _ = process.communicate(timeout=300)
    assert process.returncode
    assert "batch_size" in output

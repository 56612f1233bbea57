"""Two processes with half of every mini-batch each, against one process with all of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sr_train.distributed import init_distributed
from tests.train.test_resume import CONFIG, ROOT, UNET, finish, rows, start

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


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["ragan", "hinge"])
def test_two_processes_have_the_loss_curve_of_one(
    data: Path, data_root: Path, tmp_path: Path, loss: str
) -> None:
    path = tmp_path / "config.yaml"
    options = {"discriminator": UNET, "loss": loss, "workers": 0}
    path.write_text(CONFIG.format(root=data_root, weights=data / "weights", **options))
    command = ("--config", str(path), "--device", "cpu")
    finish(start(*command, "--run", str(tmp_path / "one")))
    said = finish(_start_two(*command, "--run", str(tmp_path / "two")))
    assert "Warning: " not in said

    one, two = rows(tmp_path / "one"), rows(tmp_path / "two")
    assert [row["step"] for row in one] == [row["step"] for row in two]
    compared = 0
    for expected, found in zip(one, two, strict=True):
        for name in COMPARED:
            if expected[name]:
                assert float(found[name]) == pytest.approx(float(expected[name]), rel=2e-3), name
                compared += 1
    assert compared > 30


@pytest.mark.slow
def test_a_mini_batch_that_two_processes_cannot_share_is_refused(
    data: Path, data_root: Path, tmp_path: Path
) -> None:
    path = tmp_path / "config.yaml"
    options = {"discriminator": UNET, "loss": "ragan", "workers": 0}
    path.write_text(CONFIG.format(root=data_root, weights=data / "weights", **options))
    command = ("--config", str(path), "--device", "cpu", "--batch_size", "3")
    process = _start_two(*command, "--run", str(tmp_path / "two"))
    output, _ = process.communicate(timeout=300)
    assert process.returncode
    assert "batch_size" in output

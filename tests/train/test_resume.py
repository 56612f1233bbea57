"""A run that is killed and resumed ends like one that was not, byte for byte."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import PIL.Image
import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils._pytree import tree_flatten

from sr_train.data.build.prepare import prepare
from sr_train.state_file import load_state

ROOT = Path(__file__).parents[2]

# Ten crops in mini-batches of four: three an epoch, of which the last is filled up.
CONFIG = """
seed: 3
data_root: {root}
batch_size: 4
precision: fp32
deterministic: true
ema_decay: 0.9
workers: {workers}
log_every: 3
save_every: 4
pretraining:
  num_epoch: 5
  cr_patch_size: [32, 32]
  lr: 1e-3
  sched_step: 4
  train_datasets: [patches]
  val_datasets: [small]
training:
  num_epoch: 5
  cr_patch_size: [32, 32]
  g_sched_steps: [5]
  train_datasets: [patches]
  val_datasets: [small]
generator: {{rrdb_channels: 8, growth_channels: 4, num_basic_blocks: 1}}
discriminator: {discriminator}
adversarial_loss: {{type: {loss}, n_critic: 2}}
perceptual_loss:
  vgg_type: squeezenet1_1
  layer_weights: {{fire2: 1.0}}
  weights: {weights}/squeezenet1_1_features.pth
validation:
  every_epochs: 2
  samples: 1
  lpips_weights: {weights}/lpips_squeeze_linear.pth
  squeezenet_weights: {weights}/squeezenet1_1_features.pth
"""
UNET = "{type: unet, unet_channels: 4}"
PLAIN_VGG = "{type: vgg, vgg_blk_ch: [4, 4, 8, 8], fc_features: [8], batch_norm: false}"

Write = Callable[..., Path]

MEASURED_TIME = ("images_per_second", "peak_memory_gb", "time")


def start(*arguments: str, **variables: str) -> "subprocess.Popen[str]":
    """Start `sr_train fit` in its own process, on one thread."""
    return subprocess.Popen(
        [sys.executable, "-m", "sr_train", "fit", *arguments],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: "subprocess.Popen[str]", code: int = 0) -> str:
    """The output of a process that must end with this exit code."""
    output, _ = process.communicate(timeout=300)
    assert process.returncode == code, output
    return output


def interrupt(process: "subprocess.Popen[str]", folder: Path, step: int, number: int) -> None:
    """Send a signal as soon as metrics.csv has `step`."""
    while not any(int(row["step"]) >= step for row in rows(folder)):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    process.send_signal(number)


def rows(folder: Path) -> list[dict[str, str]]:
    """metrics.csv without its measurements of time and memory."""
    path = folder / "metrics.csv"
    if not path.exists():
        return []
    with path.open(newline="") as file:
        complete = [row for row in csv.DictReader(file) if None not in row.values()]
    return [{k: v for k, v in row.items() if k not in MEASURED_TIME} for row in complete]


@pytest.fixture
def config(data: Path, data_root: Path, tmp_path: Path) -> Write:
    """Writes the configuration."""

    def write(discriminator: str = UNET, loss: str = "ragan", workers: int = 1) -> Path:
        path = tmp_path / "config.yaml"
        options = {"discriminator": discriminator, "loss": loss, "workers": workers}
        path.write_text(CONFIG.format(root=data_root, weights=data / "weights", **options))
        return path

    return write


# A run has 30 steps. The kills come before the first state is saved and within an epoch of each
# stage, with metrics not yet written. The second case draws random numbers in every step.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("discriminator", "loss", "kills"),
    [(UNET, "ragan", (3, 9, 21)), (PLAIN_VGG, "wgan-gp", (21,))],
)
def test_killed_in_both_stages_and_resumed_it_ends_the_same(
    config: Write, tmp_path: Path, discriminator: str, loss: str, kills: tuple[int, ...]
) -> None:
    path = str(config(discriminator, loss))
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(start("--config", path, "--run", str(whole)))

    process = start("--config", path, "--run", str(killed))
    for step in kills:
        interrupt(process, killed, step, signal.SIGKILL)
        finish(process, -signal.SIGKILL)
        process = start("--resume", str(killed))
    finish(process)

    files = sorted(file.name for file in (whole / "weights").iterdir())
    assert files == [f"{name}.safetensors" for name in ("best", "esrgan", "interpolated", "psnr")]
    for name in files:
        assert (whole / "weights" / name).read_bytes() == (killed / "weights" / name).read_bytes()
    assert rows(whole) == rows(killed)
    steps = [int(row["step"]) for row in rows(whole)]
    assert steps == sorted(steps)
    assert {*range(3, 31, 3)} <= {*steps}
    states = [load_state(folder / "state.pt") for folder in (whole, killed)]
    first, second = (tree_flatten(state["trainables"])[0] for state in states)
    assert len(first) == len(second) > 100
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b

    board = EventAccumulator(str(killed / "tensorboard")).Reload()
    shown = [event.step for event in board.Scalars("training/g_total")]
    assert shown == sorted(set(shown))
    assert (killed / "curves.png").stat().st_size > 10_000
    assert list((killed / "samples").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_save_the_state_and_say_how_to_continue(
    config: Write, tmp_path: Path, number: signal.Signals
) -> None:
    path, folder = str(config(workers=0)), tmp_path / "run"
    process = start("--config", path, "--run", str(folder))
    interrupt(process, folder, 2, number)
    output = finish(process, 128 + number)
    assert f"fit --resume {folder}" in output
    state = load_state(folder / "state.pt")
    assert state["position"]["step"] >= 2
    assert f"state of step {state['position']['step']} is saved" in output


@pytest.mark.slow
def test_a_full_disk_leaves_the_former_state_intact(config: Write, tmp_path: Path) -> None:
    path, folder = str(config(workers=0)), tmp_path / "run"
    process = start("--config", path, "--run", str(folder))
    interrupt(process, folder, 6, signal.SIGTERM)
    finish(process, 143)
    before = (folder / "state.pt").read_bytes()
    program = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, ({len(before) // 2}, {len(before) // 2}))
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from sr_train.__main__ import main
sys.exit(main(["fit", "--resume", {str(folder)!r}]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert f"{folder / 'state.pt'}: " in done.stderr
    assert f"--resume {folder}" in done.stderr
    assert (folder / "state.pt").read_bytes() == before
    assert sorted(p.name for p in folder.iterdir() if p.name.startswith(".")) == [".lock"]


@pytest.mark.slow
def test_a_finished_run_can_be_resumed_with_more_epochs_and_not_with_fewer(
    config: Write, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    finish(start("--config", str(config(workers=0)), "--run", str(folder)))
    psnr, esrgan, both = (
        load_file(folder / "weights" / f"{name}.safetensors")
        for name in ("psnr", "esrgan", "interpolated")
    )
    for name, tensor in both.items():
        expected = 0.2 * psnr[name].double() + 0.8 * esrgan[name].double()
        assert (tensor.double() - expected).abs().max() < 1e-6
    with PIL.Image.open(folder / "comparison.png") as picture:
        assert picture.width > 6 * 64  # LR, bicubic, three networks, HR

    resume = ("--resume", str(folder))
    for field, epochs in (("training", 3), ("pretraining", 6)):
        said = finish(start(*resume, f"--{field}.num_epoch", str(epochs)), 2)
        assert f"{field}.num_epoch cannot become {epochs}" in said
    finish(start(*resume, "--training.num_epoch", "6"))
    assert int(rows(folder)[-1]["step"]) == 33


@pytest.mark.slow
def test_a_run_continues_only_with_the_images_it_was_trained_on(
    config: Write, data_root: Path, tmp_path: Path
) -> None:
    folder, other = tmp_path / "run", tmp_path / "data"
    process = start("--config", str(config(workers=0)), "--run", str(folder))
    interrupt(process, folder, 3, signal.SIGTERM)
    finish(process, 143)
    photos = tmp_path / "patches"
    photos.mkdir()
    shutil.copy(next(iter((data_root.parent / "patches").iterdir())), photos)
    prepare(str(photos), root=other, source=None, scale=4, jobs=1)
    shutil.copytree(data_root / "small", other / "small")
    said = finish(start("--resume", str(folder), "--data_root", str(other)), 2)
    assert "pretraining.train_datasets" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--init", "sr_export/calibration/coffee.png"), "coffee.png"),
        (("--batch_size", "0"), "batch_size is 0"),
        (("--generator.rrdb_channels", "1000000"), "not enough memory"),
    ],
)
def test_a_run_that_cannot_start_leaves_no_folder_behind(
    config: Write, tmp_path: Path, options: tuple[str, ...], says: str
) -> None:
    folder = tmp_path / "run"
    said = finish(start("--config", str(config()), "--run", str(folder), *options), 2)
    assert says in said
    assert "Traceback" not in said
    assert not folder.exists()


@pytest.mark.slow
def test_a_run_is_trained_by_one_process_at_a_time(config: Write, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start(
        "--config", str(config()), "--run", str(folder), "--pretraining.num_epoch", "99"
    )
    interrupt(process, folder, 3, signal.SIGCONT)  # does nothing; only waits until it trains
    said = finish(start("--resume", str(folder)), 2)
    assert f"{folder}: another process is training this run" in said
    process.kill()
    process.communicate()

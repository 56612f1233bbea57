"""A run that is killed and resumed ends like one that was not, byte for byte."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import sr_train
from sr_train import trainer
from sr_train.config.file import read_config
from sr_train.stages import GanStage, PsnrStage
from sr_train.tracking import Tracker
from sr_train.validation import Validator
from tests.train.processes import finish, interrupt, start
from tests.train.resumable_run import PLAIN_VGG, UNET, Killed, rows, write_config_of

pytestmark = pytest.mark.slow

SAVE, DONE = (trainer, "save_state"), (trainer, "write_results")

# Calls of these kill the run, the first of them before the first state is saved: its owner and its
# name, which of its calls since the last kill, and whether before or after it.
MOMENTS = [
    (SAVE, 1, "before"),
    ((PsnrStage, "step"), 5, "after"),
    ((Validator, "measure"), 1, "before"),  # of the second epoch, which is saved
    ((trainer, "save_generator"), 1, "after"),  # the best weights, before that is saved
    ((Tracker, "log"), 2, "after"),
    ((trainer, "write_stage_result"), 1, "after"),
    ((GanStage, "step"), 2, "before"),
    ((GanStage, "step"), 9, "after"),  # the last one
    ((Validator, "measure"), 1, "after"),  # the last one
    ((Tracker, "log"), 1, "after"),
    ((Tracker, "picture"), 1, "after"),
    (SAVE, 1, "before"),
    (SAVE, 1, "after"),
    (DONE, 1, "before"),
    (DONE, 1, "after"),
]


def kill_at(patch: pytest.MonkeyPatch, target: tuple[Any, str], call: int, when: str) -> None:
    owner, name = target
    original: Callable[..., Any] = getattr(owner, name)
    calls = []

    def wrapped(*arguments: Any, **options: Any) -> Any:
        calls.append(name)
        if len(calls) == call and when == "before":
            raise Killed
        result = original(*arguments, **options)
        if len(calls) == call:
            raise Killed
        return result

    patch.setattr(owner, name, wrapped)


def assert_same_run(whole: Path, killed: Path) -> None:
    """Every file that a run leaves but its log of events, which holds times."""
    files = [p.relative_to(whole) for p in whole.rglob("*") if p.is_file()]
    compared = [p for p in files if "tensorboard" not in p.parts and p.name != ".lock"]
    assert {p.name for p in compared} >= {"state.pt", "metrics.csv", "curves.png", "config.yaml"}
    assert sum(p.parts[0] == "weights" for p in compared) == 4
    for path in compared:
        assert (whole / path).read_bytes() == (killed / path).read_bytes(), path
    others = {p.relative_to(killed) for p in killed.rglob("*") if p.is_file()} - set(files)
    assert [p for p in others if "tensorboard" not in p.parts] == []


# Stages that end, and are validated, in the middle of an epoch.
IN_STEPS = (
    *("--pretraining.num_steps", "7", "--training.num_steps", "8"),
    *("--validation.every_steps", "5"),
)


SCHEDULE_FREE = (
    *("--pretraining.optimizer", "schedule_free", "--pretraining.schedule", "constant"),
    *("--training.optimizer", "schedule_free", "--training.schedule", "constant"),
)


@pytest.mark.parametrize(
    ("discriminator", "loss", "options", "moments", "total"),
    [
        (UNET, "ragan", (), MOMENTS, 18),
        # It draws random numbers in every step.
        (PLAIN_VGG, "wgan-gp", IN_STEPS, MOMENTS[1:7:5], 15),
        (UNET, "ragan", (*IN_STEPS, *SCHEDULE_FREE), MOMENTS[1:2], 15),
    ],
    ids=["ragan", "wgan-gp", "schedule-free"],
)
def test_killed_at_any_moment_and_resumed_it_ends_the_same(
    tmp_path: Path,
    data_root: Path,
    hears_signals: None,
    discriminator: str,
    loss: str,
    options: tuple[str, ...],
    moments: list[tuple[tuple[Any, str], int, str]],
    total: int,
) -> None:
    path = tmp_path / "config.yaml"
    write_config_of(path, data_root, discriminator=discriminator, loss=loss)
    config = read_config(path, options)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    sr_train.fit(config, whole)
    for target, call, when in moments:
        with pytest.MonkeyPatch.context() as patch:
            kill_at(patch, target, call, when)
            with pytest.raises(Killed):
                sr_train.fit(config, killed, resume=(killed / "state.pt").exists())
    sr_train.fit(config, killed, resume=True)
    assert_same_run(whole, killed)

    steps = [int(row["step"]) for row in rows(killed)]
    assert steps == sorted(steps)
    assert {*range(3, total + 1, 3)} <= {*steps}
    board = EventAccumulator(str(killed / "tensorboard")).Reload()
    shown = [event.step for event in board.Scalars("training/g_total")]
    assert shown == sorted(set(shown))


def test_killed_for_real_in_both_stages_and_resumed_it_ends_the_same(
    tmp_path: Path, data_root: Path
) -> None:
    config = write_config_of(tmp_path / "config.yaml", data_root, workers=1)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    sr_train.fit(config, whole)
    process = start("--config", str(tmp_path / "config.yaml"), "--run", str(killed))
    for step in (3, 12):
        interrupt(process, killed, step, signal.SIGKILL)
        finish(process, -signal.SIGKILL)
        process = start("--resume", str(killed))
    finish(process)
    assert_same_run(whole, killed)

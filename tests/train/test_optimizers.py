"""The choice of an optimiser: what it needs, and what it means for a run that is resumed."""

import sys
from pathlib import Path

import pytest

from sr_runtime.errors import ArgumentError, BackendError
from sr_train.config.fixed import check_unchanged, fixed_values
from sr_train.config.schema import Config, Pretraining, Training, Validation
from sr_train.optimizers import check_optimizers

LATER = Config(training=Training(optimizer="schedule_free", schedule="constant"))


def test_a_missing_package_is_told_before_the_stage_that_needs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    check_optimizers(LATER)
    monkeypatch.setitem(sys.modules, "schedulefree", None)
    with pytest.raises(BackendError, match=r"schedulefree.*\[schedule-free\]"):
        check_optimizers(LATER)
    check_optimizers(Config())


def test_a_run_keeps_its_optimiser_and_may_change_its_schedule(tmp_path: Path) -> None:
    began = fixed_values(Config())
    check_unchanged(Config(pretraining=Pretraining(schedule="cosine")), began, tmp_path)
    with pytest.raises(ArgumentError, match=r"training.optimizer cannot change"):
        check_unchanged(LATER, began, tmp_path)


def test_a_run_that_began_when_there_was_no_choice_goes_on_as_it_did(tmp_path: Path) -> None:
    began = fixed_values(Config())
    for name in ("pretraining.optimizer", "training.optimizer", "validation.degradation"):
        del began[name]
    check_unchanged(Config(), began, tmp_path)
    with pytest.raises(ArgumentError, match=r"training.optimizer cannot change"):
        check_unchanged(LATER, began, tmp_path)
    with pytest.raises(ArgumentError, match=r"validation.degradation cannot change"):
        check_unchanged(Config(validation=Validation(degradation="real")), began, tmp_path)

"""`sr_train.fit`: the run it leaves, what it returns, and how it is interrupted and resumed."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import sr_train
from sr_runtime.errors import ArgumentError, ModelError, OutOfMemoryError, StorageError
from sr_train.checkpoint import save_generator
from sr_train.config.schema import Config, GeneratorConfig, Pretraining, Validation
from sr_train.lock import only_training_in
from sr_train.metrics_file import read_metrics
from sr_train.models.rrdbnet import RRDBNet
from sr_train.stages import PsnrStage
from sr_train.tracking import Tracker
from sr_train.validation import Validator
from tests.train.resumable_run import Killed, rows

SMALL = {"rrdb_channels": 8, "growth_channels": 4, "num_basic_blocks": 1}


@pytest.fixture(autouse=True)
def in_an_empty_folder_without_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hears_signals: None
) -> None:
    """The PSNR stage alone asks for no features, and does without LPIPS."""

    def unneeded(*_: object) -> None:
        pytest.fail("the PSNR stage has no perceptual loss")

    def absent(*_: object) -> None:
        raise ModelError("not in this test")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sr_train.validation.load_features", unneeded)
    monkeypatch.setattr("sr_train.validation.load_lpips", absent)


@pytest.fixture
def config(data_root: Path) -> Config:
    """Three epochs of three mini-batches; the second and the last epoch are validated."""
    return Config(
        stages="pretraining",
        data_root=str(data_root),
        batch_size=4,
        precision="fp32",
        device="cpu",
        workers=0,
        log_every=1,
        generator=GeneratorConfig(**SMALL),
        pretraining=Pretraining(
            num_epoch=3,
            cr_patch_size=(32, 32),
            train_datasets=("patches",),
            val_datasets=("small",),
        ),
        validation=Validation(every_epochs=2, samples=1),
    )


def before_step(monkeypatch: pytest.MonkeyPatch, number: int, action: Callable[[], object]) -> None:
    """Call `action` once, before the PSNR stage's mini-batch `number`."""
    step, pending = PsnrStage.step, [action]

    def wrapped(self: PsnrStage, lr: Any, hr: Any, batch: int) -> Any:
        if batch == number and pending:
            pending.pop()()
        return step(self, lr, hr, batch)

    monkeypatch.setattr(PsnrStage, "step", wrapped)


def kill() -> None:
    raise Killed


def test_importing_the_package_does_not_wait_for_torch() -> None:
    code = "import sr_train, sys; sr_train.fit; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_public_names_are_sorted_and_documented() -> None:
    assert sr_train.__all__ == ["FitResult", "fit", "load_generator"]
    assert all(getattr(sr_train, name).__doc__ for name in sr_train.__all__)


@pytest.mark.slow
def test_a_run_returns_its_folder_its_weights_and_its_best_score(config: Config) -> None:
    result = sr_train.fit(config, "demo")
    assert result.folder == Path("runs/demo")
    assert set(result.weights) == {"best", "psnr"}
    assert result.interrupted is None
    assert result.best_lpips is None
    scores = [float(row["val_psnr_y"]) for row in rows(result.folder) if row["val_psnr_y"]]
    assert len(scores) == 2
    assert result.best_psnr_y == pytest.approx(max(scores))
    generator = sr_train.load_generator(result.weights["psnr"])
    assert generator(torch.rand(1, 3, 8, 8)).shape == (1, 3, 32, 32)


def test_load_generator_refuses_a_network_of_another_scale(tmp_path: Path) -> None:
    save_generator(RRDBNet(**SMALL), tmp_path / "x4.safetensors")
    with pytest.raises(ModelError, match=r"x4\.safetensors.*scale 4.*scale 2"):
        sr_train.load_generator(tmp_path / "x4.safetensors", scale=2)


@pytest.mark.slow
def test_a_path_is_a_folder_and_a_run_is_never_overwritten(config: Config) -> None:
    result = sr_train.fit(config, Path("demo"))
    assert result.folder == Path("demo")
    with pytest.raises(ArgumentError, match=r"^demo: .*--resume demo"):
        sr_train.fit(config, Path("demo"))
    with pytest.raises(ArgumentError, match=r"^nothing: .*state\.pt.*--run nothing"):
        sr_train.fit(config, "nothing", resume=True)


@pytest.mark.parametrize("name", ["", " ", "a\0b", "caf\udce9"])
def test_a_run_needs_a_name_that_a_folder_can_have(name: str, config: Config) -> None:
    with pytest.raises(ArgumentError, match="give it one with --run"):
        sr_train.fit(config, name)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_so_and_ends_as_an_uninterrupted_one(
    config: Config, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    whole = sr_train.fit(config, "whole")
    before_step(monkeypatch, 4, lambda: signal.raise_signal(number))
    early = sr_train.fit(config, "demo")
    assert early.interrupted == number
    assert sr_train.load_generator(early.weights["latest"]).scale_factor == 4
    late = sr_train.fit(config, "demo", resume=True)
    assert late.interrupted is None
    assert late.weights.keys() == whole.weights.keys() == {"best", "psnr"}
    for name, path in whole.weights.items():
        assert path.read_bytes() == late.weights[name].read_bytes()
    assert rows(whole.folder) == rows(late.folder)
    assert late.best_psnr_y == whole.best_psnr_y


@pytest.mark.slow
def test_an_interrupted_stage_can_be_ended_where_it_is(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_step(monkeypatch, 3, lambda: signal.raise_signal(signal.SIGTERM))
    assert sr_train.fit(config, "demo").interrupted
    length = replace(config.pretraining, num_epoch=None, num_steps=4)
    done = sr_train.fit(replace(config, pretraining=length), "demo", resume=True)
    assert [row["step"] for row in rows(done.folder) if row["val_psnr_y"]] == ["4"]


@pytest.mark.slow
def test_a_program_can_train_in_a_thread_of_its_own(config: Config) -> None:
    results = []
    thread = threading.Thread(target=lambda: results.append(sr_train.fit(config, "demo")))
    thread.start()
    thread.join()
    assert [result.interrupted for result in results] == [None]


@pytest.mark.slow
def test_a_program_finds_pytorchs_settings_as_they_were(config: Config) -> None:
    settings = torch.backends.cudnn.benchmark, torch.get_deterministic_debug_mode()
    sr_train.fit(replace(config, deterministic=True), "demo")
    assert settings == (torch.backends.cudnn.benchmark, torch.get_deterministic_debug_mode())


@pytest.mark.slow
def test_a_run_is_resumed_only_with_what_its_state_was_made_for(config: Config) -> None:
    sr_train.fit(config, "demo")
    with pytest.raises(ArgumentError, match="batch_size cannot change"):
        sr_train.fit(replace(config, batch_size=2), "demo", resume=True)
    longer = replace(config, pretraining=replace(config.pretraining, num_epoch=4))
    assert rows(sr_train.fit(longer, "demo", resume=True).folder)[-1]["step"] == "12"


@pytest.mark.slow
def test_a_run_that_began_with_a_checkpoint_is_resumed_with_the_same_configuration(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_generator(RRDBNet(**SMALL), tmp_path / "start.safetensors")
    config = replace(config, init=str(tmp_path / "start.safetensors"), generator=GeneratorConfig())
    before_step(monkeypatch, 4, lambda: signal.raise_signal(signal.SIGTERM))
    assert sr_train.fit(config, "demo").interrupted
    assert sr_train.fit(config, "demo", resume=True).interrupted is None


@pytest.mark.slow
def test_a_validation_that_a_kill_cut_short_is_done_once_however_often_the_run_is_killed(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure, done = Validator.measure, []

    def measured(self: Validator, *arguments: Any) -> Any:
        done.append(arguments)
        if len(done) == 1:
            raise Killed
        return measure(self, *arguments)

    monkeypatch.setattr(Validator, "measure", measured)
    with pytest.raises(Killed):
        sr_train.fit(config, "demo")
    for _ in range(2):
        before_step(monkeypatch, 6, kill)
        with pytest.raises(Killed):
            sr_train.fit(config, "demo", resume=True)
    assert len(done) == 2
    sr_train.fit(config, "demo", resume=True)
    assert len(done) == 3  # the last epoch's


@pytest.mark.slow
def test_a_validation_logged_but_not_saved_has_one_row_after_resuming(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Tracker.log

    def log_and_die(self: Tracker, *arguments: Any) -> None:
        log(self, *arguments)
        if "val_psnr_y" in arguments[-1]:
            raise Killed

    monkeypatch.setattr(Tracker, "log", log_and_die)
    with pytest.raises(Killed):
        sr_train.fit(config, "demo")
    monkeypatch.setattr(Tracker, "log", log)
    folder = sr_train.fit(config, "demo", resume=True).folder
    steps = [step for _, step, _ in read_metrics(folder / "metrics.csv")["val_psnr_y"]]
    assert steps == sorted(set(steps))


@pytest.mark.slow
def test_a_run_killed_between_its_best_weights_and_its_state_resumes_with_another_interval(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Tracker.log

    def log_and_die(self: Tracker, step: int, *arguments: Any) -> None:
        log(self, step, *arguments)
        if step == 8 and "val_psnr_y" in arguments[-1]:
            raise Killed

    def every(steps: int) -> Config:
        return replace(config, validation=Validation(every_epochs=None, every_steps=steps))

    monkeypatch.setattr(Tracker, "log", log_and_die)
    with pytest.raises(Killed):
        sr_train.fit(every(4), "demo")
    monkeypatch.setattr(Tracker, "log", log)
    folder = sr_train.fit(every(5), "demo", resume=True).folder
    validated = [step for _, step, _ in read_metrics(folder / "metrics.csv")["val_psnr_y"]]
    assert validated == [4, 8, 9]


@pytest.mark.slow
def test_a_validation_after_a_skipped_step_leaves_the_best_weights_that_the_state_knows(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = PsnrStage.step

    def skipped(self: PsnrStage, lr: Any, hr: Any, batch: int) -> Any:
        values = step(self, lr, hr, batch)
        if batch == 8:
            self.generator.skipped_in_a_row += 1
        return values

    with monkeypatch.context() as patch:
        patch.setattr(PsnrStage, "step", skipped)
        patch.setattr("sr_train.trainer.write_stage_result", lambda *_: kill())
        with pytest.raises(Killed):
            sr_train.fit(config, "demo")
    assert sr_train.fit(config, "demo", resume=True).interrupted is None


def test_a_folder_where_weights_cannot_be_made_is_a_storage_error(config: Config) -> None:
    (Path("runs") / "demo").mkdir(parents=True)
    (Path("runs") / "demo" / "weights").touch()
    with pytest.raises(StorageError, match=r"demo: .*--run"):
        sr_train.fit(config, "demo")


@pytest.mark.slow
def test_where_peak_memory_cannot_be_read_it_is_left_out(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[Mapping[str, float]] = []
    monkeypatch.setattr(Tracker, "log", lambda *arguments: logged.append(arguments[-1]))
    monkeypatch.setitem(sys.modules, "resource", None)  # as on Windows
    before_step(monkeypatch, 1, lambda: signal.raise_signal(signal.SIGTERM))
    sr_train.fit(config, "demo")
    assert "peak_memory_gb" not in logged[0]
    assert logged[0]["images_per_second"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("error", [MemoryError("no"), RuntimeError("can't allocate memory: 9")])
def test_a_lack_of_memory_names_what_to_make_smaller(
    config: Config, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail() -> None:
        raise error

    before_step(monkeypatch, 1, fail)
    with pytest.raises(OutOfMemoryError, match=r"batch_size 4.*grad_accum"):
        sr_train.fit(config, "demo")


def test_the_state_is_read_only_by_the_process_that_holds_the_run(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that holds it may be about to save a later state."""

    def too_early(path: Path) -> None:
        raise AssertionError(path)

    sr_train.fit(config, tmp_path / "run")
    monkeypatch.setattr("sr_train.trainer.load_state", too_early)
    with (
        only_training_in(tmp_path / "run"),
        pytest.raises(ArgumentError, match="another process is training"),
    ):
        sr_train.fit(config, tmp_path / "run", resume=True)


def test_a_run_that_another_process_finished_meanwhile_is_not_started_again(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "run/state.pt"

    def other_process(_: Config) -> None:
        state.parent.mkdir()
        state.write_text("of the other process")

    monkeypatch.setattr("sr_train.trainer.check_data", other_process)
    with pytest.raises(ArgumentError, match="there already is a run"):
        sr_train.fit(config, tmp_path / "run")
    assert state.read_text() == "of the other process"

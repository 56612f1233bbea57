"""The training run: load, step, log, validate, save; through stage 1 and stage 2 to the end."""

import dataclasses
import math
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch

from sr_runtime.atomic import atomic_path
from sr_runtime.errors import ArgumentError, NonFiniteError
from sr_train.checkpoint import save_generator
from sr_train.config import Config, Stage
from sr_train.config_file import write_config
from sr_train.data.loading import batches_per_epoch, check_data, training_loader
from sr_train.distributed import Processes, joined
from sr_train.meter import Meter, peak_memory
from sr_train.position import Position, check_resumable, made_for
from sr_train.precision import resolved
from sr_train.results import write_results
from sr_train.stage_start import build_stage
from sr_train.stages import GanStage, PretrainStage
from sr_train.state import (
    interruption,
    load_state,
    random_state,
    save_state,
)
from sr_train.tracking import Tracker
from sr_train.validation import Validator

__all__ = ["fit"]


def fit(config: Config, folder: Path, *, resume: bool) -> int:
    """Train in `folder`; 0, or 128 and the signal that interrupted it.

    Raises an SRError for what a user can mend: data, weights, devices, disks, divergence.
    """
    with joined(config.device) as processes:
        precision = resolved(config.precision, processes.device)
        config = dataclasses.replace(config, precision=precision)
        torch.backends.cudnn.benchmark = not config.deterministic
        if config.deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True)
        check_data(config)
        state = load_state(folder / "state.pt") if resume else None
        if state:
            check_resumable(config, folder, state)
        validator = Validator(config, processes)
        if processes.is_first:
            (folder / "weights").mkdir(parents=True, exist_ok=True)
            write_config(config, folder / "config.yaml")
        processes.wait()
        if not (folder / "config.yaml").exists():
            raise ArgumentError(f"{folder} is not seen by all machines: put it on a shared disk")
        with Run(config, folder, processes, validator, state) as run, interruption() as interrupted:
            return run.train(interrupted)


class Run:
    """One run in its folder: where it is, what it measured, what was best."""

    def __init__(
        self,
        config: Config,
        folder: Path,
        processes: Processes,
        validator: Validator,
        state: dict[str, Any] | None,
    ) -> None:
        self.config, self.folder = config, folder
        self.processes, self.validator = processes, validator
        self.per_epoch = {stage: batches_per_epoch(config, stage) for stage in config.stage_names}
        self.state = state
        self.position = Position(**state["position"]) if state else Position(config.stage_names[0])
        self.best: float | None = state["best"] if state else None
        self.meter = Meter()
        if state:
            self.meter.load_state_dict(state["meter"], processes.device)
        self.tracker: Tracker | None = None
        if processes.is_first:
            self.tracker = Tracker(
                folder,
                config,
                step=self.position.step,
                total_steps=sum(
                    config.section(name).num_epoch * count for name, count in self.per_epoch.items()
                ),
                wandb_id=state["wandb_id"] if state else None,
            )
            for sentence in validator.missing:
                self.tracker.say(sentence)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.tracker:
            self.tracker.__exit__(kind, error, trace)

    def train(self, interrupted: Callable[[], int | None]) -> int:
        """Every stage from where the run is."""
        if self.state is None:
            self._save(None)  # now, so that a run can be resumed from its first step
        names = self.config.stage_names
        for name in names[names.index(self.position.stage) :]:
            if name != self.position.stage:
                self._enter_stage(name)
            stage = build_stage(
                self.config,
                name,
                self.folder,
                self.processes,
                self.validator.features,
                self.state,
            )
            self.state = None
            number = self._train_stage(stage, interrupted)
            if number is not None:
                self._say(
                    f"interrupted at step {self.position.step}, which is saved; go on with: "
                    f"python -m sr_train fit --resume {self.folder}"
                )
                return 128 + number
            self._finish_stage(stage)
        if self.tracker:
            write_results(self.config, self.folder, self.validator)
            self._say(f"done: weights, samples and pictures are in {self.folder}")
        return 0

    def _train_stage(
        self, stage: PretrainStage | GanStage, interrupted: Callable[[], int | None]
    ) -> int | None:
        """The rest of the stage's epochs; the signal that ended them early."""
        config, position = self.config, self.position
        if self._validation_is_due():  # a kill has cut it short
            self._validate(stage)
        loader = training_loader(
            config,
            position.stage,
            epoch=position.epoch,
            batch=position.batch,
            rank=self.processes.rank,
            world_size=self.processes.world_size,
        )
        self._start_clock()
        for lr, hr in loader:
            if self.tracker and position.step == 0 and not config.compile:
                self.tracker.graph(stage.generator.averaged, lr[:1].to(self.processes.device) / 255)
            self.meter.add(stage.step(lr, hr, self._batches()))
            position.advance(self.per_epoch[position.stage])
            self.seen += len(lr) * self.processes.world_size
            if position.step % config.log_every == 0:
                self._log(stage)
            if self._validation_is_due():
                self._save(stage)  # whoever asks us to end may not wait for a validation
                self._validate(stage)
                self._save(stage)
            number = interrupted()
            stopping = self.processes.any(number is not None)
            if stopping or position.step % config.save_every == 0:
                self._save(stage)
            if self.tracker:
                self.tracker.advance(position.step, position.stage, position.epoch)
            if stopping:
                return number or signal.SIGTERM
        return None

    def _log(self, stage: PretrainStage | GanStage) -> None:
        """Read the meters, which waits for the device."""
        position = self.position
        values = self.processes.averaged(self.meter.read())
        values["images_per_second"] = self.seen / (time.perf_counter() - self.started)
        values["peak_memory_gb"] = peak_memory(self.processes.device) / 1e9
        values["skipped_steps"] = sum(float(learner.skipped) for learner in stage.learners.values())
        for name, rate in stage.learning_rates(self._batches() - 1).items():
            values[f"lr_{name}"] = rate
        for name, learner in stage.learners.items():
            for group, norm in learner.gradient_norms().items():
                values[f"gradient/{name}/{group}"] = norm
        if self.tracker:
            finite = {name: value for name, value in values.items() if math.isfinite(value)}
            self.tracker.log(position.step, position.stage, position.epoch, finite)
        self._check_convergence(stage)
        self._start_clock()

    def _check_convergence(self, stage: PretrainStage | GanStage) -> None:
        limit = self.config.max_skipped_steps
        for learner in stage.learners.values():
            if learner.most_skipped_in_a_row > limit:
                raise NonFiniteError(
                    f"training diverged: {int(learner.most_skipped_in_a_row)} steps in a row had "
                    f"NaN or infinite gradients, and max_skipped_steps is {limit}; the last good "
                    f"state is {self.folder / 'state.pt'}: go on from it with a lower learning "
                    f"rate, --grad_clip or --precision fp32, with --resume {self.folder}"
                )

    def _validation_is_due(self) -> bool:
        position = self.position
        if position.batch or position.epoch == position.validated:
            return False
        last = self.config.section(position.stage).num_epoch
        return position.epoch % self.config.validation.every_epochs == 0 or position.epoch == last

    def _validate(self, stage: PretrainStage | GanStage) -> None:
        """Measure on whole images; keep the weights if they are the best so far."""
        position, averaged = self.position, stage.generator.averaged
        try:
            means, pictures = self.validator.measure(averaged, position.stage)
        except NonFiniteError as error:
            raise NonFiniteError(
                f"the validation after step {position.step} failed, since {error}; the state of "
                f"that step is {self.folder / 'state.pt'}"
            ) from error
        # By PSNR in stage 1, and in stage 2, which gives some of it up, by what it is for.
        score = means["val_psnr_y"] if position.stage == "pretraining" else -means["val_lpips"]
        improved = self.best is None or score > self.best
        if improved:
            self.best = score
        position.validated = position.epoch
        if self.tracker:
            if improved:
                save_generator(averaged, self._weights("best"))
            self.tracker.log(position.step, position.stage, position.epoch, means)
            for name, picture in pictures:
                self.tracker.picture(position.step, name, picture)
        self._start_clock()

    def _save(self, stage: PretrainStage | GanStage | None) -> None:
        """Write all that `--resume` needs; without a stage, one that is about to begin."""
        if stage:
            self._check_convergence(stage)
        if not self.tracker:
            return
        learners = stage.learners if stage else {}
        generator = stage.generator.network if stage else None
        state = {
            "position": dataclasses.asdict(self.position),
            "made_for": made_for(self.config),
            "best": self.best,
            "generator": (generator.arch, generator.architecture) if generator else None,
            "learners": {name: learner.state_dict() for name, learner in learners.items()},
            "meter": self.meter.state_dict(),
            "random": random_state(self.processes.device),
            "wandb_id": self.tracker.wandb_id,
        }
        save_state(state, self.folder / "state.pt")

    def _finish_stage(self, stage: PretrainStage | GanStage) -> None:
        """Keep the stage's result: of stage 1 the best, of stage 2 the last (and the best)."""
        if self.tracker:
            if self.position.stage == "pretraining":
                with atomic_path(self._weights("psnr")) as temporary:
                    shutil.copyfile(self._weights("best"), temporary)
            else:
                save_generator(stage.generator.averaged, self._weights("esrgan"))

    def _enter_stage(self, name: Stage) -> None:
        self.position = Position(name, step=self.position.step)
        self.best = None
        self.meter = Meter()
        self._save(None)
        self.processes.wait()  # for weights/psnr, from which the others read

    def _batches(self) -> int:
        """Mini-batches of the stage that are over."""
        return self.position.epoch * self.per_epoch[self.position.stage] + self.position.batch

    def _weights(self, name: str) -> Path:
        return self.folder / "weights" / f"{name}.safetensors"

    def _start_clock(self) -> None:
        self.started, self.seen = time.perf_counter(), 0

    def _say(self, sentence: str) -> None:
        if self.tracker:
            self.tracker.say(sentence)

"""The training run: load, step, log, validate, save; through stage 1 and stage 2 to the end."""

import dataclasses
import math
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM
from types import TracebackType
from typing import Any, Self

import PIL.Image
import torch

from sr_runtime.atomic import atomic_path
from sr_runtime.errors import ArgumentError, NonFiniteError
from sr_train.checkpoint import load_generator, save_generator
from sr_train.config import Config, Stage
from sr_train.config_file import write_config
from sr_train.curves import draw_curves
from sr_train.data.loading import batches_per_epoch, check_data, training_loader
from sr_train.distributed import Processes, joined
from sr_train.interpolate import interpolate
from sr_train.meter import Meter, peak_memory
from sr_train.models import Generator, RRDBNet, build_generator
from sr_train.precision import resolved
from sr_train.stages import GanStage, PretrainStage
from sr_train.state import (
    interruption,
    load_state,
    random_state,
    restore_random_state,
    save_state,
)
from sr_train.tracking import Tracker
from sr_train.validation import Validator

__all__ = ["fit"]


@dataclass
class Position:
    """How far a run is."""

    stage: Stage
    epoch: int = 0
    """Epochs of the stage that are over."""
    batch: int = 0
    """Mini-batches of this epoch that are over."""
    step: int = 0
    """Mini-batches of the run that are over."""

    def advance(self, per_epoch: int) -> None:
        """One mini-batch further."""
        self.step += 1
        self.batch += 1
        if self.batch == per_epoch:
            self.epoch, self.batch = self.epoch + 1, 0


def fit(config: Config, folder: Path, *, resume: bool) -> int:
    """Train in `folder`; 0, or 128 and the signal that interrupted it.

    Raises an SRError for what a user can mend: data, weights, devices, disks, divergence.
    """
    with joined(config.device) as processes:
        precision = resolved(config.precision, processes.device)
        config = dataclasses.replace(config, precision=precision)
        if config.deterministic:
            _be_deterministic()
        state = load_state(folder / "state.pt") if resume else None
        check_data(config)
        validator = Validator(config, processes)
        if processes.is_first:
            (folder / "weights").mkdir(parents=True, exist_ok=True)
            write_config(config, folder / "config.yaml")
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
        self.stages: list[Stage] = config.stages.split(",")  # type: ignore[assignment]
        self.per_epoch = {stage: batches_per_epoch(config, stage) for stage in self.stages}
        self.state = state
        self.position = Position(**state["position"]) if state else Position(self.stages[0])
        self.best: float | None = state["best"] if state else None
        self.meter = Meter()
        if state:
            self.meter.load_state_dict(state["meter"], processes.device)
        self.tracker = (
            Tracker(
                folder,
                config,
                step=self.position.step,
                total_steps=sum(self._steps(stage) for stage in self.stages),
                wandb_id=state["wandb_id"] if state else None,
            )
            if processes.is_first
            else None
        )
        if self.tracker:
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
        for name in self.stages[self.stages.index(self.position.stage) :]:
            if name != self.position.stage:
                self._enter_stage(name)
            stage = self._build_stage()
            signal = self._train_stage(stage, interrupted)
            if signal is not None:
                self._say(
                    f"interrupted at step {self.position.step}, which is saved; go on with: "
                    f"python -m sr_train fit --resume {self.folder}"
                )
                return 128 + signal
            self._finish_stage(stage)
        self._finish()
        return 0

    def _train_stage(
        self, stage: PretrainStage | GanStage, interrupted: Callable[[], int | None]
    ) -> int | None:
        """The rest of the stage's epochs; the signal that ended them early."""
        config, position = self.config, self.position
        per_epoch = self.per_epoch[position.stage]
        loader = training_loader(
            config,
            position.stage,
            epoch=position.epoch,
            batch=position.batch,
            rank=self.processes.rank,
            world_size=self.processes.world_size,
        )
        epochs = getattr(config, position.stage).num_epoch
        self._start_clock()
        for lr, hr in loader:
            if self.tracker and position.step == 0 and not config.compile:
                self.tracker.graph(stage.generator.averaged, lr[:1].to(self.processes.device) / 255)
            self.meter.add(stage.step(lr, hr, self._stage_batch()))
            position.advance(per_epoch)
            self.seen += len(lr) * self.processes.world_size
            if position.step % config.log_every == 0:
                self._log(stage)
            every = config.validation.every_epochs
            if position.batch == 0 and (position.epoch % every == 0 or position.epoch == epochs):
                self._validate(stage)
            signal = interrupted()
            stopping = self.processes.any(signal is not None)
            if stopping or position.step % config.save_every == 0:
                self._save(stage)
            if self.tracker:
                self.tracker.advance(position.step, position.stage, position.epoch)
            if stopping:
                return signal or SIGTERM
        return None

    def _build_stage(self) -> PretrainStage | GanStage:
        """The stage that the run is in, as new or as it was saved."""
        torch.manual_seed(self.config.seed)
        generator = self._generator()
        if generator.img_channels != self.config.img_channels:
            raise ArgumentError(
                f"init {self.config.init} has {generator.img_channels} channels and img_channels "
                f"is {self.config.img_channels}: make them the same"
            )
        stage: PretrainStage | GanStage
        if self.position.stage == "pretraining":
            stage = PretrainStage(self.config, generator, self.processes)
        else:
            features = self.validator.features
            assert features is not None  # without them stage 2 has not been begun
            stage = GanStage(self.config, generator, features, self.processes)
        if self.state and self.state["learners"]:
            for name, learner in stage.learners.items():
                learner.load_state_dict(self.state["learners"][name])
            restore_random_state(self.state["random"])
        self.state = None
        return stage

    def _generator(self) -> Generator:
        """The generator that a stage starts from; a resumed one still gets its own weights."""
        config = self.config
        if self.state and self.state["learners"]:
            return build_generator(*self.state["generator"])
        if self.position.stage != self.stages[0]:
            return load_generator(self._weights("psnr"))
        if config.init:
            return load_generator(config.init, scale=config.scale_factor)
        return RRDBNet(
            scale_factor=config.scale_factor,
            img_channels=config.img_channels,
            **dataclasses.asdict(config.generator),
        )

    def _log(self, stage: PretrainStage | GanStage) -> None:
        """Read the meters, which waits for the device; stop a run that has diverged."""
        position = self.position
        values = self.processes.averaged(self.meter.read())
        values["images_per_second"] = self.seen / (time.perf_counter() - self.started)
        values["peak_memory_gb"] = peak_memory(self.processes.device) / 1e9
        for name, rate in stage.learning_rates(self._stage_batch() - 1).items():
            values[f"lr_{name}"] = rate
        values["skipped_steps"] = sum(float(learner.skipped) for learner in stage.learners.values())
        for name, learner in stage.learners.items():
            for group, norm in learner.gradient_norms().items():
                values[f"gradient/{name}/{group}"] = float(norm)
        self._start_clock()
        if self.tracker:
            finite = {name: value for name, value in values.items() if math.isfinite(value)}
            self.tracker.log(position.step, position.stage, position.epoch, finite)
        for learner in stage.learners.values():
            if learner.most_skipped_in_a_row > self.config.max_skipped_steps:
                raise NonFiniteError(
                    f"training diverged: {int(learner.most_skipped_in_a_row)} steps in a row had "
                    f"NaN or infinite gradients, and max_skipped_steps is "
                    f"{self.config.max_skipped_steps}; the last good state is "
                    f"{self.folder / 'state.pt'}: go on from it with a lower learning rate, "
                    "--grad_clip or --precision fp32"
                )

    def _validate(self, stage: PretrainStage | GanStage) -> None:
        """Measure on whole images; keep the weights if they are the best so far."""
        position, averaged = self.position, stage.generator.averaged
        means, pictures = self.validator.measure(averaged, position.stage)
        if self.tracker:
            self.tracker.log(position.step, position.stage, position.epoch, means)
            for name, picture in pictures:
                self.tracker.picture(position.step, name, picture)
            # By PSNR in stage 1, and in stage 2, which gives some of it up, by what it is for.
            score = means["val_psnr_y"] if position.stage == "pretraining" else -means["val_lpips"]
            if self.best is None or score > self.best:
                self.best = score
                save_generator(averaged, self._weights("best"))
        self._start_clock()

    def _save(self, stage: PretrainStage | GanStage | None) -> None:
        """Write all that `--resume` needs; without a stage, one that is about to begin."""
        if not self.tracker:
            return
        learners = stage.learners if stage else {}
        generator = stage.generator.network if stage else None
        state = {
            "position": dataclasses.asdict(self.position),
            "best": self.best,
            "generator": (generator.arch, generator.architecture) if generator else None,
            "learners": {name: learner.state_dict() for name, learner in learners.items()},
            "meter": self.meter.state_dict(),
            "random": random_state(),
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
        self._save(stage)

    def _enter_stage(self, name: Stage) -> None:
        self.position = Position(name, step=self.position.step)
        self.best = None
        self.meter = Meter()
        self._save(None)
        self.processes.wait()  # for weights/psnr, from which the others read

    def _finish(self) -> None:
        """What is made of a whole run."""
        if not self.tracker:
            return
        results = {"pretraining": "psnr", "training": "esrgan"}
        generators = {
            name: load_generator(self._weights(name))
            for name in (results[stage] for stage in self.stages)
        }
        if len(generators) == 2:
            alpha = self.config.interpolation_alpha
            generators["interpolated"] = interpolate(
                generators["psnr"], generators["esrgan"], alpha
            )
            save_generator(generators["interpolated"], self._weights("interpolated"))
        picture = self.validator.comparison(generators, self.position.stage)
        with atomic_path(self.folder / "comparison.png") as temporary:
            PIL.Image.fromarray(picture).save(temporary)
        draw_curves(self.folder)
        self._say(f"done: weights, samples, comparison.png and curves.png are in {self.folder}")

    def _stage_batch(self) -> int:
        """Mini-batches of the stage that are over."""
        position = self.position
        return position.epoch * self.per_epoch[position.stage] + position.batch

    def _steps(self, stage: Stage) -> int:
        epochs: int = getattr(self.config, stage).num_epoch
        return epochs * self.per_epoch[stage]

    def _weights(self, name: str) -> Path:
        return self.folder / "weights" / f"{name}.safetensors"

    def _start_clock(self) -> None:
        self.started, self.seen = time.perf_counter(), 0

    def _say(self, sentence: str) -> None:
        if self.tracker:
            self.tracker.say(sentence)


def _be_deterministic() -> None:
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False

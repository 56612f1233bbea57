"""The training run: load, step, log, validate, save; through stage 1 and stage 2 to the end."""

import contextlib
import math
import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from sr_runtime.atomic import atomic_path
from sr_runtime.errors import ArgumentError, NonFiniteError
from sr_train.checkpoint import save_generator
from sr_train.config.file import write_config
from sr_train.config.schema import Config
from sr_train.data.loader import training_loader
from sr_train.data.stage_data import batches_per_epoch, check_data
from sr_train.distributed import Processes, init_distributed
from sr_train.memory import memory_advice, peak_memory
from sr_train.meter import Meter
from sr_train.position import Position, check_resumable, data_fingerprint
from sr_train.precision import resolve_precision
from sr_train.results import write_results
from sr_train.run_folder import only_training_in
from sr_train.run_state import interruption, load_state, random_state, save_state
from sr_train.stage_start import build_stage, generator_config_of
from sr_train.stages import GanStage, PsnrStage
from sr_train.tracking import Tracker
from sr_train.validation import Validator

__all__ = ["fit"]


def fit(config: Config, folder: Path, *, resume: bool) -> int:
    """Train in `folder`; 0, or 128 and the signal that interrupted it.

    Raises an SRError for what a user can mend: data, weights, devices, memory, disks, divergence.
    What can be known to fail does so before anything is written.
    """
    with init_distributed(config.device) as processes, memory_advice(config):
        return _fit(config, folder, processes, resume=resume)


def _fit(config: Config, folder: Path, processes: Processes, *, resume: bool) -> int:
    config = replace(config, precision=resolve_precision(config.precision, processes.device))
    torch.backends.cudnn.benchmark = not config.deterministic
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    check_data(config)
    for name in config.stage_names:  # says what cannot be shared by these processes
        training_loader(
            config,
            name,
            epoch=0,
            batch=0,
            rank=processes.rank,
            world_size=processes.world_size,
        )
    state = load_state(folder / "state.pt") if resume else None
    if state:
        check_resumable(config, folder, state)
    validator = Validator(config, processes)
    position = Position(**state["position"]) if state else Position(config.stage_names[0])
    stage = build_stage(config, position.stage, folder, processes, validator.features, state)
    generator = generator_config_of(stage.generator.network, config.generator)
    config = replace(config, generator=generator)
    with interruption() as interrupted, contextlib.ExitStack() as stack:
        tracker = None
        if processes.is_main:
            stack.enter_context(only_training_in(folder))
            (folder / "weights").mkdir(exist_ok=True)
            write_config(config, folder / "config.yaml")
            tracker = stack.enter_context(
                Tracker(
                    folder,
                    config,
                    step=position.step,
                    total_steps=sum(
                        config.section(name).num_epoch * batches_per_epoch(config, name)
                        for name in config.stage_names
                    ),
                    wandb_id=state["wandb_id"] if state else None,
                )
            )
            for sentence in validator.missing:
                tracker.say(sentence)
        processes.barrier()
        if not (folder / "config.yaml").exists():
            raise ArgumentError(f"{folder} is on one machine only: put it on a shared disk")
        run = Run(config, folder, processes, validator, tracker, position, state)
        return run.train(stage, interrupted)


class Run:
    """One run in its folder: where it is, what it measured, what was best."""

    def __init__(
        self,
        config: Config,
        folder: Path,
        processes: Processes,
        validator: Validator,
        tracker: Tracker | None,
        position: Position,
        state: dict[str, Any] | None,
    ) -> None:
        self.config, self.folder = config, folder
        self.processes, self.validator = processes, validator
        self.tracker = tracker  # of the first process alone, which is the one that writes
        self.position = position
        self.per_epoch = {stage: batches_per_epoch(config, stage) for stage in config.stage_names}
        self.best: float | None = state["best"] if state else None
        self.saved = position.step
        self.meter = Meter()
        if state:
            self.meter.load_state_dict(state["meter"], processes.device)

    def train(self, stage: PsnrStage | GanStage, interrupted: Callable[[], int | None]) -> int:
        """From where the run is, in `stage`, to its end."""
        if self.position.step == 0:
            self._save(stage)  # now, so that a run can be resumed from its first step
        number = self._train_stage(stage, interrupted)
        if number is not None:
            self._say(
                f"interrupted; the state of step {self.saved} is saved, go on with: "
                f"python -m sr_train fit --resume {self.folder}"
            )
            return 128 + number
        self._finish_stage(stage)
        if self.position.stage != self.config.stage_names[-1]:
            return self.train(self._next_stage(), interrupted)
        if self.tracker:
            write_results(self.config, self.folder, self.validator)
            self._say(f"done: weights, samples and pictures are in {self.folder}")
        return 0

    def _train_stage(
        self, stage: PsnrStage | GanStage, interrupted: Callable[[], int | None]
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

    def _log(self, stage: PsnrStage | GanStage) -> None:
        """Read the meters, which waits for the device."""
        position = self.position
        values = self.processes.all_reduce_mean(self.meter.read())
        values["images_per_second"] = self.seen / (time.perf_counter() - self.started)
        values["peak_memory_gb"] = peak_memory(self.processes.device) / 1e9
        values["skipped_steps"] = sum(
            float(trainable.skipped) for trainable in stage.trainables.values()
        )
        for name, rate in stage.learning_rates(self._batches() - 1).items():
            values[f"lr_{name}"] = rate
        for name, trainable in stage.trainables.items():
            for group, norm in trainable.gradient_norms().items():
                values[f"gradient/{name}/{group}"] = norm
        if self.tracker:
            finite = {name: value for name, value in values.items() if math.isfinite(value)}
            self.tracker.log(position.step, position.stage, position.epoch, finite)
        self._check_convergence(stage)
        self._start_clock()

    def _check_convergence(self, stage: PsnrStage | GanStage) -> None:
        limit = self.config.max_skipped_steps
        for trainable in stage.trainables.values():
            if trainable.most_skipped_in_a_row > limit:
                raise NonFiniteError(
                    f"training diverged: {int(trainable.most_skipped_in_a_row)} steps in a row had "
                    f"NaN or infinite gradients, and max_skipped_steps is {limit}; the last state "
                    f"before them is {self.folder / 'state.pt'}: --resume {self.folder} with a "
                    "lower learning rate, --grad_clip 1 or --precision fp32; should that diverge "
                    "at once, start a new run with --init on one of its weights"
                )

    def _validation_is_due(self) -> bool:
        position = self.position
        if position.batch or position.epoch == position.validated:
            return False
        last = self.config.section(position.stage).num_epoch
        return position.epoch % self.config.validation.every_epochs == 0 or position.epoch == last

    def _validate(self, stage: PsnrStage | GanStage) -> None:
        """Measure on whole images; keep the weights if they are the best so far."""
        position, averaged = self.position, stage.generator.averaged
        try:
            means, pictures = self.validator.measure(averaged, position.stage)
        except NonFiniteError as error:
            raise NonFiniteError(
                f"training diverged, as the validation after step {position.step} shows, which met "
                "NaN or infinity: start a new run with a lower learning rate, and --init on one of "
                f"the weights in {self.folder / 'weights'} where there are some"
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

    def _save(self, stage: PsnrStage | GanStage) -> None:
        """Write all that `--resume` needs, unless the last steps were skipped: they go nowhere."""
        self._check_convergence(stage)
        trainables = stage.trainables.values()
        if not self.tracker or any(trainable.skipped_in_a_row for trainable in trainables):
            return
        generator = stage.generator.network
        state = {
            "position": asdict(self.position),
            "data_fingerprint": data_fingerprint(self.config),
            "best": self.best,
            "generator": (generator.arch, generator.architecture),
            "trainables": {
                name: trainable.state_dict() for name, trainable in stage.trainables.items()
            },
            "meter": self.meter.state_dict(),
            "random": random_state(self.processes.device),
            "wandb_id": self.tracker.wandb_id,
        }
        save_state(state, self.folder / "state.pt")
        self.saved = self.position.step

    def _finish_stage(self, stage: PsnrStage | GanStage) -> None:
        """Keep the stage's result: of stage 1 the best, of stage 2 the last (and the best)."""
        if self.tracker:
            if self.position.stage == "pretraining":
                with atomic_path(self._weights("psnr")) as temporary:
                    shutil.copyfile(self._weights("best"), temporary)
            else:
                save_generator(stage.generator.averaged, self._weights("esrgan"))

    def _next_stage(self) -> GanStage | PsnrStage:
        """Stage 2, which starts from the result of stage 1."""
        self.position = Position("training", step=self.position.step)
        self.best = None
        self.meter = Meter()
        self.processes.barrier()  # for weights/psnr, which the first process has written
        features = self.validator.features
        stage = build_stage(self.config, "training", self.folder, self.processes, features, None)
        self._save(stage)
        return stage

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

"""The training run: load, step, log, validate, save; through the PSNR and GAN stages to the end."""

import contextlib
import math
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from sr_runtime.errors import StorageError
from sr_train.checkpoint import save_generator
from sr_train.checksum import file_sha256
from sr_train.config.file import write_config
from sr_train.config.fixed import fixed_values
from sr_train.config.generator import described
from sr_train.config.schema import Config, Stage
from sr_train.crop_sizes import check_crops
from sr_train.data.loader import training_loader
from sr_train.data.stage_data import check_data, stage_steps
from sr_train.distributed import Processes, init_distributed
from sr_train.divergence import check_convergence, divergence_told
from sr_train.interruption import interruption
from sr_train.lock import only_training_in
from sr_train.memory import memory_advice, peak_memory
from sr_train.memory_need import check_memory_need
from sr_train.optimizers import check_optimizers
from sr_train.precision import algorithms, resolve_precision
from sr_train.results import write_results, write_stage_result
from sr_train.run_folder import FitResult, run_folder, weights_path
from sr_train.run_state import (
    Position,
    build_stage,
    check_resumable,
    data_fingerprint,
    random_state,
)
from sr_train.stages import GanStage, PsnrStage
from sr_train.state_file import load_state, save_state
from sr_train.tracking import Meter, Tracker
from sr_train.validation import Validator

__all__ = ["train"]


def train(config: Config, folder: Path, *, resume: bool) -> FitResult:
    """Train in `folder`, which is new or holds a run to resume; `sr_train.fit` documents the rest.

    Whatever can be checked in advance is checked before anything is written.
    """
    with (
        init_distributed(config.device) as processes,
        algorithms(deterministic=config.deterministic),
        memory_advice(config),
        contextlib.ExitStack() as held,
    ):
        if resume:  # before the state is read: another process may be about to save a later one
            _hold(folder, processes, held)
        run = Run(config, folder, processes, load_state(folder / "state.pt") if resume else None)
        if not resume:
            _hold(folder, processes, held)
            run_folder(folder, resume=False)  # another process may have trained it meanwhile
        with interruption() as interrupted, run.open_folder():
            return run.train(interrupted)


def _hold(folder: Path, processes: Processes, held: contextlib.ExitStack) -> None:
    if processes.is_main:  # the others wait until it has the lock
        held.enter_context(only_training_in(folder))
    processes.barrier()


class Run:
    """One run: its current stage, position, measurements and best scores."""

    def __init__(
        self, config: Config, folder: Path, processes: Processes, state: dict[str, Any] | None
    ) -> None:
        config = replace(config, precision=resolve_precision(config.precision, processes.device))
        check_data(config)
        check_optimizers(config)
        check_memory_need(config, processes.device, processes=processes.world_size)
        self.folder, self.processes = folder, processes
        self.loader = partial(
            training_loader, config, rank=processes.rank, world_size=processes.world_size
        )
        for name in config.stage_names:  # refuses mini-batches that the processes cannot share
            self.loader(name, batch=0)
        self.steps = {name: stage_steps(config, name) for name in config.stage_names}
        self.position = Position(config.stage_names[0])
        self.best: dict[Stage, float] = {}
        """The best validation score of each stage, greater is better."""
        self.weights: dict[str, str] = {}
        """The SHA-256 of the generators in `weights` that the run will need again, by name."""
        self.meter = Meter()
        self.tracker: Tracker | None = None  # of the main process, the only one that writes
        self.wandb_id = None
        self.is_new = state is None
        if state is not None:
            check_resumable(config, folder, state)
            self.position, self.best = Position(**state["position"]), dict(state["best"])
            self.weights = dict(state["weights"])
            self.meter.load_state_dict(state["meter"], processes.device)
            self.wandb_id = state["wandb_id"]
        self.saved = self.position.step
        # Now: whoever prepares the data again during the run must not change what it was made with.
        self.fingerprint = data_fingerprint(config)
        self.validator = Validator(config, processes)
        self.stage = build_stage(
            config, self.position.stage, folder, processes, self.validator.features, state
        )
        network = self.stage.generator.network
        generator = described(config.generator, network.arch, network.architecture)
        self.config = replace(config, generator=generator)  # `init` overrides the user's section
        check_crops(self.config, network, self.validator.features)

    @contextlib.contextmanager
    def open_folder(self) -> Iterator[None]:
        """In the main process: write config.yaml and keep the tracker open."""
        with contextlib.ExitStack() as stack:
            if self.processes.is_main:
                write_config(self.config, self.folder / "config.yaml", is_new=self.is_new)
                self.tracker = Tracker(
                    self.folder,
                    self.config,
                    step=self.position.step,
                    validated=not self._validation_is_due(),
                    total_steps=sum(steps.total for steps in self.steps.values()),
                    wandb_id=self.wandb_id,
                )
                stack.enter_context(self.tracker)
            self.processes.barrier()
            if not (self.folder / "config.yaml").exists():
                raise StorageError("is on one machine only: use a shared disk", path=self.folder)
            yield

    def train(self, interrupted: Callable[[], int | None]) -> FitResult:
        """Train from the run's position to the end, or until `interrupted` returns a signal."""
        for sentence in self.validator.missing:
            self._say(sentence)
        if self.position.step == 0:
            self._save()  # now, so that a run can be resumed from its first step
        while (number := self._train_stage(interrupted)) is None:
            if self.tracker:
                self._note_weights(write_stage_result(self.stage, self.folder))
            if self.stage.name == self.config.stage_names[-1]:
                if self.tracker:
                    write_results(self.config, self.folder, self.processes)
                    weights_path(self.folder, "latest").unlink(missing_ok=True)
                self._say(f"done: weights, samples and pictures are in {self.folder}")
                return self._result(interrupted=None)
            self._start_gan_stage()
        self._say(
            f"interrupted; the state of step {self.saved} is saved, continue with: "
            f"python -m sr_train fit --resume {self.folder}"
        )
        return self._result(interrupted=number)

    def _train_stage(self, interrupted: Callable[[], int | None]) -> int | None:
        """Train the remaining epochs of the stage; return the signal that ended them early."""
        config, position, stage = self.config, self.position, self.stage
        if self._validation_is_due():  # interrupted by a kill
            self._validate()
            self._save()
        self._start_clock()
        for lr, hr in self.loader(stage.name, batch=position.batch):
            if self.tracker and position.step == 0 and not config.compile:
                self.tracker.graph(stage.generator.averaged, lr[:1].to(self.processes.device) / 255)
            self.meter.add(stage.step(lr, hr, position.batch))
            position.advance()
            self.seen += len(lr) * self.processes.world_size
            if position.step % config.log_every == 0:
                self._log()
            if self._validation_is_due():
                self._save()  # save first: a kill must not lose what was trained
                self._validate()
                self._save()
            number = interrupted()
            stopping = self.processes.any(number is not None)
            if stopping or position.step % config.save_every == 0:
                self._save()
            if self.tracker:
                self.tracker.advance(position.step, stage.name, self._epoch())
            if stopping:
                return number or signal.SIGTERM
        return None

    def _log(self) -> None:
        """Log what was measured since the last time; reading it waits for the device."""
        stage = self.stage
        values = self.processes.all_reduce_mean(self.meter.read())
        values["images_per_second"] = self.seen / (time.perf_counter() - self.started)
        values["peak_memory_gb"] = peak_memory(self.processes.device) / 1e9
        values["skipped_steps"] = sum(float(each.skipped) for each in stage.trainables.values())
        rates = stage.learning_rates(self.position.batch - 1)
        values |= {f"lr_{name}": rate for name, rate in rates.items()}
        for name, trainable in stage.trainables.items():
            for group, norm in trainable.gradient_norms().items():
                values[f"gradient/{name}/{group}"] = norm
        if self.tracker:
            finite = {name: value for name, value in values.items() if math.isfinite(value)}
            self.tracker.log(self.position.step, stage.name, self._epoch(), finite)
        check_convergence(self.stage.trainables, self.config.max_skipped_steps, self.folder)
        self._start_clock()

    def _validate(self) -> None:
        """Measure on whole images; keep the weights if they are the stage's best so far."""
        position, stage = self.position, self.stage
        averaged = stage.generator.averaged
        with divergence_told(position.step, self.folder):
            means, pictures = self.validator.measure(averaged, stage.name)
        # The GAN stage gives up PSNR for what LPIPS measures.
        score = means["val_psnr_y"] if stage.name == PsnrStage.name else -means["val_lpips"]
        # While steps are skipped no state is saved, and a saved one must find the `best` it knows.
        keeps = stage.name not in self.best or not self._skips()
        improved = keeps and score > self.best.get(stage.name, -math.inf)
        if improved:
            self.best[stage.name] = score
        position.validated = position.batch
        if self.tracker:
            if improved:
                path = weights_path(self.folder, "best")
                save_generator(averaged, path)
                self._note_weights(path)
            self.tracker.log(position.step, stage.name, self._epoch(), means)
            for name, picture in pictures:
                self.tracker.picture(position.step, name, picture)
        self._start_clock()

    def _save(self) -> None:
        """Save the run's state, but not while steps are being skipped: their state is useless."""
        check_convergence(self.stage.trainables, self.config.max_skipped_steps, self.folder)
        if not self.tracker or self._skips():
            return
        network, trainables = self.stage.generator.network, self.stage.trainables
        self.position.due = self._validation_is_due()
        state = {
            "position": asdict(self.position),
            "data_fingerprint": self.fingerprint,
            "best": self.best,
            "weights": self.weights,
            "fixed": fixed_values(self.config),
            "generator": (network.arch, network.architecture),
            "trainables": {name: each.state_dict() for name, each in trainables.items()},
            "meter": self.meter.state_dict(),
            "random": random_state(self.processes.device),
            "wandb_id": self.tracker.wandb_id,
        }
        save_state(state, self.folder / "state.pt")
        self.saved = self.position.step
        if self.saved:  # to look at what the run makes so far
            save_generator(self.stage.generator.averaged, weights_path(self.folder, "latest"))

    def _skips(self) -> bool:
        """Whether the last step was skipped; reading it waits for the device."""
        return any(bool(each.skipped_in_a_row) for each in self.stage.trainables.values())

    def _note_weights(self, path: Path) -> None:
        self.weights[path.stem] = file_sha256(path)

    def _start_gan_stage(self) -> None:
        """Go on to the GAN stage, which starts from the result of the PSNR stage."""
        self.position = Position(GanStage.name, step=self.position.step)
        self.meter = Meter()
        self.processes.barrier()  # until the main process has written weights/psnr
        features = self.validator.features
        self.stage = build_stage(
            self.config, GanStage.name, self.folder, self.processes, features, state=None
        )
        self._save()

    def _validation_is_due(self) -> bool:
        return self.position.validation_is_due(self.steps[self.position.stage])

    def _epoch(self) -> int:
        """Finished epochs of the stage."""
        return self.position.batch // self.steps[self.position.stage].per_epoch

    def _start_clock(self) -> None:
        self.started, self.seen = time.perf_counter(), 0

    def _say(self, sentence: str) -> None:
        if self.tracker:
            self.tracker.say(sentence)

    def _result(self, *, interrupted: int | None) -> FitResult:
        self.processes.barrier()  # until the main process has written everything
        lpips = self.best.get(GanStage.name)
        return FitResult(
            folder=self.folder,
            best_psnr_y=self.best.get(PsnrStage.name),
            best_lpips=None if lpips is None else -lpips,
            interrupted=interrupted,
        )

"""TensorBoard and Weights & Biases, where a run can be watched.

Neither can stop a run once it trains: a disk that is full or a network that is gone costs only
the dashboard.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from sr_runtime.errors import ArgumentError, BackendError, require_extra
from sr_train.config.schema import Config

__all__ = ["Dashboards"]


class Dashboards:
    """The dashboards of a run, until its context ends.

    `say` tells of one that fails, which is left out from then on. TensorBoard hides what an earlier
    start of the run wrote after `step`. `wandb_id` is the W&B run to continue.

    Raises:
        ArgumentError: You are not logged in to W&B.
        BackendError: W&B refuses the run or cannot be reached, or it is not installed.
    """

    def __init__(
        self,
        folder: Path,
        config: Config,
        *,
        step: int,
        wandb_id: str | None,
        say: Callable[[str], None],
    ) -> None:
        self._say = say
        self._open: list[Dashboard] = []
        self._quiet = contextlib.ExitStack()
        self.wandb_id: str | None = None
        """The identity of the W&B run; None while W&B is off."""
        if config.wandb.project is not None:
            wandb = Wandb(folder, config, wandb_id)
            self._open.append(wandb)
            self.wandb_id = wandb.run.id
        try:
            self._open.append(TensorBoard(folder / "tensorboard", step))
        except Exception as error:
            self._say(_failure(TensorBoard.name, error))

    def log(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """Show values by their tags."""
        self._each(lambda one: one.log(step, epoch, values))

    def picture(self, step: int, tag: str, image: NDArray[np.uint8]) -> None:
        """Show a picture (H, W, 3)."""
        self._each(lambda one: one.picture(step, tag, image))

    def graph(self, generator: nn.Module, lr: Tensor) -> None:
        """Show the graph of the network, traced with `lr` (N, C, h, w)."""
        self._each(lambda one: one.graph(generator, lr))

    def _each(self, show: "Callable[[Dashboard], None]") -> None:
        for one in list(self._open):
            try:
                show(one)
            except Exception as error:
                self._open.remove(one)
                self._say(_failure(one.name, error))

    def __enter__(self) -> Self:
        self._quiet.enter_context(_no_tracebacks_of_tensorboard())
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._quiet:
            self._each(lambda one: one.close(failed=kind is not None))


class Dashboard(Protocol):
    """One place that shows a run."""

    name: str

    def log(self, step: int, epoch: int, values: Mapping[str, float]) -> None: ...
    def picture(self, step: int, tag: str, image: NDArray[np.uint8]) -> None: ...
    def graph(self, generator: nn.Module, lr: Tensor) -> None: ...
    def close(self, *, failed: bool) -> None: ...


class TensorBoard:
    """Event files in the run's folder."""

    name = "TensorBoard"

    def __init__(self, folder: Path, step: int) -> None:
        with require_extra("train"):
            from torch.utils.tensorboard.writer import SummaryWriter

        self.writer: Any = SummaryWriter(folder, purge_step=step + 1)

    def log(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        for tag, value in values.items():
            self.writer.add_scalar(tag, value, step)
        self.writer.flush()

    def picture(self, step: int, tag: str, image: NDArray[np.uint8]) -> None:
        self.writer.add_image(tag, image, step, dataformats="HWC")

    def graph(self, generator: nn.Module, lr: Tensor) -> None:
        self.writer.add_graph(generator, lr)

    def close(self, *, failed: bool) -> None:
        self.writer.close()


class Wandb:
    """A run at Weights & Biases, or in the run's folder for a later `wandb sync`.

    It plots values over the column `step`, because its own count could not repeat the steps that a
    resumed run repeats. Offline, every start of a run leaves a folder under `wandb` with the same
    identity, and `wandb sync` merges them.
    """

    name = "W&B"

    def __init__(self, folder: Path, config: Config, wandb_id: str | None) -> None:
        with require_extra("train"):
            import wandb

        options = config.wandb
        instead = "or upload the run later with --wandb.mode offline"
        try:
            if options.mode == "online" and not wandb.login(prompt=False):
                raise ArgumentError(
                    f"wandb.project is {options.project}, but you are not logged in to W&B: "
                    f"run `wandb login`, {instead}"
                )
            self.run: Any = wandb.init(
                project=options.project,
                entity=options.entity,
                mode=options.mode,
                name=folder.name,
                dir=folder,
                id=wandb_id,
                resume="allow" if wandb_id else None,
                config=asdict(config),
                settings=wandb.Settings(silent=True, console="off"),
            )
        except wandb.Error as error:
            reason = " ".join(str(error).split())
            raise BackendError(
                f"W&B cannot start the run ({reason}): try again, {instead}"
            ) from error
        self.run.define_metric("*", step_metric="step")

    def log(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        self.run.log({"step": step, "epoch": epoch, **values})

    def picture(self, step: int, tag: str, image: NDArray[np.uint8]) -> None:
        import wandb

        self.run.log({"step": step, tag: wandb.Image(image)})

    def graph(self, generator: nn.Module, lr: Tensor) -> None:
        """W&B shows none."""

    def close(self, *, failed: bool) -> None:
        self.run.finish(exit_code=1 if failed else 0)  # its own exit would print a traceback too


def _failure(name: str, error: Exception) -> str:
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return f"{name} shows nothing from here on ({reason}); the run and its metrics.csv go on"


@contextlib.contextmanager
def _no_tracebacks_of_tensorboard() -> Iterator[None]:
    """Its thread raises its error, which Python prints, besides giving it to the next call."""
    former = threading.excepthook

    def hook(failure: threading.ExceptHookArgs) -> None:
        if not type(failure.thread).__module__.startswith("tensorboard."):
            former(failure)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = former

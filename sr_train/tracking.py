"""Where a run's numbers and pictures go: the console, metrics.csv, samples, dashboards."""

import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from sr_runtime.cli.console import say
from sr_runtime.storage.atomic import atomic_path, create_folder
from sr_train.config.schema import Config, Stage
from sr_train.dashboards import Dashboards
from sr_train.metrics_file import append_metrics, cut_metrics

__all__ = ["Meter", "Tracker"]

# What another run of the same configuration measures differently.
UNREPEATABLE = {"images_per_second", "peak_memory_gb"}

# The values that the console shows, with their formats.
SHOWN = {
    "content": "content {:.4f}",
    "perceptual": "perceptual {:.3f}",
    "g_adversarial": "adversarial {:.3f}",
    "g_total": "total {:.3f}",
    "d_adversarial": "discriminator {:.3f}",
    "lr_g": "lr {:.1e}",
    "lr_d": "discriminator's {:.1e}",
    "images_per_second": "{:.1f} images/s",
    "val_psnr_y": "validation: PSNR Y {:.2f} dB",
    "val_lpips": "LPIPS {:.4f}",
}


class Tracker:
    """Records numbers and pictures until its context ends.

    It first removes what an earlier start of the run logged after `step`. Unless that step is
    `validated`, its validation is removed too: it will be measured again. A terminal shows a
    progress bar; elsewhere, as in a log file, everything that is logged prints a line. `wandb_id`
    is the W&B run to continue.

    Raises:
        DataError: metrics.csv is damaged.
        StorageError: The folder cannot be written.
        ArgumentError, BackendError: as `Dashboards`.
    """

    def __init__(
        self,
        folder: Path,
        config: Config,
        *,
        step: int,
        validated: bool = True,
        total_steps: int,
        wandb_id: str | None,
    ) -> None:
        self.folder = folder
        self._stage: Stage | None = None
        self._first, self._last, self._began = step, total_steps, time.monotonic()
        cut_metrics(folder / "metrics.csv", step=step, validated=validated)
        with ExitStack() as stack:
            self._bar = stack.enter_context(
                tqdm(
                    initial=step,
                    total=total_steps,
                    unit="step",
                    mininterval=0.5,
                    dynamic_ncols=True,
                    disable=not sys.stderr.isatty(),
                )
            )
            self._dashboards = stack.enter_context(
                Dashboards(folder, config, step=step, wandb_id=wandb_id, say=self.say)
            )
            self.wandb_id = self._dashboards.wandb_id
            self._open = stack.pop_all()

    def log(self, step: int, stage: Stage, epoch: int, values: Mapping[str, float]) -> None:
        """Record measured values.

        Those whose names have a slash, and those of time and memory, are left out of metrics.csv.
        """
        columns = {
            n: value for n, value in values.items() if "/" not in n and n not in UNREPEATABLE
        }
        append_metrics(self.folder / "metrics.csv", step, stage, epoch, columns)
        tagged = {_tag(stage, name): value for name, value in values.items()}
        self._dashboards.log(step, epoch, tagged)
        if shown := [text.format(values[name]) for name, text in SHOWN.items() if name in values]:
            self._bar.set_postfix_str(", ".join(shown), refresh=False)
            if self._bar.disable:
                place = f"{stage}, epoch {epoch}, step {step}/{self._last}"
                # Estimated from the steps of this stage so far.
                per_step = (time.monotonic() - self._began) / max(1, step - self._first)
                left = self._bar.format_interval(per_step * (self._last - step))
                self.say(f"{place}: {', '.join(shown)}, {left} left")

    def picture(self, step: int, name: str, image: NDArray[np.uint8]) -> None:
        """Record a picture (H, W, 3), also as samples/NAME_STEP.png."""
        name = name.replace("/", "_")
        target = self.folder / "samples" / f"{_shortened(name)}_{step:07}.png"
        create_folder(target.parent)
        with atomic_path(target) as temporary:
            PIL.Image.fromarray(image).save(temporary)
        self._dashboards.picture(step, f"samples/{name}", image)

    def graph(self, generator: nn.Module, lr: Tensor) -> None:
        """Record the graph of the network, traced with `lr` (N, C, h, w)."""
        self._dashboards.graph(generator, lr)

    def advance(self, step: int, stage: Stage, epoch: int) -> None:
        """Move the progress bar to `step`."""
        if stage != self._stage:  # the steps of another stage take another time
            self._stage, self._first, self._began = stage, step, time.monotonic()
        self._bar.set_description(f"{stage}, epoch {epoch}", refresh=False)
        self._bar.update(step - self._bar.n)

    def say(self, sentence: str) -> None:
        """Print without breaking the progress bar."""
        with self._bar.external_write_mode():
            say(sentence)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *outcome: Any) -> None:
        self._open.__exit__(*outcome)


def _tag(stage: Stage, name: str) -> str:
    """The name in TensorBoard and W&B, which group by the part before the slash."""
    if "/" in name:
        return name
    measured = name.removeprefix("val_")
    return f"{stage}/{name}" if measured == name else f"validation/{measured}"


def _shortened(name: str) -> str:
    """Names of files have 255 bytes at most."""
    return name.encode("utf-8", "surrogateescape")[:200].decode("utf-8", "ignore")


class Meter:
    """Means of the losses of every step, kept on the device until they are read."""

    def __init__(self) -> None:
        # Sums and counts of the finite values, by the names that a step returned.
        self.totals: dict[str, Tensor] = {}

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Add the values of a step; NaN and infinity, from skipped steps, do not count."""
        numbers = torch.stack([value.detach().float() for value in values.values()])
        finite = numbers.isfinite()
        total = torch.stack([torch.where(finite, numbers, 0), finite.float()])
        names = " ".join(values)
        self.totals[names] = self.totals[names] + total if names in self.totals else total

    def read(self) -> dict[str, float]:
        """The means since the last reading, NaN without finite values. Waits for the device."""
        sums: dict[str, list[float]] = {}
        for names, totals in self.totals.items():
            for name, total, count in zip(names.split(), *totals.tolist(), strict=True):
                before = sums.get(name, [0.0, 0.0])
                sums[name] = [before[0] + total, before[1] + count]
        self.totals = {}
        return {n: total / count if count else float("nan") for n, (total, count) in sums.items()}

    def state_dict(self) -> dict[str, Tensor]:
        """What was added since the last reading."""
        return self.totals

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Restore `state_dict()`."""
        self.totals = {names: totals.to(device) for names, totals in state.items()}

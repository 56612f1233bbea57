"""The folder of a run: the path for a name, and the result of `sr_train.fit`."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sr_runtime.errors import ArgumentError

__all__ = ["WEIGHTS", "FitResult", "run_folder", "run_path", "weights_path"]

WEIGHTS: Mapping[str, str] = {"pretraining": "psnr", "training": "esrgan"}
"""The weights file with the result of each stage."""

UNUSABLE = re.compile("[\0\ud800-\udfff]")
"""NUL, and what stands for a byte that is no UTF-8: safetensors opens no such file."""


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """What `sr_train.fit` has trained.

    Attributes:
        folder: The run's folder, with config.yaml, metrics.csv, state.pt, samples and pictures.
        best_psnr_y: Best validation PSNR on Y of the PSNR stage in dB; None if never validated.
        best_lpips: Best (lowest) validation LPIPS of the GAN stage; None if never validated.
        interrupted: The signal that ended the run early, such as `signal.SIGINT`; its state is
            saved, and `fit(…, resume=True)` continues it. None if the run is complete.
    """

    folder: Path
    best_psnr_y: float | None
    best_lpips: float | None
    interrupted: int | None

    @property
    def weights(self) -> dict[str, Path]:
        """The generators saved so far: `psnr` and `esrgan`, the results of the two stages;
        `interpolated` between them; `best`, which validated best in the last stage; `latest`,
        which is there until the run is complete."""
        return {path.stem: path for path in sorted(self.folder.glob("weights/*.safetensors"))}


def run_folder(run: str | os.PathLike[str], *, resume: bool) -> Path:
    """The folder of a new run, or of one to resume.

    Raises:
        ArgumentError: A new run would overwrite another; or the one to resume has no state.
    """
    if not str(run).strip() or UNUSABLE.search(str(run)):
        raise ArgumentError(
            "the run needs a name that a folder can have, in UTF-8: give it one with --run NAME, "
            "or continue an old run with --resume RUN"
        )
    folder = run_path(run, resume=resume)
    saved = (folder / "state.pt").exists()
    if resume and not saved:
        raise ArgumentError(
            "has no state.pt, so nothing was saved yet: start it again with "
            f"--run {folder} --config {folder / 'config.yaml'}",
            path=folder,
        )
    if saved and not resume:
        raise ArgumentError(
            f"there already is a run: continue it with --resume {folder}, or choose another name",
            path=folder,
        )
    if not resume:
        _check_is_free(folder)
    return folder


def _check_is_free(folder: Path) -> None:
    """Raise ArgumentError if a new run would replace a file; one killed at its start has none."""
    for pattern in ("comparison.png", "curves.png", "metrics.csv", "samples/*", "weights/*"):
        for file in folder.glob(pattern):
            empty = file.name == "metrics.csv" and len(file.read_bytes().splitlines()) == 1
            if not (empty or file.name.startswith(".")):  # left half written by a killed process
                raise ArgumentError(
                    f"holds {file.relative_to(folder)}, which a run would replace: choose another "
                    "name",
                    path=folder,
                )


def run_path(run: str | os.PathLike[str], *, resume: bool) -> Path:
    """The folder `runs/NAME` for a plain name, the path itself for a path or a `Path` object.

    To resume, a plain name that is not in `runs` means a folder in the current one.
    """
    in_runs = Path("runs", run)
    plain = isinstance(run, str) and Path(run).name == run
    return in_runs if plain and (not resume or in_runs.exists()) else Path(run)


def weights_path(folder: Path, name: str) -> Path:
    """The weights called `name` of the run in `folder`."""
    return folder / "weights" / f"{name}.safetensors"

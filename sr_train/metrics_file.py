"""`metrics.csv`: a row for whatever was measured at a step, in columns that never change."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from sr_runtime.atomic import atomic_path
from sr_train.config import Stage

__all__ = ["COLUMNS", "MetricsFile", "read_metrics"]

PLACE = ("step", "stage", "epoch")
LOSSES = ("content", "perceptual", "g_adversarial", "g_total", "d_adversarial")
COURSE = ("gradient_norm_g", "gradient_norm_d", "lr_g", "lr_d")
COST = ("images_per_second", "peak_memory_gb", "skipped_steps")
VALIDATION = ("content", "perceptual", "psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb", "lpips")

COLUMNS = (*PLACE, *LOSSES, *COURSE, *COST, *(f"val_{name}" for name in VALIDATION))


class MetricsFile:
    """Opening it removes the rows after `step`, and one that a killed process left unfinished."""

    def __init__(self, path: Path, *, step: int) -> None:
        rows = [row for row in _rows(path) if int(row["step"]) <= step]
        with atomic_path(path) as temporary:
            temporary.write_text(_text(dict(zip(COLUMNS, COLUMNS, strict=True)), *rows))
        self._file = path.open("a")

    def write(self, step: int, stage: Stage, epoch: int, values: Mapping[str, float]) -> None:
        """Add a row, on disk when this returns; columns without a value stay blank."""
        numbers = {name: f"{value:.8g}" for name, value in values.items()}
        self._file.write(_text({"step": step, "stage": stage, "epoch": epoch, **numbers}))
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


def read_metrics(path: Path) -> dict[str, list[tuple[str, int, float]]]:
    """The values of every measured column, in order, each with its stage and step."""
    series: dict[str, list[tuple[str, int, float]]] = {}
    for row in _rows(path):
        for name in COLUMNS[len(PLACE) :]:
            if row[name]:
                series.setdefault(name, []).append(
                    (row["stage"], int(row["step"]), float(row[name]))
                )
    return series


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    lines = path.read_text().splitlines(keepends=True)
    return list(csv.DictReader(line for line in lines if line.endswith("\n")))


def _text(*rows: Mapping[str, object]) -> str:
    text = io.StringIO()
    csv.DictWriter(text, COLUMNS, lineterminator="\n").writerows(rows)
    return text.getvalue()

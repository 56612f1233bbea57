"""`metrics.csv`: one row per measurement, in columns that never change.

Nothing in it depends on time or on the machine's memory: a run that was killed and resumed has the
same file as one that was not, byte for byte.
"""

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path

from sr_runtime.errors import DataError, StorageError
from sr_runtime.storage.atomic import atomic_path
from sr_train.config.schema import Stage

__all__ = ["COLUMNS", "append_metrics", "cut_metrics", "read_metrics"]

PLACE = ("step", "stage", "epoch")
LOSSES = ("content", "perceptual", "g_adversarial", "g_total", "d_adversarial")
COURSE = ("gradient_norm_g", "gradient_norm_d", "lr_g", "lr_d", "skipped_steps")
VALIDATION = ("content", "perceptual", "psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb", "lpips")

COLUMNS = (*PLACE, *LOSSES, *COURSE, *(f"val_{name}" for name in VALIDATION))


def cut_metrics(path: Path, *, step: int, validated: bool = True) -> None:
    """Remove the rows after `step` and a row cut short by a kill; create the file if need be.

    If the step is not `validated`, its validation is removed too: it will be measured again.
    """
    rows = [
        {name: row[name] for name in COLUMNS}  # a run of an older version has more
        for row in _rows(path)
        if int(row["step"]) <= step
    ]
    if not validated:
        rows = [row for row in rows if int(row["step"]) < step or not row["val_psnr_y"]]
    with atomic_path(path) as temporary:
        temporary.write_text(_text(dict(zip(COLUMNS, COLUMNS, strict=True)), *rows))


def append_metrics(
    path: Path, step: int, stage: Stage, epoch: int, values: Mapping[str, float]
) -> None:
    """Add a row; columns without a value stay blank.

    Raises:
        StorageError: The disk is full or cannot be written.
    """
    numbers = {name: f"{value:.8g}" for name, value in values.items()}
    try:
        with path.open("a") as file:
            file.write(_text({"step": step, "stage": stage, "epoch": epoch, **numbers}))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StorageError(
            f"cannot be written ({error.strerror}): make room, then continue with "
            f"--resume {path.parent}",
            path=path,
        ) from error


def read_metrics(path: Path) -> dict[str, list[tuple[str, int, float]]]:
    """The values of every column that has any, each as (stage, step, value)."""
    series: dict[str, list[tuple[str, int, float]]] = {}
    for row in _rows(path):
        for name in COLUMNS[len(PLACE) :]:
            if row[name]:
                series.setdefault(name, []).append(
                    (row["stage"], int(row["step"]), float(row[name]))
                )
    return series


def _rows(path: Path) -> list[dict[str, str]]:
    """The complete rows of a file that need not exist; DataError if it holds anything else."""
    if not path.exists():
        return []
    if not path.is_file():
        raise StorageError("is a folder, a pipe or a device: move it elsewhere", path=path)
    try:
        lines = path.read_text("utf-8-sig").splitlines(keepends=True)
        rows = list(csv.DictReader(line for line in lines if line.endswith("\n")))
        for row in rows:
            int(row["step"])
            for name in COLUMNS[len(PLACE) :]:
                float(row[name] or 0)
    except OSError as error:
        raise StorageError(f"cannot be read ({error.strerror})", path=path) from error
    except (ValueError, LookupError, TypeError, csv.Error) as error:
        raise DataError(
            "is damaged, or no longer as the run wrote it, as after a spreadsheet saved it: put it "
            "back, or move it elsewhere to record from here on",
            path=path,
        ) from error
    return rows


def _text(*rows: Mapping[str, object]) -> str:
    text = io.StringIO()
    csv.DictWriter(text, COLUMNS, lineterminator="\n").writerows(rows)
    return text.getvalue()

"""Whether results can be written where they go, before the first one is there."""

import os
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path

from sr_runtime.batch.job import Job
from sr_runtime.cli.folders import nearest_existing, real_folder
from sr_runtime.cli.pipes import is_pipe
from sr_runtime.errors import StorageError

__all__ = ["look_at_targets"]


def look_at_targets(jobs: Iterable[Job]) -> tuple[list[Job], dict[Job, StorageError]]:
    """The jobs whose result exists, and what keeps others from being written, as far as is known.

    Raises StorageError if none of the folders can be written into.
    """
    by_folder: dict[Path, list[Job]] = {}
    for job in jobs:
        by_folder.setdefault(job.place, []).append(job)
    existing: list[Job] = []
    errors: dict[Job, StorageError] = {}
    refused = 0
    for folder, inside in by_folder.items():
        place = nearest_existing(folder)
        if refusal := _folder_error(folder, place):
            refused += 1
            errors.update(dict.fromkeys(inside, refusal))
            continue
        there = str(place) == real_folder(folder)
        for job in inside:
            try:
                facts = os.lstat(f"{place}{os.sep}{job.result}")  # pathlib takes twice as long
            except FileNotFoundError:
                continue
            except OSError as error:  # the name may be too long
                reason = f"cannot be written ({error.strerror}): choose another name"
                errors[job] = StorageError(f"{reason} with -o or --name", path=job.target)
                continue
            if there and not stat.S_ISREG(facts.st_mode) and is_pipe(job.target):
                reason = "is a pipe or a device, which only -o can name: delete it, or choose"
                errors[job] = StorageError(f"{reason} another name", path=job.target)
            elif there:
                existing.append(job)
    if by_folder and refused == len(by_folder):
        raise next(iter(errors.values()))
    return existing, errors


def _folder_error(folder: Path, place: Path) -> StorageError | None:
    try:
        with tempfile.TemporaryFile(dir=place):
            return None
    except OSError as error:
        return StorageError(f"cannot be written into ({error.strerror})", path=folder)

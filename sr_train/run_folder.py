"""The folder of a run, which one training has at a time."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from sr_runtime.errors import ArgumentError
from sr_runtime.lock import try_lock
from sr_train.lock import LOCK

__all__ = ["only_training_in"]

# What `atomic_path` leaves when its process is killed.
TEMPORARY = re.compile(r"\.[0-9a-f]{12}\.\w+")


@contextlib.contextmanager
def only_training_in(folder: Path) -> Iterator[None]:
    """Make the folder if need be, and remove the temporary files of a training that was killed.

    Raises ArgumentError while another process trains there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    alone = True
    with (folder / LOCK).open("wb") as file:
        with contextlib.suppress(OSError):  # some network drives know no locks
            alone = try_lock(file)
        if not alone:
            raise ArgumentError(
                f"{folder} is being trained by another process: stop that one first, or choose "
                "another name with --run"
            )
        for path in folder.rglob(".*"):
            if TEMPORARY.fullmatch(path.name):
                path.unlink()
        yield

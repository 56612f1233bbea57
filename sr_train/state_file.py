"""`state.pt`: nested tensors, numbers and names, with a SHA-256 over all of them.

Equal states are equal files, byte for byte, whatever objects they are made of.
"""

import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import sr_runtime
from sr_runtime.errors import ArgumentError, DataError, OutOfMemoryError, StorageError, system_error
from sr_runtime.storage.atomic import atomic_path
from sr_train.memory import is_exhaustion

__all__ = ["FORMAT", "load_state", "save_state"]

FORMAT = 3
"""Format 1 is that of sr-toolkit 0.1, whose states give neither format nor version; 2 counted
epochs, before 0.2.0 was released."""


def save_state(state: Mapping[str, Any], path: Path) -> None:
    """Write `state`; `path` keeps its old content until the write completes.

    Raises:
        StorageError: The disk is full or cannot be written.
    """
    marked = _plain({"format": FORMAT, "version": sr_runtime.__version__, **state})
    marked["sha256"] = _sha256(marked)
    with atomic_path(path) as temporary:
        try:
            with temporary.open("wb") as file:
                torch.save(marked, file)
        except (OSError, RuntimeError) as error:
            # PyTorch's writer raises a RuntimeError on top of the disk's error.
            reason = error if isinstance(error, OSError) else error.__context__
            if not isinstance(reason, OSError):
                raise
            raise StorageError(
                f"cannot be written ({reason.strerror}): make room, then continue from the "
                f"former state, which is intact, with --resume {path.parent}",
                path=path,
            ) from error


def load_state(path: Path) -> dict[str, Any]:
    """Read what `save_state` wrote, onto the CPU, without running any code in it.

    Raises:
        ArgumentError: There is no such file.
        StorageError: It cannot be read.
        DataError: It is damaged or anything but a state, or another version of sr-toolkit wrote it
            in another format.
        OutOfMemoryError: There is not enough memory to load it.
    """
    if not path.exists():
        raise ArgumentError("no such file, so there is no run to resume: start one", path=path)
    instead = f"start a new run with --init on one of the files in {path.parent / 'weights'}"
    damaged = DataError(f"is damaged, or not the state of a run: {instead}", path=path)
    if not path.is_file():
        raise damaged
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        found, version = _format(state)
        intact = found != FORMAT or state.pop("sha256") == _sha256(state)
    # PyTorch's reader raises whatever the damaged bytes lead it to.
    except Exception as error:
        if is_exhaustion(error):
            raise OutOfMemoryError("not enough memory to load it", path=path) from error
        if refused := system_error(error):
            raise StorageError(f"cannot be read ({refused.strerror})", path=path) from error
        raise damaged from error
    if found != FORMAT:
        raise DataError(
            f"has format {found} of sr-toolkit {version}, and this version, "
            f"{sr_runtime.__version__}, reads only format {FORMAT}: resume the run with "
            f"sr-toolkit {version}, or {instead}",
            path=path,
        )
    if not intact:
        raise damaged
    del state["format"], state["version"]
    loaded: dict[str, Any] = state
    return loaded


def _format(state: Any) -> tuple[int, str]:
    """The format, and the version that wrote it; LookupError or TypeError for anything else."""
    if "made_for" in state:  # nothing else tells a state of 0.1
        return 1, "0.1"
    found, version = state["format"], state["version"]
    if type(found) is not int or type(version) is not str:
        raise TypeError
    return found, version


def _plain(value: Any) -> Any:
    """A copy in which each container and each tensor is a new object, and equal texts are one.

    Pickle writes an object that it meets again as a reference, so that it would tell a state that
    was loaded from one that was not.
    """
    match value:
        case Tensor():
            return value.detach().cpu().clone()  # in the same memory format, as Adam needs it
        case str():
            return sys.intern(str(value))
        case Mapping():
            return {_plain(key): _plain(each) for key, each in value.items()}
        case tuple():
            return tuple(_plain(each) for each in value)
        case list():
            return [_plain(each) for each in value]
        case _:
            return value


def _sha256(state: Any) -> str:
    digest = hashlib.sha256()

    def add(value: Any) -> None:
        match value:
            case Tensor():
                storage = value.untyped_storage()
                digest.update(f"{value.dtype}{tuple(value.shape)}{value.stride()}".encode())
                # As stored: a tensor can claim more elements than the file holds.
                digest.update(torch.empty(0, dtype=torch.uint8).set_(storage).numpy().data)
            case Mapping():
                digest.update(f"{len(value)} pairs".encode())
                for pair in value.items():
                    add(pair)
            case list() | tuple():
                digest.update(f"{type(value).__name__} of {len(value)}".encode())
                for each in value:
                    add(each)
            case _:
                digest.update(f"{value!r},".encode())

    add(state)
    return digest.hexdigest()

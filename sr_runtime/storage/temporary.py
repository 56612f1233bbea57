"""Temporary files and folders beside what they become, and the removal of those left behind.

A name says which machine made it, and the maker holds a lock until the final name is given. The
system frees a lock when its process ends, even by a crash. So the next process that writes into the
folder can tell what a dead one left there from what a living one is writing.
"""

import contextlib
import functools
import hashlib
import os
import platform
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from weakref import WeakSet

from sr_runtime.errors import StorageError
from sr_runtime.storage.lock import has_name, try_lock

__all__ = [
    "Temporary",
    "remove_leftovers",
    "scratch_errors",
    "temporary_file",
    "temporary_folder",
]

NAME = re.compile(r"\.sr-([0-9a-f]{6})-([0-9a-f]{6})-[0-9a-f]{12}(\.\w+)?")

_living: "WeakSet[Temporary]" = WeakSet()


class Temporary:
    """A file or folder that this process has locked."""

    def __init__(self, path: Path, descriptor: int | None) -> None:
        self.path = path
        self.descriptor = descriptor
        """None once it is released, and for a folder on Windows, which opens none."""
        self.inherited = False
        """Whether another process made it, from which this one was forked."""
        _living.add(self)

    def become(self, target: Path) -> None:
        """Take the place of the file `target`, or become a new folder of this name.

        The content is on the disk when this returns: neither a crash nor a power cut loses it.

        Raises OSError.
        """
        folder = self.path.is_dir()
        for path in (*self.path.rglob("*"), self.path) if folder else (self.path,):
            _sync(path)
        if sys.platform == "win32":  # it renames nothing that is open
            self.release()
        if folder:
            self.path.rename(target)
        else:
            self.path.replace(target)
        with contextlib.suppress(OSError):  # some network drives sync no folders
            _sync(target.parent)

    def release(self) -> None:
        """Give the lock up."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


@contextlib.contextmanager
def temporary_file(folder: Path, suffix: str = "", *, mode: int = 0o666) -> Iterator[Temporary]:
    """A new, empty file in `folder`; after the block it is removed unless it became another.

    Raises OSError.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
    with _made(folder, suffix, lambda path: os.open(path, flags, mode)) as made:
        try:
            yield made
        finally:
            made.release()
            if not made.inherited:
                with contextlib.suppress(OSError):
                    made.path.unlink()


@contextlib.contextmanager
def temporary_folder(folder: Path) -> Iterator[Temporary]:
    """A new, empty folder in `folder`; after the block it is removed unless it became another.

    Raises OSError.
    """

    def make(path: Path) -> int | None:
        path.mkdir()
        return None if sys.platform == "win32" else os.open(path, os.O_RDONLY)

    with _made(folder, "", make) as made:
        try:
            yield made
        finally:
            made.release()
            if not made.inherited:
                shutil.rmtree(made.path, ignore_errors=True)


@contextlib.contextmanager
def scratch_errors(what: str) -> Iterator[None]:
    """Raise StorageError where `what` cannot be kept in the system's folder for temporary files."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"the folder for temporary files cannot hold {what} ({error.strerror}): set TMPDIR to "
            "another one"
        ) from error


@contextlib.contextmanager
def _made(folder: Path, suffix: str, make: Callable[[Path], int | None]) -> Iterator[Temporary]:
    remove_leftovers(folder)
    made = None
    while made is None or not _is_ours(made):
        name = f".sr-{'-'.join(_machine())}-{secrets.token_hex(6)}{suffix}"
        made = Temporary(folder / name, make(folder / name))
    yield made


def _is_ours(made: Temporary) -> bool:
    """Lock what was made; False if another process just took it for abandoned."""
    if made.descriptor is None or sys.platform == "win32":  # Windows removes nothing that is open
        return True
    with contextlib.suppress(OSError):  # a network drive without locks: nobody can lock it
        if not (try_lock(made.descriptor) and has_name(made.descriptor, made.path)):
            made.release()
            return False
    return True


def remove_leftovers(folder: Path) -> None:
    """Remove what dead processes left in `folder`, the first time this process asks for it.

    What another machine made stays: some network drives do not share locks between machines.
    """
    _remove_leftovers(folder.absolute())


@functools.lru_cache(256)
def _remove_leftovers(folder: Path) -> None:
    with contextlib.suppress(OSError):  # the folder does not exist, or cannot be listed
        for path in folder.iterdir():
            name = NAME.fullmatch(path.name)
            if name and {name[1], name[2]} & {*_machine()}:
                with contextlib.suppress(OSError):  # another user's, or already removed
                    _remove_if_abandoned(path)


def _remove_if_abandoned(path: Path) -> None:
    if sys.platform == "win32":
        path.unlink()  # fails for what is open, and for folders
        return
    folder = stat.S_ISDIR(path.lstat().st_mode)
    # Some network drives lock only what can be written.
    descriptor = os.open(path, (os.O_RDONLY if folder else os.O_RDWR) | os.O_NOFOLLOW)
    try:
        if try_lock(descriptor) and has_name(descriptor, path):
            if folder:
                shutil.rmtree(path)
            else:
                path.unlink()
    finally:
        os.close(descriptor)


@functools.cache
def _machine() -> tuple[str, str]:
    """What this machine is recognised by: its name and the present run of its system.

    A container has a name of its own and its host's run. After a restart the name is the same.
    """
    name = run = platform.node()
    with contextlib.suppress(OSError):
        run = Path("/proc/sys/kernel/random/boot_id").read_text()
    first, second = (hashlib.sha256(text.encode()).hexdigest()[:6] for text in (name, run))
    return first, second


def _sync(path: Path) -> None:
    if sys.platform == "win32" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _leave_to_parent() -> None:
    """A lock lasts until every copy is closed, and who made a file removes it."""
    for made in _living:
        made.release()
        made.inherited = True


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_leave_to_parent)

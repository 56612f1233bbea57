"""Writing a file so that its readers see either the old content or all of the new."""

import contextlib
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path

from sr_runtime.errors import ArgumentError, StorageError
from sr_runtime.storage.temporary import temporary_file, temporary_folder

__all__ = ["atomic_folder", "atomic_path", "before_naming", "check_target", "create_folder"]

# These name what this process has open, not a file that could be replaced.
OPEN_FILE = re.compile(r"/dev/(?:(stdout)|(stderr)|fd/(\d+))|/proc/self/fd/(\d+)")


# A variable of the context: the writers of all formats, which lie between, need not know of it.
_before_naming: ContextVar[tuple[Path, Callable[[os.stat_result], None]] | None] = ContextVar(
    "before_naming", default=None
)


@contextlib.contextmanager
def before_naming(target: Path, call: Callable[[os.stat_result], None]) -> Iterator[None]:
    """On this thread, call `call` right before a complete file becomes `target` by `atomic_path`.

    It gets the facts of that file. What it raises leaves `target` as it was.
    """
    token = _before_naming.set((target, call))
    try:
        yield
    finally:
        _before_naming.reset(token)


@contextlib.contextmanager
def atomic_path(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield an empty temporary file; make it `target` when the block succeeds.

    Its name keeps the suffix, since writers choose the format by it. When the block raises, it is
    removed and `target` is left as it was. What a killed process leaves is removed by the next one
    that writes into the folder.

    A file that is replaced keeps its permissions. Through a link its target is replaced. Other
    names of it, which are hard links, keep the old content. A device or a pipe gets the content in
    the end.

    Raises:
        ArgumentError: `target` is a folder.
        StorageError: It is read-only, the disk is full, or the folder is missing or cannot be
            written.
    """
    target = Path(target)
    with _storage_errors(target):
        file = _file_to_replace(target)
        if file is None:
            with temporary_folder(Path(tempfile.gettempdir())) as folder:
                content = folder.path / f"content{target.suffix}"
                content.touch()
                yield content
                _write_to_special(content, target)
            return
        before = file.stat() if file.exists() else None
        # Nobody may read the new content who could not read the old one.
        mode = 0o666 if before is None else 0o600
        with temporary_file(file.parent, file.suffix, mode=mode) as temporary:
            yield temporary.path
            if before is not None:
                _keep_permissions(file, before, temporary.path)
            named, call = _before_naming.get() or (None, None)
            if call is not None and named == target:
                call(temporary.path.stat())
            temporary.become(file)


@contextlib.contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yield an empty temporary folder; make it the new folder `target` when the block succeeds.

    Raises:
        StorageError: The disk is full, or the parent is missing or cannot be written.
    """
    with _storage_errors(target), temporary_folder(target.parent) as temporary:
        yield temporary.path
        temporary.become(target)


def create_folder(folder: Path) -> None:
    """Create a folder and its parents, if need be.

    Raises:
        StorageError: It cannot be created.
    """
    try:
        for place in reversed((folder, *folder.parents)):  # mkdir calls itself for every level
            if not place.is_dir():
                place.mkdir(exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot be created ({error.strerror})", path=folder) from error


def check_target(target: Path, *, inputs: Iterable[Path] = ()) -> None:
    """Check, before the work, that `target` can be written and is not one of the inputs.

    Raises:
        ArgumentError: It is a folder or an input, or its folder does not exist.
        StorageError: It is read-only, or its folder or disk cannot be written.
    """
    with _storage_errors(target):
        file = _file_to_replace(target)
        if file is None:
            return
        if not file.parent.is_dir():
            raise ArgumentError(
                f"the folder {file.parent} does not exist: create it first", path=target
            )
        # Access lists, read-only systems and quotas show only when something is written.
        with tempfile.TemporaryFile(dir=file.parent):
            pass
        for path in inputs:
            if file.exists() and path.exists() and file.samefile(path):
                raise ArgumentError(
                    "this is an input, which is never overwritten: name another file", path=target
                )


@contextlib.contextmanager
def _storage_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno is None:  # an encoder's own complaint, not the system's
            raise
        raise StorageError(f"cannot be written ({error.strerror})", path=target) from error


def _file_to_replace(target: Path) -> Path | None:
    """`target`, or the file that it links to, which may not exist yet; None for a device or pipe.

    Raises OSError, and ArgumentError or StorageError for what `check_target` refuses.
    """
    if OPEN_FILE.fullmatch(str(target)):
        return None
    if target.is_symlink() and _is_planted(target):
        raise StorageError(
            "is a link that another user made in a folder where everyone can write: delete it, or "
            "name another file",
            path=target,
        )
    with contextlib.suppress(FileNotFoundError):
        mode = target.stat().st_mode
        if stat.S_ISDIR(mode):
            raise ArgumentError("this is a folder: name a file", path=target)
        if not os.access(target, os.W_OK):
            raise StorageError("cannot be written (the file is read-only)", path=target)
        if not stat.S_ISREG(mode):
            return None
    return Path(os.path.realpath(target)) if target.is_symlink() else target


def _is_planted(link: Path) -> bool:
    """Whether Linux's protected_symlinks would refuse to follow the link, which is often off."""
    folder = link.parent.stat()
    shared = folder.st_mode & stat.S_ISVTX and folder.st_mode & stat.S_IWOTH
    if sys.platform == "win32" or not shared:
        return False
    return link.lstat().st_uid not in (os.geteuid(), folder.st_uid)


def _keep_permissions(file: Path, before: os.stat_result, replacement: Path) -> None:
    """Give `replacement` the owner, mode and access list of `file`, as far as we may."""
    if sys.platform == "win32":  # they come from the folder
        return
    with contextlib.suppress(PermissionError):  # only root gives files away
        os.chown(replacement, before.st_uid, before.st_gid)
    replacement.chmod(stat.S_IMODE(before.st_mode) & 0o777)
    if sys.platform == "linux":
        access = "system.posix_acl_access"
        with contextlib.suppress(OSError):  # it has no access list
            os.setxattr(replacement, access, os.getxattr(file, access))


def _write_to_special(content: Path, target: Path) -> None:
    name = OPEN_FILE.fullmatch(str(target))
    if name is None:
        descriptor = os.open(target, os.O_WRONLY)
    else:
        descriptor = os.dup(1 if name[1] else 2 if name[2] else int(name[3] or name[4]))
    with content.open("rb") as source, os.fdopen(descriptor, "wb") as sink:
        shutil.copyfileobj(source, sink)

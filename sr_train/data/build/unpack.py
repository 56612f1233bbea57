"""Unpacking the images of an archive that may be damaged, or made to do harm.

Nothing but regular files is taken from it, each is written as a new file below the target, and
what it may unpack to is limited before a byte is written.
"""

import errno
import shutil
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Self

from sr_runtime.errors import DataError, OutOfMemoryError, SRError, StorageError, system_error

__all__ = ["AGAIN", "unpack"]

AGAIN = "delete it and prepare the data set again"

MAX_MEMBERS = 100_000
"""Flickr2K, the largest, has some 20,000."""
MAX_RATIO = 100
"""What an archive unpacks to, over its own size: images hardly get smaller in it."""
MAX_HEADER = 1 << 20
"""Bytes of a long name or of other facts about a member of a tar."""
ENCRYPTED = 1  # a bit of a zip member's flags, for every kind of encryption

UNUSABLE_NAMES = (
    errno.EEXIST,
    errno.EILSEQ,
    errno.EINVAL,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOTDIR,
)


@dataclass(frozen=True)
class _Member:
    """A regular file in the archive."""

    name: str
    size: int
    """Bytes once it is unpacked."""
    open: Callable[[], IO[bytes]]


class _TarInfo(tarfile.TarInfo):
    """Refuses headers that would fill the memory: tarfile reads them whole."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        member = super().frombuf(buf, encoding, errors)
        if not member.isfile() and member.size > MAX_HEADER:
            raise tarfile.ReadError(f"a header of {member.size:,} bytes")
        return member


def unpack(archive: Path, is_wanted: Callable[[PurePosixPath], bool], target: Path) -> None:
    """Write the wanted files of a zip or tar, below the folder `target`.

    Raises:
        DataError: It is damaged, encrypted or of an unknown method; or it has names that are
            absolute, lead outside, occur twice or cannot be used here; or it would unpack to more.
        StorageError: It cannot be read, or the disk is full or cannot be written.
        OutOfMemoryError: There is not enough memory to decompress it.
    """
    try:
        _write(_members(archive), archive, is_wanted, target)
    except SRError as error:
        error.path = archive
        raise
    except MemoryError as error:
        raise OutOfMemoryError("not enough memory to unpack it", path=archive) from error
    # So zipfile refuses methods of compression and encryption that it does not know.
    except NotImplementedError as error:
        raise DataError(
            f"the archive cannot be unpacked ({_reason(error)}): {AGAIN}", path=archive
        ) from error
    # Python's readers raise whatever the damaged bytes lead them to.
    except Exception as error:
        refused = system_error(error)
        if refused and refused.errno in UNUSABLE_NAMES:
            raise DataError(
                f"a name in the archive cannot be used here ({refused.strerror}): {AGAIN}",
                path=archive,
            ) from error
        if refused:
            raise StorageError(
                f"cannot be unpacked ({refused.strerror}): choose another --root", path=archive
            ) from error
        raise DataError(
            f"the archive is damaged ({_reason(error)}): {AGAIN}", path=archive
        ) from error


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(":") or type(error).__name__


def _write(
    members: Iterator[_Member],
    archive: Path,
    is_wanted: Callable[[PurePosixPath], bool],
    target: Path,
) -> None:
    most = MAX_RATIO * archive.stat().st_size
    total, found = 0, set[str]()
    for number, member in enumerate(members, 1):
        total += max(0, member.size)
        if number > MAX_MEMBERS or total > most:
            raise DataError(
                f"it unpacks to more than {MAX_MEMBERS:,} files or {MAX_RATIO} times its size, "
                f"which no data set here does: {AGAIN}"
            )
        path = PurePosixPath(member.name)
        if not is_wanted(path):
            continue
        # Windows takes \ for a separator, and what is before a colon for a drive.
        if path.is_absolute() or ".." in path.parts or set(member.name) & set("\\:"):
            raise DataError(f"{member.name!r} in it would be written outside its folder: {AGAIN}")
        # Some disks take names for one that differ in case, or in how an accent is written.
        name = unicodedata.normalize("NFC", str(path)).casefold()
        if name in found:
            raise DataError(f"{member.name!r} is in it twice: {AGAIN}")
        found.add(name)
        if (free := shutil.disk_usage(target).free) < member.size:
            raise StorageError(
                f"{member.name!r} in it has {member.size:,} bytes and {free:,} are free: make "
                "room, or choose another --root"
            )
        file = target / path
        file.parent.mkdir(parents=True, exist_ok=True)
        with member.open() as content, file.open("xb") as copy:
            shutil.copyfileobj(content, copy)
        if file.stat().st_size != member.size:
            raise EOFError(f"{member.name!r} is cut short")


def _members(archive: Path) -> Iterator[_Member]:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as zipped:
            for info in zipped.infolist():
                # The kind of a file, where the archive was made on a system that has kinds.
                kind = info.external_attr >> 28 if info.create_system == 3 else 0
                if not info.is_dir() and kind in (0, 0o10):
                    yield _Member(
                        info.filename, info.file_size, partial(_decompressed, zipped, info)
                    )
    else:
        with tarfile.open(archive, tarinfo=_TarInfo) as tarred:
            for member in tarred:
                if member.isfile():
                    yield _Member(member.name, member.size, partial(_opened, tarred, member))


def _decompressed(zipped: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    if info.flag_bits & ENCRYPTED:
        raise DataError(f"{info.filename!r} in it is encrypted: {AGAIN}")
    return zipped.open(info)


def _opened(tarred: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = tarred.extractfile(member)
    assert content is not None  # it is a file
    return content

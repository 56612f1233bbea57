"""Official archives: fetched once, remembered by their checksums, unpacked for a moment."""

import contextlib
import gzip
import os
import re
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sr_runtime.atomic import atomic_path
from sr_runtime.errors import ArgumentError, ImageError
from sr_runtime.image import IMAGE_SUFFIXES
from sr_train.data.download import DigestError, download, remedy

__all__ = ["Archive", "unpacked"]


DAMAGE = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError)


@dataclass(frozen=True)
class Archive:
    """A file at an official address."""

    url: str
    name: str
    """What it is called in ROOT/downloads."""
    digest: str | None = None
    """As `download` takes it; None: nobody published one, so the first download's is kept."""


@contextlib.contextmanager
def unpacked(archive: Archive, root: Path, folders: tuple[str, ...]) -> Iterator[Path]:
    """A folder, deleted in the end, with the images of those folders in the archive.

    The archive stays in ROOT/downloads, where it is looked for first, and is checked in any case.
    If nobody published its checksum, the one of the first archive that served is recorded beside
    it, as `sha256sum` writes them.

    Raises ArgumentError for an archive that cannot be had, is damaged, or would write elsewhere.
    Errors that name one of the images name archive and member instead.
    """
    path = root / "downloads" / archive.name
    record = path.with_name(f"{archive.name}.sha256")
    recorded = _recorded(record)
    try:
        sha256 = download(archive.url, path, digest=archive.digest or recorded)
    except DigestError as error:
        if archive.digest is not None:
            raise
        raise ArgumentError(
            f"{error} (the checksum is of the first one, kept in {record})"
        ) from error
    prefix = f".{archive.name}-"
    for abandoned in path.parent.glob(f"{prefix}*"):  # by a process that was killed
        shutil.rmtree(abandoned)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=path.parent) as temporary:
        _unpack(path, folders, Path(temporary))
        try:
            yield Path(temporary)
        except (ArgumentError, ImageError) as error:
            where = f"{temporary}{os.sep}"  # which will be gone when this is read
            if where not in str(error):
                raise
            raise ArgumentError(
                f"{path} holds an image that cannot be prepared ({str(error).replace(where, '')}): "
                "delete the archive and prepare the data set again"
            ) from error
    if archive.digest is None and recorded is None:
        with atomic_path(record) as replacement:
            replacement.write_text(f"{sha256}  {archive.name}\n", "utf-8")
        print(
            f"{archive.name}: no checksum is published; SHA-256 {sha256} is recorded in {record} "
            "and checked from now on"
        )


def _recorded(record: Path) -> str | None:
    """The checksum in a file that may not be there, as `download` takes it."""
    if not record.exists():
        return None
    content = record.read_text("utf-8", errors="replace")
    if (found := re.match(r"[0-9a-f]{64}\b", content)) is None:
        raise ArgumentError(
            f"{record} is damaged, as it does not begin with a SHA-256: delete it and prepare the "
            "data set again"
        )
    return f"sha256:{found[0]}"


def _unpack(archive: Path, folders: tuple[str, ...], target: Path) -> None:
    try:
        if archive.suffix == ".zip":
            _unpack_zip(archive, folders, target)
        else:
            _unpack_tar(archive, folders, target)
    except DAMAGE as error:
        reason = str(error).partition("\n")[0].rstrip(":")
        raise ArgumentError(
            f"{archive} is damaged ({reason}): delete it and prepare the data set again"
        ) from error
    except OSError as error:
        raise ArgumentError(
            f"{archive} cannot be unpacked ({error.strerror or error}): {remedy(error)}"
        ) from error


def _unpack_zip(archive: Path, folders: tuple[str, ...], target: Path) -> None:
    with zipfile.ZipFile(archive) as content:
        members = [info for info in content.infolist() if _wanted(info.filename, folders)]
        needed = sum(info.file_size for info in members)
        if (free := shutil.disk_usage(target).free) < needed:
            raise ArgumentError(
                f"{archive} unpacks to {needed:,} bytes and {free:,} are free: make room, or "
                "choose another --root"
            )
        content.extractall(target, members)


def _unpack_tar(archive: Path, folders: tuple[str, ...], target: Path) -> None:
    with tarfile.open(archive) as content:
        for member in content:
            if member.isfile() and _wanted(member.name, folders):
                content.extract(member, target, filter="data")


def _wanted(name: str, folders: tuple[str, ...]) -> bool:
    path = PurePosixPath(name)
    return (
        path.parent.name in folders
        and path.suffix.lower() in IMAGE_SUFFIXES
        and not path.name.startswith(".")
    )

"""Official archives: downloaded once, checked by checksum, unpacked temporarily."""

import contextlib
import gzip
import re
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from sr_runtime.atomic import atomic_path
from sr_runtime.errors import DataError, ImageError, StorageError
from sr_runtime.image import IMAGE_SUFFIXES
from sr_runtime.temporary import temporary_folder
from sr_train.data.catalogue import Archive
from sr_train.download import download

__all__ = ["unpacked"]

DAMAGE = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError)

AGAIN = "delete it and prepare the data set again"


@contextlib.contextmanager
def unpacked(
    archive: Archive, root: Path, folders: tuple[str, ...], report: Callable[[str], None]
) -> Iterator[Path]:
    """A temporary folder with the images that the archive has in folders of these names.

    The archive is kept in ROOT/downloads, where it is looked for first, and is checked every time.
    Where no checksum was published, that of the first archive that could be used is recorded beside
    it, in the format of `sha256sum`.

    Raises:
        StorageError: The archive cannot be downloaded or unpacked.
        DataError: It is damaged, has another checksum, or would write outside the folder; or the
            block raised an ImageError or DataError about one of its files.
    """
    path = root / "downloads" / archive.name
    record = path.with_name(f"{archive.name}.sha256")
    recorded = _recorded(record)
    sha256 = download(archive.url, path, digest=archive.digest)
    if archive.digest is None and recorded not in (None, sha256):
        raise DataError(
            f"SHA-256 is {sha256}, and the first download's was {recorded}, recorded in {record}: "
            f"it is damaged, or {archive.url} has changed: {AGAIN}",
            path=path,
        )
    with temporary_folder(path.parent) as folder:
        temporary = folder.path
        _unpack(path, folders, temporary)
        try:
            yield temporary
        except (DataError, ImageError) as error:
            if error.path is None or not error.path.is_relative_to(temporary):
                raise
            # The temporary folder will be gone when the message is read.
            member = error.path.relative_to(temporary)
            raise DataError(
                f"{member} in it cannot be prepared ({error.args[0]}): {AGAIN}", path=path
            ) from error
    if archive.digest is None and recorded is None:
        with atomic_path(record) as replacement:
            replacement.write_text(f"{sha256}  {archive.name}\n", "utf-8")
        report(
            f"{archive.name}: no checksum is published; SHA-256 {sha256} is recorded in {record} "
            "and checked from now on"
        )


def _recorded(record: Path) -> str | None:
    """The SHA-256 in a file that need not exist."""
    if not record.exists():
        return None
    content = record.read_text("utf-8", errors="replace")
    if (found := re.match(r"[0-9a-f]{64}\b", content)) is None:
        raise DataError(f"it does not begin with a SHA-256: {AGAIN}", path=record)
    return found[0]


def _unpack(archive: Path, folders: tuple[str, ...], target: Path) -> None:
    try:
        if archive.suffix == ".zip":
            _unpack_zip(archive, folders, target)
        else:
            with tarfile.open(archive) as content:
                for member in content:
                    if member.isfile() and _wanted(member.name, folders):
                        content.extract(member, target, filter="data")
    except DAMAGE as error:
        reason = str(error).partition("\n")[0].rstrip(":")
        raise DataError(f"the archive is damaged ({reason}): {AGAIN}", path=archive) from error
    except OSError as error:
        raise StorageError(
            f"cannot be unpacked ({error.strerror or error}): choose another --root", path=archive
        ) from error


def _unpack_zip(archive: Path, folders: tuple[str, ...], target: Path) -> None:
    with zipfile.ZipFile(archive) as content:
        members = [info for info in content.infolist() if _wanted(info.filename, folders)]
        needed = sum(info.file_size for info in members)
        if (free := shutil.disk_usage(target).free) < needed:
            raise StorageError(
                f"it unpacks to {needed:,} bytes and {free:,} are free: make room, or choose "
                "another --root",
                path=archive,
            )
        content.extractall(target, members)


def _wanted(name: str, folders: tuple[str, ...]) -> bool:
    path = PurePosixPath(name)
    return (
        path.parent.name in folders
        and path.suffix.lower() in IMAGE_SUFFIXES
        and not path.name.startswith(".")
    )

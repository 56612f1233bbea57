"""Official archives: fetched once, remembered by their checksums, unpacked for a moment."""

import contextlib
import json
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sr_runtime.atomic import atomic_path
from sr_runtime.errors import ArgumentError
from sr_runtime.image import IMAGE_SUFFIXES
from sr_train.download import download

__all__ = ["Archive", "fetch", "unpacked"]


@dataclass(frozen=True)
class Archive:
    """A file at an official address."""

    url: str
    name: str
    """What it is called in ROOT/downloads."""
    digest: str | None = None
    """As `download` takes it; None: nobody published one, so the first download's is kept."""


def fetch(archive: Archive, root: Path) -> Path:
    """The archive in ROOT/downloads, downloaded if it is not there, and checked in any case."""
    downloads = root / "downloads"
    ledger = downloads / "checksums.json"
    known: dict[str, str] = json.loads(ledger.read_text("utf-8")) if ledger.exists() else {}
    target = downloads / archive.name
    sha256 = download(archive.url, target, digest=archive.digest or known.get(archive.name))
    if archive.digest is None and archive.name not in known:
        known[archive.name] = f"sha256:{sha256}"
        with atomic_path(ledger) as temporary:
            temporary.write_text(json.dumps(known, indent=1), "utf-8")
        print(
            f"{archive.name}: no checksum is published; SHA-256 {sha256} is recorded in {ledger} "
            "and checked from now on"
        )
    return target


@contextlib.contextmanager
def unpacked(archive: Path, folders: tuple[str, ...]) -> Iterator[Path]:
    """A folder, deleted in the end, with the images of those folders in the archive.

    Raises ArgumentError for a damaged archive, or one that would write elsewhere.
    """
    with tempfile.TemporaryDirectory(prefix=".unpacked-", dir=archive.parent) as temporary:
        try:
            if zipfile.is_zipfile(archive):
                _unpack_zip(archive, folders, Path(temporary))
            else:
                _unpack_tar(archive, folders, Path(temporary))
        except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise ArgumentError(
                f"{archive} is damaged ({error}): delete it and prepare the data set again"
            ) from error
        except OSError as error:
            raise ArgumentError(
                f"{archive} cannot be unpacked ({error.strerror or error}): make room, or choose "
                "another --root"
            ) from error
        yield Path(temporary)


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

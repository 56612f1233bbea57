"""Official archives: downloaded once, checked by checksum, unpacked temporarily."""

import contextlib
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath

from sr_runtime.errors import DataError, ImageError
from sr_runtime.image import IMAGE_SUFFIXES
from sr_runtime.storage.atomic import atomic_path
from sr_runtime.storage.temporary import temporary_folder
from sr_train.data.build.unpack import AGAIN, unpack
from sr_train.data.catalogue import Archive
from sr_train.download import download

__all__ = ["unpacked"]


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
        DataError: It has another checksum or cannot be unpacked safely; or the block raised an
            ImageError or DataError about one of its files.
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
        unpack(path, partial(_is_wanted, folders), temporary)
        try:
            yield temporary
        except (DataError, ImageError) as error:
            if error.path is None or not error.path.is_relative_to(temporary):
                raise
            # The temporary folder will be gone when the message is read, and what helps with an
            # image of the user's own does not help here.
            member = error.path.relative_to(temporary)
            raise DataError(
                f"its image {member} is damaged, or not one to train on: {AGAIN}", path=path
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


def _is_wanted(folders: tuple[str, ...], path: PurePosixPath) -> bool:
    return (
        path.parent.name in folders
        and path.suffix.lower() in IMAGE_SUFFIXES
        and not path.name.startswith(".")
    )

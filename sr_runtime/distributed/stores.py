"""Files in object stores, by their addresses: `s3://bucket/photos`, and what else pyarrow knows.

Credentials, regions and endpoints come from where each store's own tools take them, as AWS_PROFILE
and AWS_ENDPOINT_URL, or from the address, as `s3://bucket/photos?region=eu-north-1`.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from sr_runtime.errors import ArgumentError, StorageError, require_extra

with require_extra("ray", raising=ArgumentError):
    from pyarrow import ArrowInvalid
    from pyarrow.fs import FileSelector, FileSystem, FSSpecHandler, PyFileSystem

__all__ = ["download", "files_below", "is_address", "join", "state_of", "upload"]

LOCAL = "file://"


def is_address(word: str) -> bool:
    """Whether a word names something in an object store."""
    return "://" in word and not word.startswith(LOCAL)


def join(address: str, name: str) -> str:
    """A name below a folder or an address, whose options stay behind it."""
    if not is_address(address):
        return str(Path(address.removeprefix(LOCAL), name).absolute())
    place, mark, options = address.partition("?")
    return f"{place.rstrip('/')}/{name}{mark}{options}"


def files_below(place: str) -> dict[str, str]:
    """The files of a folder or an address, by their names in it, with what `state_of` says."""
    if not is_address(place):
        root = Path(place.removeprefix(LOCAL))
        files = [path for path in root.rglob("*") if path.is_file()]
        return {path.relative_to(root).as_posix(): state_of(str(path)) for path in files}
    with _errors(place):
        system, path = _opened(place)
        found = system.get_file_info(FileSelector(path, recursive=True, allow_not_found=True))
    root_path = path.rstrip("/") + "/"
    return {info.path.removeprefix(root_path): _state(info) for info in found if info.is_file}


def state_of(target: str) -> str:
    """A text that changes when a file is written anew; empty: there is no file."""
    if is_address(target):
        with _errors(target):
            system, path = _opened(target)
            return _state(system.get_file_info(path))
    try:
        facts = Path(target).stat()
    except OSError:
        return ""
    return f"{facts.st_ino} {facts.st_mtime_ns} {facts.st_size}"


def _state(info: Any) -> str:
    """Stores list the time in other fractions of a second than they give it for one object."""
    return f"{info.mtime_ns // 10**9} {info.size}" if info.is_file else ""


def download(address: str, file: Path) -> None:
    """Copy an object into a file."""
    with _errors(address):
        system, path = _opened(address)
        with system.open_input_stream(path) as source, file.open("wb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)


def upload(file: Path, address: str) -> None:
    """Copy a file into an object, which is there once it is whole."""
    with _errors(address):
        system, path = _opened(address)
        with file.open("rb") as source, system.open_output_stream(path) as copy:
            shutil.copyfileobj(source, copy, 1 << 20)


def _opened(address: str) -> tuple[Any, str]:
    """The file system and the path in it."""
    place, mark, options = address.partition("?")
    scheme, _, path = place.partition("://")
    bucket, _, key = path.partition("/")
    system, root = _bucket(scheme, bucket, mark + options)
    return system, f"{root}/{key}" if key else root


@cache
def _bucket(scheme: str, name: str, options: str) -> tuple[Any, str]:
    """The file system of a bucket, connected once, and the bucket's path in it."""
    try:
        found: tuple[Any, str] = FileSystem.from_uri(f"{scheme}://{name}{options}")
        return found
    except ArrowInvalid as unknown:
        try:
            import fsspec

            return PyFileSystem(FSSpecHandler(fsspec.filesystem(scheme))), name
        except (ImportError, ValueError) as error:
            raise ArgumentError(
                f"{scheme}:// is no object store that can be reached here ({unknown}; {error}): "
                "use s3://, gs:// or abfs://, or install what fsspec needs for it"
            ) from error


@contextmanager
def _errors(address: str) -> Iterator[None]:
    """What a store refuses, as StorageError."""
    try:
        yield
    except OSError as error:
        reason = " ".join(str(error).split())
        raise StorageError(f"the store refuses {address} ({reason})") from error

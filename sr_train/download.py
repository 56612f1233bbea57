"""Downloading a file that may be large over a connection that may break."""

import hashlib
import http.client
import re
import shutil
import urllib.error
import urllib.request
from pathlib import Path
from typing import BinaryIO, NoReturn

from tqdm import tqdm

from sr_runtime.errors import DataError, StorageError, about

__all__ = ["checked_sha256", "download"]

BLOCK = 1 << 20
TIMEOUT = 30  # seconds without a byte

WHOLE, PARTIAL, OUT_OF_RANGE = 200, 206, 416  # HTTP status


class _ConnectionLostError(Exception):
    """The connection ended before the file did."""


class _NoFTP(urllib.request.FTPHandler):
    """A redirection may lead to another web server, and nowhere else."""

    def ftp_open(self, req: urllib.request.Request) -> NoReturn:
        raise urllib.error.URLError(f"it leads to {req.full_url}")


def download(
    url: str,
    target: Path,
    *,
    digest: str | None,
    alternative: str = "put a copy from elsewhere there",
) -> str:
    """Download `url` to `target`; a `target` that exists already is only checked.

    An unfinished download is kept in `target` + ".part", and the next call continues it where the
    server can (HTTP Range). It reconnects as long as each try brings more bytes.

    Args:
        digest: "md5:…" or "sha256:…", the latter at least the first 8 hexadecimal digits; None:
            anything is accepted.
        alternative: What the user can do instead if the file cannot be downloaded, for the message.

    Returns:
        The file's SHA-256.

    Raises:
        DataError: The file has another digest, and is kept for inspection; or it is no file.
        StorageError: The server cannot be reached or refuses, or the folder cannot be written.
    """
    part = target.with_name(target.name + ".part")
    for path in (target, part):
        if path.exists() and not path.is_file():  # a FIFO would never end
            raise DataError("is not a regular file: remove it", path=path)
    if target.exists():
        return checked_sha256(target, url, digest)
    with about(target):
        try:
            _fetch_all(url, part, alternative)
            sha256 = checked_sha256(part, url, digest)
            part.replace(target)
        except OSError as error:
            raise StorageError(
                f"cannot be written ({error.strerror or error}): choose another --root"
            ) from error
    return sha256


def _fetch_all(url: str, part: Path, alternative: str) -> None:
    while True:
        before = _size(part)
        try:
            _fetch(url, part, alternative, start=before)
            return
        except _ConnectionLostError as lost:
            if _size(part) <= before:
                raise StorageError(
                    f"the connection to {url} was lost after {_size(part):,} bytes ({lost}): run "
                    "the same command to continue"
                ) from lost


def _fetch(url: str, part: Path, alternative: str, *, start: int) -> None:
    """Complete `part`, of which `start` bytes are kept, or raise _ConnectionLostError."""
    headers = {"User-Agent": "sr-toolkit"} | ({"Range": f"bytes={start}-"} if start else {})
    request = urllib.request.Request(url, headers=headers)
    try:
        response = urllib.request.build_opener(_NoFTP).open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == OUT_OF_RANGE and start:
                # Either `part` is complete, or the server's file has become shorter: start again.
                if error.headers.get("Content-Range") != f"bytes */{start}":
                    _fetch(url, part, alternative, start=0)
                return
            wait = error.headers.get("Retry-After", "")
            when = f"in {wait} seconds" if re.fullmatch(r"\d{1,6}", wait) else "later"
            raise StorageError(
                f"{url} answers {error.code} {_short(error.reason)}: try again {when}, or "
                f"{alternative}"
            ) from error
    # A redirection may lead to an address that raises ValueError.
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = _short(getattr(error, "reason", error))
        if start:
            raise _ConnectionLostError(reason) from error
        raise StorageError(
            f"{url} cannot be reached ({reason}): check the connection, or {alternative}"
        ) from error
    with response:
        if response.headers.get_content_type() == "text/html":
            raise StorageError(
                f"{url} answers with a web page instead of the file: try later, or {alternative}"
            )
        if response.status not in (WHOLE, PARTIAL):
            raise StorageError(
                f"{url} answers {response.status} without the file: try later, or {alternative}"
            )
        if response.status != PARTIAL:
            start = 0
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise StorageError(
                f"{url} does not continue after {start:,} bytes: delete {part}, or {alternative}"
            )
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if re.fullmatch(r"\d{1,18}", length) else None
        part.parent.mkdir(parents=True, exist_ok=True)
        if total is not None and (free := shutil.disk_usage(part.parent).free) < total - start:
            raise StorageError(
                f"{url} has {total:,} bytes, and {free:,} are free: make room, or choose another "
                "--root"
            )
        with part.open("ab" if start else "wb") as file:
            _copy(response, file, start, total, part.stem)


def _copy(
    response: http.client.HTTPResponse, file: BinaryIO, start: int, total: int | None, name: str
) -> None:
    with tqdm(
        desc=name, initial=start, total=total, unit="B", unit_scale=True, disable=None
    ) as bar:
        while True:
            try:
                block = response.read1(BLOCK)
            except (OSError, http.client.HTTPException) as error:
                raise _ConnectionLostError(_short(error)) from error
            if not block:
                break
            file.write(block)
            bar.update(len(block))
    if total is not None and file.tell() < total:
        raise _ConnectionLostError(f"{file.tell():,} of {total:,} bytes")


def _short(reason: object) -> str:
    """What a server or a library says: its first line, of a length fit for a sentence."""
    return next(iter(str(reason).splitlines()), "")[:200]


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def checked_sha256(path: Path, url: str, digest: str | None) -> str:
    """The SHA-256 of a file from `url`, which must have this `digest`, as for `download`.

    Raises:
        DataError: It has another digest.
        StorageError: It cannot be read.
    """
    kind, _, wanted = (digest or "sha256:").partition(":")
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            found = sha256 if kind == "sha256" else hashlib.file_digest(file, kind).hexdigest()
    except OSError as error:
        raise StorageError(f"cannot be read ({error.strerror or error})", path=path) from error
    if not found.startswith(wanted):
        raise DataError(
            f"{kind} is {found[: len(wanted)]}, expected {wanted}: it is damaged, or {url} has "
            "changed: delete it and download it again",
            path=path,
        )
    return sha256

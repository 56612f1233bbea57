"""Fetching a file that may be large over a line that may be cut."""

import errno
import hashlib
import http.client
import shutil
import urllib.error
import urllib.request
from pathlib import Path
from typing import BinaryIO

from tqdm import tqdm

from sr_runtime.errors import ArgumentError

__all__ = ["DigestError", "download", "remedy"]

BLOCK = 1 << 20
TIMEOUT = 30  # seconds without a byte

FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)

PARTIAL, OUT_OF_RANGE = 206, 416  # HTTP status


class DigestError(ArgumentError):
    """A file is another than was expected."""


class _CutError(Exception):
    """The connection ended before the file did."""


def download(url: str, target: Path, *, digest: str | None) -> str:
    """Fetch `url` into `target`; a `target` that is there already is only checked.

    What has come so far is kept in `target` + ".part", and the next call goes on from there, if
    the server can (HTTP Range). A line that is cut is taken up again as long as that gets further.

    Args:
        digest: "md5:…" or "sha256:…"; of the latter at least the first 8 hexadecimal digits.

    Returns:
        The file's SHA-256.

    Raises:
        DigestError: The file has another digest; it is left for inspection.
        ArgumentError: No connection, a refusal by the server, a folder that cannot be written.
    """
    if target.exists():
        return _checked(target, url, digest)
    part = target.with_name(target.name + ".part")
    try:
        while True:
            before = _size(part)
            try:
                _fetch(url, part, target)
                break
            except _CutError as cut:
                if _size(part) <= before:
                    raise ArgumentError(
                        f"{url}: the connection was lost after {_size(part):,} bytes ({cut}): the "
                        "same command goes on from there"
                    ) from cut
        sha256 = _checked(part, url, digest)
        part.replace(target)
    except OSError as error:
        raise ArgumentError(
            f"{part}: cannot be written ({error.strerror or error}): {remedy(error)}"
        ) from error
    return sha256


def remedy(error: OSError) -> str:
    """What the user can do about a file that cannot be written."""
    room = "make room, or " if error.errno in FULL else ""
    return f"{room}choose another --root"


def _fetch(url: str, part: Path, target: Path) -> None:
    """Bring `part` to its full length, or raise _CutError."""
    start = _size(part)
    try:
        response = _opened(url, start)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == OUT_OF_RANGE and start:
                # Nothing follows; if that is since the server's file became shorter, start anew.
                if error.headers.get("Content-Range") != f"bytes */{start}":
                    part.unlink()
                    _fetch(url, part, target)
                return
            raise ArgumentError(
                f"{url}: the server answers {error.code} {error.reason}: try later, or get the "
                f"file from elsewhere and put it at {target}"
            ) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        if start:
            raise _CutError(str(reason)) from error
        raise ArgumentError(
            f"{url} cannot be reached ({reason}): check the connection, or get the file from "
            f"elsewhere and put it at {target}"
        ) from error
    with response:
        if response.status != PARTIAL:
            start = 0
        length = response.headers.get("Content-Length")
        total = None if length is None else start + int(length)
        part.parent.mkdir(parents=True, exist_ok=True)
        if total is not None and (free := shutil.disk_usage(part.parent).free) < total - start:
            raise ArgumentError(
                f"{url} has {total:,} bytes, and {free:,} are free at {part.parent}: make room, or "
                "choose another --root"
            )
        with part.open("ab" if start else "wb") as file:
            _copy(response, file, start, total, target.name)


def _opened(url: str, start: int) -> http.client.HTTPResponse:
    request = urllib.request.Request(url, headers={"User-Agent": "sr-toolkit"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT)
    return response


def _copy(
    response: http.client.HTTPResponse, file: BinaryIO, start: int, total: int | None, name: str
) -> None:
    with tqdm(
        desc=name, initial=start, total=total, unit="B", unit_scale=True, disable=None
    ) as bar:
        got = start
        while True:
            try:
                block = response.read1(BLOCK)
            except (OSError, http.client.HTTPException) as error:
                raise _CutError(str(error)) from error
            if not block:
                break
            file.write(block)
            got += len(block)
            bar.update(len(block))
    if total is not None and got < total:
        raise _CutError(f"{got:,} of {total:,} bytes")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _checked(path: Path, url: str, digest: str | None) -> str:
    """The SHA-256 of a file that has the digest."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if digest is None:
            return sha256
        kind, _, wanted = digest.partition(":")
        file.seek(0)
        found = sha256 if kind == "sha256" else hashlib.file_digest(file, kind).hexdigest()
    if kind == "sha256":
        assert len(wanted) >= 8, digest
        found = found[: len(wanted)]
    if found != wanted:
        raise DigestError(
            f"{path} has {kind} {found} and not {wanted}: it is damaged, or no longer the file "
            f"that was at {url}: delete it and download it again"
        )
    return sha256

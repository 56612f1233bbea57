"""Images from pipes and into them: `-`, /dev/stdin, /dev/stdout, FIFOs.

A pipe can be read once, and a result is written as a whole: both go through a temporary file.
"""

import re
import shutil
import stat
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, Self

from sr_runtime.cli.console import say
from sr_runtime.errors import ArgumentError, ImageError
from sr_runtime.storage.atomic import atomic_path
from sr_runtime.storage.temporary import scratch_errors, temporary_folder

__all__ = ["STANDARD", "Pipes", "is_pipe"]

STANDARD = "-"
"""Standard input, or standard output."""

LARGEST = 1 << 30
"""Bytes that are read from a pipe, which may have no end."""
BLOCK = 1 << 20
PATIENCE = 2.0
"""Seconds after which the user is told that nobody is at the other side of a pipe."""
KEPT = "what goes through a pipe"

# How the files begin whose results may keep their format; a pipe has no suffix that tells.
SUFFIXES = {
    rb"\x89PNG": ".png",
    rb"\xff\xd8\xff": ".jpg",
    rb"GIF8": ".gif",
    rb"RIFF.{4}WEBP": ".webp",
    rb"II\*\0|MM\0\*": ".tif",
    rb".{4}ftypavi[fs]": ".avif",
    rb"\xff\x0a|\0{3}\x0cJXL ": ".jxl",
}


def is_pipe(path: Path) -> bool:
    """Whether `path` is neither file nor folder: a FIFO, a socket, a device, an open stream."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    if stat.S_ISREG(mode):
        return str(path.parent) in ("/dev", "/dev/fd")  # /dev/stdout of `> file`
    return not stat.S_ISDIR(mode)


class Pipes:
    """The temporary files of one command, and what the user calls them."""

    def __init__(self) -> None:
        self.names: dict[Path, Path] = {}
        """What the user called each temporary file."""
        self._open = ExitStack()
        self.sent: tuple[Path, str] | None = None
        """The file with the result that `send` passes on, and to where."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def received(self, path: Path) -> Path:
        """A file with everything that comes from a pipe.

        Raises:
            ArgumentError: It is a terminal.
            ImageError: It has no end.
            StorageError: The disk for temporary files is full.
        """
        for file, called in self.names.items():
            if called == path:
                return file
        standard = str(path) == STANDARD
        file = self._file("stdin" if standard else path.name)
        source = sys.stdin.buffer if standard and sys.stdin is not None else None
        if standard and (source is None or source.isatty()):
            raise ArgumentError("there is nothing on standard input: pipe an image into it")
        with ExitStack() as opened:
            with _telling_of_wait(f"an image from {_called(path)}"):
                incoming: BinaryIO = source or opened.enter_context(path.open("rb"))
                start = block = incoming.read(BLOCK)
            target = opened.enter_context(file.open("wb", buffering=0))
            while block:
                if target.tell() + len(block) > LARGEST:
                    raise ImageError(
                        f"more than {LARGEST >> 30} GB come from this pipe: save the image first",
                        path=path,
                    )
                with scratch_errors(KEPT):
                    left = memoryview(block)
                    while left:  # a disk that is nearly full takes a part
                        left = left[target.write(left) :]
                block = incoming.read(BLOCK)
        if not file.suffix:
            found = (end for begin, end in SUFFIXES.items() if re.match(begin, start, re.DOTALL))
            file = file.rename(file.with_suffix(next(found, "")))
        self.names[file] = path
        return file

    def target(self, output: str, suffix: str) -> Path:
        """The file to write for `output`; `send` passes it on.

        Raises ArgumentError if it would go to a terminal.
        """
        if output == STANDARD and (sys.stdout is None or sys.stdout.isatty()):
            raise ArgumentError("an image cannot be shown on a terminal: redirect it, as > out.png")
        file = self._file(f"result{suffix}")
        self.names[file] = Path(output)
        self.sent = file, output
        return file

    def send(self) -> None:
        """Write the result, if there is one, to where it goes."""
        if self.sent is None or not self.sent[0].exists():
            return
        file, output = self.sent
        with file.open("rb") as result, _telling_of_wait(f"a reader of {_called(Path(output))}"):
            if output == STANDARD:
                shutil.copyfileobj(result, sys.stdout.buffer, BLOCK)
                sys.stdout.buffer.flush()
            else:
                with atomic_path(output) as content, content.open("wb") as target:
                    shutil.copyfileobj(result, target, BLOCK)

    def _file(self, name: str) -> Path:
        with scratch_errors(KEPT):
            place = Path(tempfile.gettempdir())
            return self._open.enter_context(temporary_folder(place)).path / name


def _called(pipe: Path) -> str:
    return "the other side of the pipe" if str(pipe) == STANDARD else f"the pipe {pipe}"


@contextmanager
def _telling_of_wait(what: str) -> Iterator[None]:
    """Say what the block waits for if that takes long."""
    timer = threading.Timer(PATIENCE, say, [f"waiting for {what}"], {"file": sys.stderr})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()

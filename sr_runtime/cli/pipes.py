"""Images from pipes and into them: `-`, /dev/stdin, /dev/stdout, FIFOs.

A pipe can be read once, and a result is written as a whole: both go through a temporary file.
"""

import re
import shutil
import stat
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Self

from sr_runtime.errors import ArgumentError, ImageError
from sr_runtime.storage.atomic import atomic_path
from sr_runtime.storage.temporary import temporary_folder

__all__ = ["STANDARD", "Pipes", "is_pipe"]

STANDARD = "-"
"""Standard input, or standard output."""

LARGEST = 1 << 30
"""Bytes that are read from a pipe, which may have no end."""
BLOCK = 1 << 20

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
            incoming: BinaryIO = source or opened.enter_context(path.open("rb"))
            target = opened.enter_context(file.open("wb"))
            start = b""
            while block := incoming.read(BLOCK):
                start = start or block
                if target.tell() + len(block) > LARGEST:
                    raise ImageError(
                        f"more than {LARGEST >> 30} GB come from this pipe: save the image first",
                        path=path,
                    )
                target.write(block)
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
        with file.open("rb") as result:
            if output == STANDARD:
                shutil.copyfileobj(result, sys.stdout.buffer, BLOCK)
                sys.stdout.buffer.flush()
            else:
                with atomic_path(output) as content, content.open("wb") as target:
                    shutil.copyfileobj(result, target, BLOCK)

    def _file(self, name: str) -> Path:
        folder = self._open.enter_context(temporary_folder(Path(tempfile.gettempdir())))
        return folder.path / name

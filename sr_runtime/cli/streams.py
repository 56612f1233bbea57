"""Standard output and error that never stop the work: a reader goes away, a disk is full, or they
were closed before the start."""

import contextlib
import io
import os
import select
import sys
from collections.abc import Callable, Iterator
from typing import Any, TextIO

__all__ = ["sturdy_streams"]

# Standard output is opened for reading, so that what is printed there counts as lost.
MODES = {0: os.O_RDONLY, 1: os.O_RDONLY, 2: os.O_WRONLY}


class _Sink(io.RawIOBase):
    """A stream whose writes raise nothing; `error` is the first one that failed."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            while self.error is None:
                count: int | None = self._raw.write(data)
                if count is not None:
                    return count
                select.select([], [self._raw], [])  # somebody made the pipe non-blocking
        except OSError as error:
            self.error = error
        return len(data)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        number: int = self._raw.fileno()
        return number

    def isatty(self) -> bool:
        return bool(self._raw.isatty())


@contextlib.contextmanager
def sturdy_streams() -> Iterator[Callable[[], OSError | None]]:
    """Within the block, printing raises nothing; characters that a console cannot show are escaped.

    Yields a function that returns why something printed on standard output is lost, or None.
    """
    _open_closed_descriptors()
    output, shown = _sturdy(sys.stdout, 1), _sturdy(sys.stderr, 2)

    def lost() -> OSError | None:
        if output is not None:
            output.flush()
            # A notebook's stream, or one in memory, has no buffer.
            buffer = getattr(output, "buffer", None)
            if isinstance(sink := getattr(buffer, "raw", None), _Sink):
                return sink.error
        return None

    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(shown):
        try:
            yield lost
        finally:
            for stream in (output, shown):
                if stream is not None:
                    stream.flush()


def _sturdy(stream: TextIO | None, descriptor: int) -> TextIO | None:
    options: dict[str, Any] = {}
    if isinstance(stream, io.TextIOWrapper):
        stream.flush()
        raw: Any = getattr(stream.buffer, "raw", stream.buffer)
        names = ("encoding", "line_buffering", "write_through")
        options = {name: getattr(stream, name) for name in names}
    elif stream is None and sys.platform != "win32":
        raw = io.FileIO(descriptor, "w", closefd=False)
    else:  # a program without a console, or one with a console of its own
        return stream
    return io.TextIOWrapper(io.BufferedWriter(_Sink(raw)), errors="backslashreplace", **options)


def _open_closed_descriptors() -> None:
    """Keep the numbers 0 to 2 from files that are opened later: libraries print into 1 and 2."""
    if sys.platform == "win32":
        return
    for descriptor, mode in MODES.items():
        try:
            os.fstat(descriptor)
        except OSError:
            null = os.open(os.devnull, mode)
            if null != descriptor:
                os.dup2(null, descriptor)
                os.close(null)

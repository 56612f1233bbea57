"""Progress callbacks: what they raise comes out as it was, and they cannot use their upscaler."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from sr_runtime.errors import ArgumentError
from sr_runtime.passes import Progress
from sr_runtime.printable import shown

__all__ = ["Callbacks"]


class _RaisedError(BaseException):
    """What a callback has raised: nothing on its way takes it for an error of the engine."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class Callbacks:
    """The callbacks of one upscaler, which waits for each of them on the thread that called it."""

    def __init__(self) -> None:
        self._thread = threading.local()

    def reporting(self, progress: Progress | None) -> Progress | None:
        """What calls `progress`, within `raising_as_is`.

        Raises ArgumentError if it cannot be called.
        """
        if progress is not None and not callable(progress):
            raise ArgumentError(f"progress is {shown(progress)}: give a function of two numbers")
        return None if progress is None else partial(self._report, progress)

    @contextmanager
    def raising_as_is(self) -> Iterator[None]:
        """Let what a callback raises come out as it was."""
        raised: Exception | None = None
        try:
            yield
        except _RaisedError as wrapped:
            raised = wrapped.error
        if raised is not None:
            raise raised

    def check_outside(self) -> None:
        """Raise ArgumentError on a thread that is in a callback."""
        if getattr(self._thread, "in_callback", False):
            raise ArgumentError(
                "a progress callback cannot use the upscaler that called it and waits for it: "
                "raise an exception to cancel, then close the upscaler or upscale more"
            )

    def _report(self, progress: Progress, done: int, total: int) -> None:
        self._thread.in_callback = True
        try:
            progress(done, total)
        except Exception as error:
            raise _RaisedError(error) from None
        finally:
            self._thread.in_callback = False

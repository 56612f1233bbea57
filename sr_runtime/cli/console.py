"""How every command of this project ends: an exit code, and one sentence instead of a traceback."""

import io
import os
import sys
import warnings
from collections.abc import Callable

from sr_runtime.errors import SRError

__all__ = ["run_cli"]


def run_cli(command: Callable[[], int]) -> int:
    """Run `command` and return its exit code.

    An error that the user can do something about becomes one sentence on stderr and code 2, Ctrl-C
    becomes code 130, and each warning becomes one line.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # an old console cannot show every file name
            stream.reconfigure(errors="backslashreplace")
    with warnings.catch_warnings():
        # They warn of odd metadata, which are dropped, and large images, which we limit ourselves.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
        try:
            code = command()
            if sys.stdout is not None:
                sys.stdout.flush()
            return code
        except BrokenPipeError:
            # The reader closed the pipe, as `head` does; Python must not flush the rest at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
        except (SRError, MemoryError, OSError) as error:
            print(f"error: {_sentence(error)}", file=sys.stderr)
            return 2


def _sentence(error: SRError | MemoryError | OSError) -> str:
    if isinstance(error, SRError):
        return str(error)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return where + " ".join((error.strerror or str(error)).split())
    # A command that can advise better raises OutOfMemoryError.
    detail = f" ({error})" if str(error) else ""
    return f"not enough memory{detail}: close other programs or use a machine with more"

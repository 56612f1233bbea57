"""How every command line of this project ends: one sentence and an exit code, no traceback."""

import contextlib
import io
import os
import sys
import warnings
from collections.abc import Callable, Iterator

from sr_runtime.errors import BackendError, SRError

__all__ = ["require_extra", "run_cli"]


def run_cli(command: Callable[[], int]) -> int:
    """Run `command`; 2 for an error the user can mend (said on stderr), 130 for Ctrl-C.

    Warnings become one line each.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file name must not fail on an old console
            stream.reconfigure(errors="backslashreplace")
    with warnings.catch_warnings():
        # Of odd metadata, which are left behind, and of sizes, which we limit ourselves.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
        try:
            code = command()
            if sys.stdout is not None:
                sys.stdout.flush()
            return code
        except BrokenPipeError:
            # Who reads our output has enough; Python must not try to flush the rest at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except SRError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except MemoryError as error:
            print(f"error: not enough memory ({error}): take a smaller image", file=sys.stderr)
            return 2
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            print(f"error: {where}{error.strerror or error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130


@contextlib.contextmanager
def require_extra(name: str) -> Iterator[None]:
    """Turn the absence of a package that is imported in the block into a sentence."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise BackendError(
            f'{error.name} is not installed: pip install "sr-toolkit[{name}]"'
        ) from error

"""How every command of this project ends: an exit code, and one sentence instead of a traceback."""

import errno
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from sr_runtime.backends.out_of_memory import is_out_of_memory
from sr_runtime.cli.streams import sturdy_streams
from sr_runtime.errors import SRError, StorageError
from sr_runtime.printable import printable
from sr_runtime.signals import signals_as_interrupts

__all__ = ["BUG", "DEBUG", "LOADING", "run_cli", "say", "say_waiting"]

DEBUG = "--debug"

LOADING = "loading libraries"
"""What `say_waiting` is told where PyTorch is imported."""

BUG = 70
"""The exit code of a bug in this project, EX_SOFTWARE of sysexits.h."""


def run_cli(command: Callable[[Sequence[str]], int], argv: Sequence[str] | None = None) -> int:
    """Call `command` with the words of the command line; return its exit code.

    An error that the user can do something about becomes one sentence on stderr and code 2, a bug
    one sentence and code 70, a signal N that ends it code 128 + N, and each warning one line.
    `--debug` among the words, or SR_DEBUG=1 in the environment, shows the traceback too.

    Where standard output or error cannot be written, the command goes on to its end. What is lost
    on standard output makes its code 2, or 1 without a word if only the reader went away, as `head`
    does.

    Args:
        argv: The words without the program; None: those that the program was started with.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    options = words[: words.index("--")] if "--" in words else words
    debug = DEBUG in options or os.environ.get("SR_DEBUG", "0") not in ("", "0")
    words = [word for word in options if word != DEBUG] + words[len(options) :]
    with signals_as_interrupts(), sturdy_streams() as lost, warnings.catch_warnings():
        # They warn of odd metadata, which are dropped, and large images, which we limit ourselves.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.showwarning = lambda message, *_: say(f"warning: {message}", file=sys.stderr)
        try:
            try:
                code = command(words)
            except SystemExit as end:  # of argparse, after --help and --version
                code = end.code if isinstance(end.code, int) else 0
            if (error := lost()) is None:
                return code
            if error.errno == errno.EPIPE:
                return code or 1
            raise StorageError(f"standard output cannot be written ({error.strerror})") from error
        except KeyboardInterrupt as interrupt:
            # If it came out of an exec, as of a dataclass that is imported, `python -m` would end
            # by SIGINT in place of our code. CPython forgets that at the next exec.
            exec("")
            say("interrupted", file=sys.stderr)
            return 128 + (interrupt.args[0] if interrupt.args else signal.SIGINT)
        except Exception as error:
            if debug:
                say(
                    *"".join(traceback.format_exception(error)).rstrip().split("\n"),
                    file=sys.stderr,
                )
            sentence, code = _ending(error)
            say(f"error: {sentence}", file=sys.stderr)
            return code


def say(*lines: str, file: TextIO | None = None) -> None:
    """Print lines, each fit for a terminal whatever names are in it.

    Everything that this project prints goes through here, or through `printable`.
    """
    for line in lines:
        print(printable(line), file=file, flush=True)


def say_waiting(text: str) -> None:
    """Tell a terminal, and nobody else, what takes the next seconds."""
    if sys.stderr is not None and sys.stderr.isatty():
        say(f"{text} …", file=sys.stderr)


def _ending(error: Exception) -> tuple[str, int]:
    """The sentence for an error, and the exit code."""
    text = " ".join(str(error).split())
    match error:
        case SRError():
            about = "" if error.path is None else f"{error.path}: "
            return about + " ".join(error.args[0].split()), 2
        case MemoryError() | RuntimeError() if is_out_of_memory(error):
            # PyTorch raises the second. A command that can advise better raises OutOfMemoryError.
            detail = f" ({text})" if text else ""
            return f"not enough memory{detail}: close other programs or use a machine with more", 2
        case ModuleNotFoundError(name="numpy" | "PIL" | "tqdm"):  # what every installation has
            return (
                f"{error.name} is not installed for {sys.executable}: activate the environment "
                'that has sr-toolkit, or install it: in a clone pip install ".[cpu]"',
                2,
            )
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            return where + (error.strerror or text), 2
        case UnicodeEncodeError():
            return (
                f"{error.object!r} cannot be written in {error.encoding}, which a name or a text "
                "file needs here: rename what it names",
                2,
            )
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(frame.filename).name}:{frame.lineno}"
    return (
        f"{type(error).__name__} at {place}{text and f': {text}'}; this is a bug in sr-toolkit: "
        f"please report it with the command and this line ({DEBUG} shows the traceback)",
        BUG,
    )

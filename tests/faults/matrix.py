"""The faults and the commands, and what is promised where they meet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["COMMANDS", "FAULTS", "Command", "Fault", "exit_code", "table"]


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong while a command writes its result."""

    name: str
    code: int
    """The exit code of every command, as a shell shows it."""
    completes: bool = False
    """Whether the command finishes its work all the same."""


# A run that comes after another one in this order also shows that the next run completes.
FAULTS = (
    Fault("SIGKILL", 137),
    Fault("SIGTERM", 143),
    Fault("SIGINT", 130),
    Fault("ENOSPC", 2),
    Fault("EMFILE", 2),
    Fault("EACCES", 2),
    Fault("stdout closed", 2, completes=True),
    Fault("stderr closed", 0, completes=True),
)


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command, and the write in which the fault comes."""

    name: str
    program: str
    words: Sequence[str]
    """The command line; results are in the folder `out`, everything else is in `inputs`."""
    suffix: str
    """The suffix of the temporary file."""
    nth: int = 1
    """Which file of this suffix."""
    codes: Mapping[str, int]
    """Exit codes that differ from those of most commands."""
    is_run: bool = False
    """Whether a later start continues instead of starting again."""


MODEL = ("-m", "inputs/tiny.onnx", "--backend", "onnxruntime")
SHAPE = ("--min", "1x64x64", "--opt", "1x64x64", "--max", "1x64x64")

COMMANDS = (
    Command(
        name="upscale, a file",
        program="sr_runtime",
        words=("upscale", "inputs/photos/p0.png", "-o", "out/p0.png", *MODEL),
        suffix=".png",
        codes={},
    ),
    Command(
        name="upscale, a folder",
        program="sr_runtime",
        words=("upscale", "inputs/photos", "-o", "out", *MODEL),
        suffix=".png",
        nth=2,
        codes={"ENOSPC": 1, "EMFILE": 1},
    ),
    Command(
        name="upscale --resume",
        program="sr_runtime",
        words=("upscale", "inputs/many", "-o", "out", "--resume", *MODEL),
        suffix=".png",
        codes={"ENOSPC": 1, "EMFILE": 1},
    ),
    Command(
        name="export",
        program="sr_export",
        words=("onnx", "inputs/tiny.pth", "-o", "out/tiny.onnx"),
        suffix=".onnx",
        codes={},
    ),
    Command(
        name="engine",
        program="sr_export",
        words=(
            "engine", "inputs/tiny.onnx", "-o", "out/tiny.engine", "--for", "rtx", "--sm", "86",
            *SHAPE,
        ),
        suffix=".engine",
        codes={},
    ),
    Command(
        name="prepare",
        program="sr_train",
        words=("prepare", "inputs/photos", "--root", "out", "--jobs", "1"),
        suffix=".bin",
        codes={},
    ),
    Command(
        name="fit",
        program="sr_train",
        words=("fit", "--config", "inputs/run.yaml", "--run", "out/run"),
        suffix=".pt",
        nth=2,
        codes={},
        is_run=True,
    ),
    Command(
        name="resume",
        program="sr_train",
        words=("fit", "--resume", "out/run"),
        suffix=".pt",
        codes={},
        is_run=True,
    ),
)  # fmt: skip


def exit_code(command: Command, fault: Fault) -> int:
    """What the command promises to return."""
    return command.codes.get(fault.name, fault.code)


def table() -> str:
    """The exit codes in Markdown: a row for each fault, a column for each command."""
    rows = [["", *(command.name for command in COMMANDS)]]
    rows += [
        [fault.name, *(str(exit_code(command, fault)) for command in COMMANDS)] for fault in FAULTS
    ]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])

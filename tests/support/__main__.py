"""Try each backend that works here on a photo, and record what did, for docs/support.md.

It writes sr_runtime/backends/tested.json, which `info` reads too, and the page. What was recorded
for this system and fails now is taken back, and the exit code is 1.
"""

import sys
from collections.abc import Sequence

from benchmarks.software_adapter import use_gpu_or_software_adapter
from sr_runtime.backends.tested import recorded
from sr_runtime.cli.console import run_cli, say
from sr_runtime.cli.parser import Parser
from tests.support.matrix import updated, write
from tests.support.trial import cells_here, try_cell


def main(argv: Sequence[str] | None = None) -> int:
    """Try, record and write; return 1 if something did not work."""
    return run_cli(_run, argv)


def parser() -> Parser:
    """The command line."""
    return Parser(prog="python -m tests.support", description=__doc__, examples={"": ""})


def _run(words: Sequence[str]) -> int:
    parser().parse_args(words)
    use_gpu_or_software_adapter()
    record, failed = recorded(), False
    for cell in cells_here():
        device = None
        try:
            device = try_cell(cell)
            say(f"{cell.name}: works on {device}")
        # One that fails must not lose the others.
        except Exception as error:
            failed = True
            say(f"{cell.name}: {type(error).__name__}: {error}")
        record = updated(record, cell, device)
    write(record)
    return failed


if __name__ == "__main__":
    sys.exit(main())

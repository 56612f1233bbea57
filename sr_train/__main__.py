"""The command line: `sr-train prepare …`, `fit …`, `evaluate …` and more."""

import sys
from collections.abc import Sequence

from sr_runtime.cli.console import run_cli

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code, 2 for an error, 128 + N for signal N."""
    return run_cli(_run, argv)


def _run(words: Sequence[str]) -> int:
    # Imported here, where Ctrl-C is heard.
    from sr_train.commands import run

    return run(words)


if __name__ == "__main__":
    sys.exit(main())

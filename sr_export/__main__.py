"""The command line: `python -m sr_export onnx …`, and its other commands."""

import sys
from collections.abc import Sequence

from sr_runtime.cli.console import run_cli

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    return run_cli(_run, argv)


def _run(words: Sequence[str]) -> int:
    # Imported here, where Ctrl-C is heard.
    from sr_export.commands import run

    return run(words)


if __name__ == "__main__":
    sys.exit(main())

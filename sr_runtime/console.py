"""How every command line of this project ends: one sentence and an exit code, no traceback."""

import sys
from collections.abc import Callable

from sr_runtime.errors import SRError

__all__ = ["exit_code"]


def exit_code(command: Callable[[], int]) -> int:
    """Run `command`; 2 for an error the user can mend (said on stderr), 130 for Ctrl-C."""
    try:
        return command()
    except SRError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130

"""What an engine says, in one line that a message can hold."""

__all__ = ["first_line", "last_line"]

LONGEST = 300


def first_line(error: Exception) -> str:
    """The first line of an exception's message, which may go on with C++ source."""
    return _short(_lines(error)[0])


def last_line(error: Exception) -> str:
    """The last line of an exception's message; the lines before may be positions in C++ source."""
    return _short(_lines(error)[-1])


def _lines(error: Exception) -> list[str]:
    return str(error).strip().splitlines() or [type(error).__name__]


def _short(line: str) -> str:
    """The beginning and the end: ONNX Runtime puts C++ source between them."""
    return line if len(line) <= LONGEST else f"{line[: LONGEST // 3]} … {line[-LONGEST // 2 :]}"

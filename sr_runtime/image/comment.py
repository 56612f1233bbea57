"""The comment in a JPEG, JPEG 2000 or GIF: a Picture holds it as a PNG does, with its texts."""

from collections.abc import Sequence

from sr_runtime.image.png import text_in

__all__ = ["comment_of", "with_comment"]

KEYWORD = b"Comment\0"

Texts = Sequence[tuple[bytes, bytes]]


def with_comment(texts: Texts, comment: object) -> tuple[tuple[bytes, bytes], ...]:
    """`texts` and, if there is one, a comment's chunk, which says whether it is UTF-8."""
    if isinstance(comment, str):
        comment = comment.encode()
    comment = comment.rstrip(b"\0") if isinstance(comment, bytes) else b""
    if not comment or b"\0" in comment:
        return tuple(texts)
    try:
        comment.decode("utf-8")
    except UnicodeDecodeError:
        return *texts, (b"tEXt", KEYWORD + comment)
    return *texts, (b"iTXt", KEYWORD + bytes(4) + comment)


def comment_of(texts: Texts) -> bytes | None:
    """The comment among the texts of a picture."""
    for name, content in texts:
        if content.startswith(KEYWORD):
            return text_in(name, content)
    return None

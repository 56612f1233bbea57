"""protobuf's wire format: the fields of a message, read and written without a schema."""

from collections.abc import Iterator
from typing import Any, NamedTuple

__all__ = ["LENGTH", "MAX_DEPTH", "VARINT", "Field", "encode", "fields", "message"]

# Wire types.
VARINT, LENGTH = 0, 2

MAX_VARINT = 10
"""Bytes of the longest number, which has 64 bits."""

MAX_DEPTH = 100
"""How deep messages may be nested, as in protobuf's own readers."""


class Field(NamedTuple):
    """One field. Its value is a number with wire type 0, and bytes with the others."""

    number: int
    wire: int
    value: Any


def fields(message: bytes | memoryview) -> Iterator[Field]:
    """The fields of a message in their order; bytes are views into it.

    Raises ValueError if it is not a message.
    """
    view, position = memoryview(message), 0
    while position < len(view):
        tag, position = _varint(view, position)
        wire = tag & 7
        match wire:
            case 0:
                number, position = _varint(view, position)
                yield Field(tag >> 3, wire, number)
                continue
            case 1:
                length = 8
            case 2:
                length, position = _varint(view, position)
            case 5:
                length = 4
            case _:
                raise ValueError(f"there is no wire type {wire}")
        if position + length > len(view):
            raise ValueError("a field is cut off")
        yield Field(tag >> 3, wire, view[position : position + length])
        position += length


def encode(field: Field) -> bytes:
    """The bytes of a field, its tag and length included."""
    tag = _encoded(field.number << 3 | field.wire)
    if field.wire == VARINT:
        return tag + _encoded(field.value)
    length = _encoded(len(field.value)) if field.wire == LENGTH else b""
    return b"".join((tag, length, field.value))


def message(*contents: tuple[int, int | bytes]) -> bytes:
    """The bytes of a message of numbers and of bytes, each after its field's number."""
    return b"".join(
        encode(Field(number, VARINT if isinstance(value, int) else LENGTH, value))
        for number, value in contents
    )


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    """The number at `position`, and the position after it."""
    value = 0
    for count in range(MAX_VARINT):
        if position + count == len(view):
            raise ValueError("a number is cut off")
        byte = view[position + count]
        value |= (byte & 0x7F) << 7 * count
        if byte < 0x80:
            return value, position + count + 1
    raise ValueError(f"a number has more than {MAX_VARINT} bytes")


def _encoded(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)

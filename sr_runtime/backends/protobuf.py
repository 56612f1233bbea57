"""protobuf's wire format: the fields of a message, read and written without a schema."""

import os
from collections.abc import Container, Iterator
from typing import Any, BinaryIO, NamedTuple

__all__ = [
    "LENGTH",
    "MAX_DEPTH",
    "VARINT",
    "Field",
    "encode",
    "fields",
    "inside",
    "integer",
    "message",
    "skim",
    "text",
    "varints",
]

# Wire types.
VARINT, LENGTH = 0, 2

MAX_VARINT = 10
"""Bytes of the longest number, which has 64 bits."""

LARGEST_SKIMMED = 1 << 20
"""Bytes of a field that `skim` reads."""

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
        number, wire, begin, end = _extent(view, position)
        if end > len(view):
            raise ValueError("a field is cut off")
        value = _varint(view, begin)[0] if wire == VARINT else view[begin:end]
        yield Field(number, wire, value)
        position = end


def skim(file: BinaryIO, wanted: Container[int]) -> Iterator[Field]:
    """The fields of a message in a file; only those with a number in `wanted` are read.

    The others have the value None. Raises ValueError if it is not a message or one of the wanted
    has more than a megabyte, and OSError.
    """
    position, size = 0, file.seek(0, os.SEEK_END)
    while position < size:
        file.seek(position)
        number, wire, _, end = _extent(memoryview(file.read(2 * MAX_VARINT)), 0)
        if position + end > size:
            raise ValueError("a field is cut off")
        if number not in wanted:
            yield Field(number, wire, None)
        elif end > LARGEST_SKIMMED:
            raise ValueError(f"a field has {end} bytes")
        else:
            file.seek(position)
            yield from fields(file.read(end))
        position += end


def _extent(view: memoryview, position: int) -> tuple[int, int, int, int]:
    """Number and wire type of the field at `position`, and where its value begins and ends."""
    tag, begin = _varint(view, position)
    wire = tag & 7
    match wire:
        case 0:
            end = _varint(view, begin)[1]
        case 1:
            end = begin + 8
        case 2:
            length, begin = _varint(view, begin)
            end = begin + length
        case 5:
            end = begin + 4
        case _:
            raise ValueError(f"there is no wire type {wire}")
    return tag >> 3, wire, begin, end


def inside(message: bytes | memoryview, number: int) -> Iterator[memoryview]:
    """The messages, strings or bytes of a field."""
    for field in fields(message):
        if field.number == number and field.wire == LENGTH:
            yield field.value


def text(message: bytes | memoryview, number: int) -> str:
    """A string, which is empty where it is not stated."""
    return b"".join(inside(message, number)).decode()


def integer(message: bytes | memoryview, number: int) -> int | None:
    """A number that is not negative; None where it is not stated."""
    found = [
        field.value for field in fields(message) if (field.number, field.wire) == (number, VARINT)
    ]
    return found[-1] if found and found[-1] < 1 << 63 else None


def varints(packed: memoryview) -> Iterator[int]:
    """The numbers that are packed into one field."""
    position = 0
    while position < len(packed):
        value, position = _varint(packed, position)
        yield value


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

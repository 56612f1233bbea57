"""The types of the configuration's fields, with the limits of their values.

NaN violates every limit.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, is_dataclass
from functools import cache
from itertools import pairwise
from math import inf
from operator import attrgetter
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from sr_runtime.errors import ArgumentError
from sr_train.network_facts import SCALES

__all__ = ["as_text", "check_fields", "checked", "field_types", "is_text", "takes_null", "wanted"]

LONGEST = 200
"""Characters of a value in a message."""

KINDS = {bool: "true or false", int: "a whole number", float: "a finite number", str: "a text"}


@dataclass(frozen=True)
class Limit:
    """A limit in words, and whether a value keeps it."""

    words: str
    holds: Callable[[Any], object]
    is_obvious: bool = False
    """Whether it needs no words until somebody breaks it."""


Count = Annotated[int, Limit("at least 1", lambda n: n >= 1)]
# Larger ones would only fill the memory, with the indices of the crops alone.
BatchSize = Annotated[int, Limit("from 1 to 65536", lambda n: 1 <= n <= 65536)]
# Deeper networks would only fill the memory, and building one takes time before that is known.
Depth = Annotated[int, Limit("from 1 to 1000", lambda n: 1 <= n <= 1000)]
FourOrMore = Annotated[int, Limit("at least 4", lambda n: n >= 4)]
OddCount = Annotated[int, Limit("odd and at least 1", lambda n: n >= 1 and n % 2)]
CountOrZero = Annotated[int, Limit("at least 0", lambda n: n >= 0)]
Seed = Annotated[int, Limit(f"from 0 to {2**63 - 1}", lambda n: 0 <= n < 2**63)]
Scale = Annotated[int, Limit(f"one of {', '.join(map(str, SCALES))}", SCALES.__contains__)]
ImageChannels = Annotated[int, Limit("1 or 3", (1, 3).__contains__)]
Positive = Annotated[float, Limit("above 0", lambda x: 0 < x < inf)]
Weight = Annotated[float, Limit("at least 0", lambda x: 0 <= x < inf)]
Factor = Annotated[float, Limit("above 0 and at most 1", lambda x: 0 < x <= 1)]
Fraction = Annotated[float, Limit("from 0 to 1", lambda x: 0 <= x <= 1)]
Decay = Annotated[float, Limit("at least 0 and below 1", lambda x: 0 <= x < 1)]
Quality = Annotated[int, Limit("from 1 to 100", lambda n: 1 <= n <= 100)]
Device = Annotated[
    str,
    Limit("one of auto, cpu, cuda and cuda:N", re.compile(r"auto|cpu|cuda(:\d+)?").fullmatch),
]

NOT_EMPTY = Limit("not empty", bool, is_obvious=True)
# An empty path would mean the current folder; NUL ends a path, and YAML loses a line's end. The
# surrogates left out here stand for bytes that are no UTF-8; a path can have no others.
NAMED = Limit(
    "not empty and without control characters",
    lambda text: (
        text.strip() and not re.search("[\0-\x1f\x7f-\x9f\ud800-\udc7f\udd00-\udfff]", text)
    ),
    is_obvious=True,
)
ORDERED = Limit("the smaller first", lambda pair: pair[0] <= pair[1])
ASCENDING = Limit("ascending", lambda xs: all(a < b for a, b in pairwise(xs)))

CountRange = Annotated[tuple[Count, Count], ORDERED]
FactorRange = Annotated[tuple[Factor, Factor], ORDERED]
QualityRange = Annotated[tuple[Quality, Quality], ORDERED]
Channels = Annotated[tuple[Count, ...], NOT_EMPTY]
Steps = Annotated[tuple[Count, ...], ASCENDING]
Name = Annotated[str, NAMED]
"""The name of a file, a folder, a data set or a project."""
Datasets = Annotated[tuple[Name, ...], NOT_EMPTY]
LayerWeights = Annotated[Mapping[str, Positive], NOT_EMPTY]


@cache
def field_types(schema: Any) -> dict[str, Any]:
    """The type of every field of nested dataclasses, by its dotted name."""
    found: dict[str, Any] = {}
    for name, hint in get_type_hints(schema, include_extras=True).items():
        inner = field_types(hint) if isinstance(hint, type) and is_dataclass(hint) else {}
        found |= {f"{name}.{key}": value for key, value in inner.items()} or {name: hint}
    return found


def check_fields(config: Any) -> None:
    """Give every field the exact type of its value; ArgumentError for the first outside limits."""
    for name, hint in field_types(config.__class__).items():
        section, _, field = name.rpartition(".")
        values = vars(attrgetter(section)(config) if section else config)
        values[field] = checked(name, values[field], hint)  # lists become tuples, "1e-4" a number


def checked(name: str, value: Any, hint: Any) -> Any:
    """`value`, as YAML or JSON gives it, as the type `hint`; ArgumentError if it does not fit."""
    try:
        return _converted(value, hint)
    except (ValueError, OverflowError):
        given = as_text(value).strip() or "empty"
        must = wanted(hint)
        listed = f" (write [{given}])" if must.startswith("a list") and "[" not in given else ""
        raise ArgumentError(f"{name} is {given}: it must be {must}{listed}") from None


def wanted(hint: Any, *, briefly: bool = False) -> str:
    """What a value of the type `hint` must be, in words; briefly, without what is obvious."""
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind is Annotated:
        told = (limit.words for limit in inner[1:] if not (briefly and limit.is_obvious))
        return ", ".join([wanted(inner[0], briefly=briefly), *told])
    if takes_null(hint):
        return f"{wanted(inner[0], briefly=briefly)}, or null"
    if kind is Literal:
        return f"one of {', '.join(map(repr, inner))}"
    if kind not in (Mapping, tuple):
        return KINDS[kind]
    each = f"each {wanted(inner[-1 if kind is Mapping else 0], briefly=briefly)}"
    if kind is Mapping:
        names = f", each name {wanted(inner[0])}" if inner[0] is not str else ""
        return f"{{name: a, …}} with a space after each colon{names}, {each}"
    return f"{'a list [a, b, …]' if ... in inner else 'a pair [a, b]'}, {each}"


def takes_null(hint: Any) -> bool:
    """Whether None is a value of the type `hint`."""
    return type(None) in get_args(hint)


def is_text(hint: Any) -> bool:
    """Whether the values of the type `hint` are strings."""
    inner = get_args(hint)
    if get_origin(hint) is Annotated or takes_null(hint):
        return is_text(inner[0])
    return hint is str or get_origin(hint) is Literal


def as_text(value: object) -> str:
    """`value` as one writes it on the command line; the rest of a long one is left out."""
    quoted = json.dumps(value, default=str)
    text = value if isinstance(value, str) else re.sub(r'"([\w.:+-]+)"', r"\1", quoted)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _converted(value: Any, hint: Any) -> Any:
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind is Annotated:
        value = _converted(value, inner[0])
        if all(limit.holds(value) for limit in inner[1:]):
            return value
    elif takes_null(hint):
        return None if value is None else _converted(value, inner[0])
    elif kind is tuple and isinstance(value, list | tuple):
        hints = inner[:1] * len(value) if inner[-1] is ... else inner
        return tuple(_converted(x, hint) for x, hint in zip(value, hints, strict=True))
    elif kind is Mapping and isinstance(value, Mapping):
        return {_converted(str(k), inner[0]): _converted(x, inner[1]) for k, x in value.items()}
    elif kind is float and type(value) in (int, float, str):
        return float(value)
    elif kind is int and type(value) in (int, str):
        number = int(value, 0) if isinstance(value, str) else value  # 0: refuses 010, YAML's 8
        if abs(number) < 1 << 63:
            return number
    elif type(value) is kind or (kind is Literal and value in inner):
        return value
    raise ValueError

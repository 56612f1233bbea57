"""The fields of the configuration by their dotted names, and what there is to say about them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from difflib import get_close_matches
from functools import cache
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from docstring_parser import parse_from_object

from sr_train.config.checks import value_of
from sr_train.config.schema import Config

__all__ = ["Field", "all_fields", "as_text", "sections", "unknown_field"]


@dataclass(frozen=True)
class Field:
    """A field of the configuration."""

    type: Any
    default: Any
    help: str

    @property
    def choices(self) -> tuple[str, ...]:
        """The values of a Literal; none for other types."""
        return get_args(self.type) if get_origin(self.type) is Literal else ()

    @property
    def placeholder(self) -> str:
        """Stands for the value in the help."""
        return "{" + " | ".join(self.choices) + "}" if self.choices else "VALUE"

    @property
    def takes_null(self) -> bool:
        """Whether the value may be left open."""
        return type(None) in get_args(self.type)

    @property
    def wanted(self) -> str:
        """What the value must be, in words."""
        if self.choices:
            return f"one of {', '.join(map(repr, self.choices))}"
        kinds = {
            int: "a whole number",
            float: "a finite number",
            bool: "true or false",
            str: "a text",
        }
        alternatives = get_args(self.type) if isinstance(self.type, UnionType) else (self.type,)
        kind = kinds.get(alternatives[0], f"written like {as_text(self.default)}")
        if isinstance(self.default, Mapping):
            kind += ", with a space after each colon"
        return kind + (" or null" if self.takes_null else "")


@cache
def all_fields() -> dict[str, Field]:
    """Every field by its dotted name."""
    found = {}
    default = Config()
    for section in sections():
        values = value_of(default, section) if section else default
        docstrings = {p.arg_name: p.description for p in parse_from_object(type(values)).params}
        for name, hint in get_type_hints(type(values)).items():
            if not is_dataclass(hint):
                full_name = f"{section}.{name}".removeprefix(".")
                found[full_name] = Field(hint, getattr(values, name), docstrings[name] or "")
    return found


@cache
def sections() -> dict[str, str]:
    """What each section is about, by its name; the fields outside all sections are under ""."""
    found = {n: hint for n, hint in get_type_hints(Config).items() if is_dataclass(hint)}
    return {n: (cls.__doc__ or "").rstrip(".") for n, cls in {"": Config, **found}.items()}


def unknown_field(name: str, *others: str) -> str:
    """The sentence about a name that is not among the fields, nor among `others`."""
    if name in sections():
        field = next(full for full in all_fields() if full.startswith(f"{name}."))
        return f"{name} is a section: name a field of it, as {field}"
    near = get_close_matches(name, [*all_fields(), *sections(), *others], n=2)
    if not near:
        last_parts = {full.rpartition(".")[2]: full for full in reversed(all_fields())}
        parts = get_close_matches(name.rpartition(".")[2], last_parts, n=2, cutoff=0.75)
        near = [last_parts[part] for part in parts]
    if not near:
        return f"{name} is no field: `sr-train fit --help` lists them all"
    return f"{name} is no field: did you mean {' or '.join(near)}?"


def as_text(value: object) -> str:
    """As it would be written on the command line."""
    return value if isinstance(value, str) else json.dumps(value, default=str)

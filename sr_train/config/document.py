"""YAML and JSON files as nested mappings, with the line of each key; hostile ones are refused.

Numbers and dates stay the texts that were written: the type of a field decides, so that a project
may be called 007, and YAML's 1:30 is no 90.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from sr_runtime.errors import ArgumentError, StorageError

__all__ = ["parse_yaml", "read_document"]

MAX_BYTES = 1 << 16
"""All fields, with their names, take some 5,000."""
MAX_NODES = 10_000
"""Values, counted as often as aliases repeat them."""

TAG = "tag:yaml.org,2002:"
WRITTEN = {f"{TAG}{kind}" for kind in ("float", "int", "str", "timestamp")}
"""Tags of values that stay as they are written."""
PLAIN = WRITTEN | {f"{TAG}{kind}" for kind in ("bool", "map", "merge", "null", "seq")}


def read_document(path: Path) -> tuple[Any, dict[str, int]]:
    """The content of a YAML or JSON file, and the line of each key by its dotted name, in YAML.

    Raises:
        ArgumentError: It is not YAML or JSON, or more than a configuration can need.
        StorageError: It cannot be read.
    """
    try:
        if path.exists() and not path.is_file():  # reading a FIFO could wait for ever
            raise ArgumentError("is no file, but a folder, a pipe or a device: name a file")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise StorageError(f"cannot be read ({error.strerror})") from error
    if len(content) > MAX_BYTES:
        raise ArgumentError(f"has more than {MAX_BYTES:,} bytes, so it is no configuration")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ArgumentError(f"line {line} is not UTF-8: save the file as UTF-8") from error
    try:
        if path.suffix.lower() == ".json":
            made = json.loads(
                text, object_pairs_hook=_unique, parse_int=str, parse_float=str, parse_constant=str
            )
            return made, {}
        node = yaml.compose(text, _Loader)
        return parse_yaml(text), dict(_lines(node))
    except json.JSONDecodeError as error:
        raise ArgumentError(f"line {error.lineno} is not valid JSON ({error.msg})") from error
    except ValueError as error:
        raise ArgumentError(f"is not valid: {error}") from error
    except RecursionError as error:
        raise ArgumentError("is nested too deeply for a configuration") from error
    except yaml.YAMLError as error:
        raise ArgumentError(_sentence(error)) from error


def parse_yaml(text: str) -> Any:
    """A YAML document, without tags, keys that appear twice, dates, and aliases that multiply.

    Raises yaml.YAMLError, or RecursionError.
    """
    return yaml.load(text, _Loader)


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML's own keeps the last of two equal keys, and lets aliases multiply without limit."""

    def get_single_node(self) -> yaml.Node | None:
        node: yaml.Node | None = super().get_single_node()
        if node is not None and _size(node, {}) > MAX_NODES:
            raise _error(node, f"aliases make more than {MAX_NODES:,} values of it")
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if node.tag not in PLAIN:
            raise _error(node, f"the tag {node.tag.replace(TAG, '!!')} means nothing here")
        try:
            return super().construct_object(node, deep)
        except LookupError as error:
            raise _error(node, f"{_short(node.value)} is not what its tag says") from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        found: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in found:
                    raise _error(key, f"{_short(key.value)} appears twice: remove one of them")
                found.add(key.value)
        made: dict[Any, Any] = super().construct_mapping(node, deep)
        return made


for tag in WRITTEN:
    _Loader.add_constructor(tag, _Loader.construct_yaml_str)


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node stands for; YAMLError for one that contains itself."""
    if id(node) not in known:
        known[id(node)] = -1  # it is being counted
        children = node.value if isinstance(node, yaml.CollectionNode) else []
        if isinstance(node, yaml.MappingNode):
            children = [each for pair in children for each in pair]
        known[id(node)] = 1 + sum(_size(each, known) for each in children)
    elif known[id(node)] < 0:
        raise _error(node, "a value contains itself")
    return known[id(node)]


def _lines(node: yaml.Node | None, prefix: str = "") -> Iterator[tuple[str, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield f"{prefix}{key.value}", key.start_mark.line + 1
                yield from _lines(value, f"{prefix}{key.value}.")


def _error(node: yaml.Node, problem: str) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _sentence(error: yaml.YAMLError) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is None:  # a character that YAML does not allow
        return f"is not valid YAML ({_short(str(error).partition(chr(10))[0])})"
    return f"line {mark.line + 1} is not valid YAML ({_short(problem or error)})"


def _short(text: object) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= 100 else f"{line[:100]}…"


def _unique(items: Iterable[tuple[str, Any]]) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for key, value in items:
        if key in found:
            raise ValueError(f"{_short(key)} appears twice: remove one of them")
        found[key] = value
    return found

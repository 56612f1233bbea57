"""Finds the generator among all that a training checkpoint holds, by the names of its tensors."""

import re
import warnings
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sr_runtime.errors import ArgumentError, ModelError
from sr_train.models.generator import Generator, check_names
from sr_train.models.other_networks import is_no_generator, name_network
from sr_train.models.registry import ARCHITECTURES, build_generator, recognise
from sr_train.pytorch_file import SAVE_TENSORS, NotATensor
from sr_train.tensor_file import is_dense, require_floats

__all__ = ["Found", "NoGeneratorError", "find_generator", "named_states"]

# A trainer's file has a few wrappers in each other and some thousand values; a hostile one may
# have millions.
MAX_DEPTH = 12
MAX_VALUES = 1_000_000
MAX_PLACES = 16
LEAST_TENSORS = 4  # of a network
# A file holds equal tensors once, so that small networks may claim more than its bytes.
FREE_CLAIM = 1 << 28

# DataParallel's and torch.compile's, which may stand in the middle of a name.
DECORATION = re.compile(r"\b(?:module|_orig_mod)\.")
# Counters of averaged weights, and what the profiler thop leaves in every module.
BOOKKEEPING = {"n_averaged", "step", "steps", "initted", "total_ops", "total_params"}

AVERAGED = re.compile(r"(?<![a-z])(?:ema|swa|avg|averaged?)(?![a-z])", re.IGNORECASE)

TYPICAL = [re.compile(rf"(?:^|\.)(?={row.names.pattern})") for row in ARCHITECTURES.values()]


class NoGeneratorError(ModelError):
    """A file holds no complete generator of this project's architectures."""

    def __init__(self, message: str, *, is_unknown: bool = False) -> None:
        super().__init__(message)
        self.is_unknown = is_unknown
        """Whether it seems to hold a network of another architecture."""


@dataclass(frozen=True)
class Found:
    """A complete generator in a file."""

    place: str
    """The keys and the prefix that lead to it, joined by dots: "params_ema", for instance."""
    generator: Generator
    """Without weights, on the meta device."""
    state: Mapping[str, Tensor]
    """Its weights as the file holds them, of any floating-point type."""


@dataclass(frozen=True)
class _Place:
    name: str
    tensors: Mapping[str, Tensor]
    """Under their names in the network."""
    dominates: bool
    """Whether most tensors of the mapping lie here. Elsewhere a few typical names prove nothing."""


def find_generator(content: Mapping[Any, Any], known: Mapping[str, Any], *, size: int) -> Found:
    """The generator in the content of a file, whatever mappings and prefixes surround it.

    Averaged weights are preferred to others, with a warning. Nothing is allocated for what the file
    claims and does not hold.

    Args:
        known: As for a `Recogniser`.
        size: Bytes of the file.

    Raises NoGeneratorError, saying what was found, if no network is complete, and ModelError if
    several are which differ.
    """
    mappings = list(_mappings(content))
    found: list[Found] = []
    faults: list[tuple[str, ModelError]] = []
    for place in (place for name, mapping in mappings for place in _places(name, mapping)):
        try:
            found += _complete(place, known, size)
        except ModelError as error:
            if place.dominates:
                faults.append((place.name, error))
    if found:
        return _preferred(found, faults)
    if faults:
        raise NoGeneratorError(str(faults[0][1])) from faults[0][1]
    name, held = max(mappings, key=lambda each: len(_tensors(each[1])))
    tensors = _tensors(held)
    raise NoGeneratorError(
        name_network(tensors) or _what_is_there(mappings, name, held),
        is_unknown=bool(tensors) and not is_no_generator(tensors),
    )


def named_states(content: Mapping[Any, Any], *, size: int) -> Iterator[Mapping[str, Tensor]]:
    """The tensors of each mapping in a file, in which a network may be: averaged weights first,
    then the mapping with most of them; with their names as they are, and without a common prefix.

    Raises ModelError for tensors that claim more than the file's `size` bytes can hold.
    """
    states = [(name, _tensors(mapping)) for name, mapping in _mappings(content)]
    states.sort(key=lambda each: (not AVERAGED.search(each[0]), -len(each[1])))
    for _, tensors in states:
        if len(tensors) < LEAST_TENSORS:
            continue
        _require_held(tensors, size, "network")
        plain = {DECORATION.sub("", name): tensor for name, tensor in tensors.items()}
        while True:
            yield plain
            prefixes = {name.partition(".")[0] for name in plain}
            if len(prefixes) > 1 or not all("." in name for name in plain):
                break
            plain = {name.partition(".")[2]: tensor for name, tensor in plain.items()}


def _mappings(content: Mapping[Any, Any]) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """All mappings and lists in `content`, and the keys that lead to them; the outer ones first."""
    waiting: deque[tuple[str, int, Any]] = deque([("", 0, content)])
    seen: set[int] = set()  # a pickled mapping may contain itself
    values = 0
    while waiting:
        name, depth, value = waiting.popleft()
        if id(value) in seen or depth > MAX_DEPTH:
            continue
        seen.add(id(value))
        mapping = value if isinstance(value, Mapping) else dict(enumerate(value))
        values += len(mapping)
        if values > MAX_VALUES:
            raise ModelError(
                f"the file holds more than {MAX_VALUES:,} values, which no generator has: "
                f"{SAVE_TENSORS}"
            )
        yield name, mapping
        for key, each in mapping.items():
            if isinstance(each, Mapping | list | tuple) and each:
                waiting.append((f"{name}.{key}" if name else str(key), depth + 1, each))


def _tensors(mapping: Mapping[Any, Any]) -> dict[str, Tensor]:
    """The dense tensors of a mapping, without counters."""
    return {
        name: value
        for name, value in mapping.items()
        if isinstance(name, str) and is_dense(value)
        if name.rpartition(".")[2] not in BOOKKEEPING
    }


def _places(name: str, mapping: Mapping[Any, Any]) -> Iterator[_Place]:
    """Where networks may be in a mapping: the prefixes of typical names, most frequent first."""
    tensors = _tensors(mapping)
    plain = {DECORATION.sub("", each): value for each, value in tensors.items()}
    # Decoration in the middle of names hides them. In front of them it is one more prefix.
    for named in (tensors, plain):
        prefixes = Counter(
            each[: match.end()]
            for each in named
            for core in TYPICAL
            if (match := core.search(each))
        )
        for prefix, _ in prefixes.most_common(MAX_PLACES):
            below = {k.removeprefix(prefix): v for k, v in named.items() if k.startswith(prefix)}
            inside = {k: v for k, v in below.items() if not DECORATION.search(k)}
            bare = {DECORATION.sub("", k): v for k, v in below.items()} | inside
            keys = ".".join(filter(None, (name, prefix.rstrip("."))))
            yield _Place(keys, bare, 2 * len(bare) > len(tensors))
        if prefixes:
            return


def _complete(place: _Place, known: Mapping[str, Any], size: int) -> list[Found]:
    """The network at a place, or none. Raises ModelError if it is not complete."""
    recognised = recognise(place.tensors, known)
    if recognised is None:
        return []
    arch, network = recognised
    _require_held(network.state, size, arch)
    try:
        with torch.device("meta"):
            generator = build_generator(arch, network.architecture)
    except (ArgumentError, TypeError) as error:
        raise ModelError(f"no {arch} has the sizes of these tensors ({error})") from error
    expected = generator.state_dict()
    check_names(network.state.keys(), expected.keys())
    for name, tensor in network.state.items():
        if tensor.shape != expected[name].shape:
            raise ModelError(
                f"{name} has the shape {tuple(tensor.shape)}, and {tuple(expected[name].shape)} "
                "was expected"
            )
    require_floats(network.state)
    return [Found(place.name, generator, network.state)]


def _require_held(tensors: Mapping[str, Tensor], size: int, arch: str) -> None:
    claimed = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if claimed > size + FREE_CLAIM:
        raise ModelError(
            f"the tensors of this {arch} claim {claimed:,} bytes and the file has {size:,}: it is "
            "damaged or made to exhaust memory"
        )


def _preferred(found: Sequence[Found], faults: Sequence[tuple[str, ModelError]]) -> Found:
    """The averaged one of several networks, or one of several equal ones."""
    averaged = [each for each in found if AVERAGED.search(each.place)]
    first, *others = averaged or found
    if different := [each for each in others if not _equal(first, each)]:
        names = [repr(each.place) for each in (first, *different)]
        raise ModelError(
            f"the file holds {len(names)} generators, {', '.join(names[:4])}, and nothing tells "
            f"which one is meant: {SAVE_TENSORS}"
        )
    left_out = [each.place for each in found if each not in averaged and not _equal(first, each)]
    if averaged and left_out:
        _warn(f"{first.place!r} is read, with averaged weights, and {left_out[0]!r} is left out")
    if not averaged:
        for place, fault in faults:
            if AVERAGED.search(place):
                _warn(f"{first.place!r} is read, and the averaged {place!r} is left out: {fault}")
    return first


def _warn(what: str) -> None:
    warnings.warn(f"of the generators in the file, {what}", RuntimeWarning, stacklevel=5)


def _equal(one: Found, other: Found) -> bool:
    a, b = one.state, other.state
    return a.keys() == b.keys() and all(
        a[name].shape == b[name].shape and torch.equal(a[name], b[name].to(a[name].dtype))
        for name in a
    )


def _what_is_there(
    mappings: Sequence[tuple[str, Mapping[Any, Any]]], name: str, held: Mapping[Any, Any]
) -> str:
    """The sentence for a file without a network that is known; `held` has most tensors."""
    if any({"state", "param_groups"} <= each.keys() for _, each in mappings):
        return (
            "the file holds the state of an optimizer and no generator: give the file of the "
            "generator that was saved beside it (net_g_*.pth of BasicSR, for instance)"
        )
    values = [(key, value) for _, each in mappings for key, value in each.items()]
    arrays = [key for key, value in values if isinstance(value, NotATensor)]
    if odd := [key for key, value in values if isinstance(value, Tensor) and not is_dense(value)]:
        return (
            f"{len(odd)} tensors such as {odd[0]!r} are sparse, or on the meta device and without "
            f"values: {SAVE_TENSORS}, with dense tensors"
        )
    tensors = _tensors(held)
    if not tensors and len(arrays) > 8:
        return (
            f"the file holds {len(arrays)} values such as {arrays[0]!r} that are no tensors, but "
            "NumPy arrays for instance: save them as tensors, with torch.from_numpy"
        )
    where = f"{name!r} with " if name else ""
    if tensors:
        what = f"{len(tensors)} tensors such as {next(iter(tensors))!r}"
    else:
        what = f"no tensors, only {list(held)[:4]}"
    return (
        f"the file holds {where}{what}, which no known generator matches "
        f"({', '.join(ARCHITECTURES)})"
    )

"""What Triton Inference Server is told about a model: `config.pbtxt`.

That is Triton's ModelConfig message in protobuf's text format. One thing stands on one line, so
that a later version can renew some lines and leave alone what was edited by hand.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sr_runtime.errors import ArgumentError

__all__ = ["ServedModel", "Tensor", "new_config", "renewed_config"]

# What Triton itself takes for a model that comes without a configuration.
DEFAULT_MAX_BATCH = 4

FACT = 'parameters { key: "sr.'

# The lines that all versions share, and those that a version may renew.
KINDS = (
    r"(platform|backend):.*",
    r"input \{.*\}",
    r"output \{.*\}",
    r'parameters \{ key: "sr\.scale".*\}',
)
MAX_BATCH = r"max_batch_size: *(\d{1,10})\s*(#.*)?"
INSTANCES = r"instance_group \{.*\bcount: *(\d{1,10})\b.*\}\s*(#.*)?"


@dataclass(frozen=True)
class Tensor:
    """An input or output of a model."""

    name: str
    data_type: str
    """As Triton calls it, "TYPE_FP32" for instance."""
    shape: tuple[int, ...]
    """The batch first; -1 where the model leaves it open."""


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """A model file as Triton sees it."""

    runner: str
    """The line that says what runs it."""
    file_name: str
    """What Triton wants the file to be called."""
    kind: str | None
    """Where its instances run; None: on GPUs where the server has some, else on the CPU."""
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    max_batch: int | None
    """Most images at a time; None: only memory limits them."""
    facts: dict[str, str]
    """What our files say about themselves, under `sr.*`."""
    server_options: tuple[str, ...] = ()
    """What the server itself has to be started with."""

    @property
    def batched(self) -> bool:
        """Whether Triton may choose the batch."""
        return all(tensor.shape[0] == -1 for tensor in (*self.inputs, *self.outputs))


def new_config(
    model: ServedModel, name: str, *, instances: int | None, max_batch: int | None
) -> str:
    """The `config.pbtxt` of a model's first version.

    Raises:
        ArgumentError: The model takes no batch of `max_batch` images.
    """
    if max_batch is None and model.batched:
        max_batch = model.max_batch or DEFAULT_MAX_BATCH
    lines = [
        "# Written by `sr_export triton`. What you change or add stays when a version is added.",
        f"name: {_quoted(name)}",
        model.runner,
        _batch_line(model, max_batch),
        *_tensor_lines(model),
        _instances_line(model, instances or 1),
    ]
    if model.batched:
        lines.append("dynamic_batching { }")
    return "\n".join([*lines, *_fact_lines(model)]) + "\n"


def renewed_config(
    old: str, model: ServedModel, *, instances: int | None, max_batch: int | None
) -> str:
    """A `config.pbtxt` for one more version: other facts, and the numbers that are not None.

    Raises:
        ArgumentError: The versions before this one are of another kind of model, or have larger
            batches than it takes.
    """
    lines = old.removesuffix("\n").split("\n")  # not splitlines: strings may have other breaks
    _check_kind(lines, model)
    lines = [line for line in lines if not line.startswith(FACT)]
    place, written = _place(lines, MAX_BATCH, like="max_batch_size: 4")
    if max_batch is None and model.batched:
        max_batch = written
    lines[place] = re.sub(r"max_batch_size: *\d+", _batch_line(model, max_batch), lines[place])
    preferred = _preferred_batch(old)
    if max_batch is not None and preferred > max_batch:
        raise ArgumentError(
            f"max_batch_size {max_batch} is less than the preferred_batch_size {preferred} that "
            "config.pbtxt has, which Triton refuses: change that one first, or give --max-batch "
            f"{preferred}"
        )
    if instances is not None:
        place, _ = _place(lines, INSTANCES, like="instance_group { count: 1 }")
        lines[place] = re.sub(r"\bcount: *\d+", f"count: {instances}", lines[place], count=1)
    return "\n".join([*lines, *_fact_lines(model)]) + "\n"


def _check_kind(lines: Sequence[str], model: ServedModel) -> None:
    """Raise ArgumentError unless the lines say the same of their model as would be said of this."""
    stated = [model.runner, *_tensor_lines(model), *_fact_lines(model)]
    for kind in KINDS:
        there, here = (sorted(filter(re.compile(kind).fullmatch, said)) for said in (lines, stated))
        if not there:
            raise ArgumentError(
                f"config.pbtxt has no line {here[0]!r}: write it so, or take another --name"
            )
        if there != here:
            raise ArgumentError(
                "the versions that are there are of another kind of model, their config.pbtxt "
                f"says {'; '.join(there)} and not {'; '.join(here)}: take another --name"
            )


def _preferred_batch(config: str) -> int:
    """The largest preferred_batch_size, 0 for none."""
    stated = re.findall(r"\bpreferred_batch_size\s*:\s*(\[[^]]*\]|\d+)", re.sub("#.*", "", config))
    return max([0, *map(int, re.findall(r"\d{1,10}", " ".join(stated)))])


def _place(lines: Sequence[str], pattern: str, *, like: str) -> tuple[int, int]:
    """Where the one line is that matches, and the number it has."""
    found = [(i, match) for i, line in enumerate(lines) if (match := re.fullmatch(pattern, line))]
    if len(found) != 1:
        raise ArgumentError(
            f"config.pbtxt has {len(found)} lines like {like!r}, and one is needed: write it so"
        )
    place, match = found[0]
    return place, int(match[1])


def _batch_line(model: ServedModel, max_batch: int | None) -> str:
    if not model.batched:
        if max_batch is not None:
            batch = model.inputs[0].shape[0]
            raise ArgumentError(
                f"the model is made for batches of {'one size' if batch == -1 else batch}: "
                "leave --max-batch out"
            )
        return "max_batch_size: 0"
    assert max_batch is not None
    if model.max_batch is not None and max_batch > model.max_batch:
        raise ArgumentError(
            f"max_batch_size {max_batch} is more than the {model.max_batch} of the engine's "
            f"profile: give --max-batch {model.max_batch}, or build the engine with a larger --max"
        )
    return f"max_batch_size: {max_batch}"


def _tensor_lines(model: ServedModel) -> Iterator[str]:
    for field, tensors in (("input", model.inputs), ("output", model.outputs)):
        for tensor in tensors:
            dims = tensor.shape[1:] if model.batched else tensor.shape
            # Triton knows no empty shape: one value per image is a vector of length one to it.
            reshape = "" if dims else " reshape { shape: [ ] }"
            yield (
                f"{field} {{ name: {_quoted(tensor.name)} data_type: {tensor.data_type} "
                f"dims: [ {', '.join(map(str, dims or (1,)))} ]{reshape} }}"
            )


def _instances_line(model: ServedModel, instances: int) -> str:
    kind = "" if model.kind is None else f" kind: {model.kind}"
    return f"instance_group {{ count: {instances}{kind} }}"


def _fact_lines(model: ServedModel) -> Iterator[str]:
    for key, value in model.facts.items():
        yield f"parameters {{ key: {_quoted(key)} value {{ string_value: {_quoted(value)} }} }}"


def _quoted(text: str) -> str:
    """A string as the text format has it, whose escapes are JSON's."""
    return json.dumps(text, ensure_ascii=False)

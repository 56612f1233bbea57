"""What `info` says of a model: plain words, then the facts as the file and the code name them."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from sr_runtime.backends.probe.facts import WHY_ASSUMED
from sr_runtime.cli.rows import Row
from sr_runtime.model_info import ModelInfo

__all__ = ["COLOURS", "facts_rows", "seams_text", "sizes_text"]

COLOURS = {1: "gray", 3: "RGB", 4: "RGB with alpha"}
HOW = ("stated", "by default", "measured", "assumed", "not known")
"""How a fact is known, in the order in which they are shown."""


def facts_rows(model: Path, info: ModelInfo, shape: Sequence[int | None] = ()) -> list[Row]:
    """The facts of a model file, or of a blend, which has none.

    Args:
        shape: Of the input that an ONNX file declares.
    """
    if info.blend is None:
        made: Row = ("file", f"{model} ({model.stat().st_size / 1e6:.1f} MB)")
    else:
        made = ("blend", info.blend)
    why = [text for fact, text in WHY_ASSUMED.items() if fact in info.assumed and info.measured]
    return [
        made,
        ("enlarges", f"{info.scale} times in width and in height"),
        (
            "images",
            f"{COLOURS.get(info.in_channels, 'of other channels')}, {sizes_text(info, shape)}",
        ),
        ("tiles", f"overlap by {info.halo} pixels on each side; {seams_text(info)}"),
        *(("", text) for text in why),
        *_exact_rows(info),
    ]


def sizes_text(info: ModelInfo, shape: Sequence[int | None]) -> str:
    """Which sizes of images a model takes, by its facts and its declared input."""
    height, width = info.only_size(shape)
    if height and width:
        return f"of {width}×{height} pixels only, into which sr-toolkit cuts larger ones"
    if height or width:
        only = f"{width} pixels wide" if width else f"{height} pixels high"
        return f"{only} and no other, into which sr-toolkit cuts larger ones"
    padded = [f"to multiples of {info.multiple_of} pixels"] if info.multiple_of > 1 else []
    padded += [f"to {info.min_side} pixels at least"] if info.min_side > 1 else []
    return f"of any size, padded {' and '.join(padded)}" if padded else "of any size"


def seams_text(info: ModelInfo) -> str:
    """By how much tiles differ from the whole image."""
    if info.tile_error > 1:
        return f"tiles change the result by up to {info.tile_error}/255"
    if "halo" in info.assumed:
        return "whether that is enough is not known"
    return (
        "no value of the photos that were tried differs by more than 1/255 from the whole image's"
    )


def _exact_rows(info: ModelInfo) -> list[Row]:
    """`facts stated: scale 4, …`: all facts, by how they are known."""
    known: dict[str, list[str]] = {how: [] for how in HOW}
    for field in fields(ModelInfo):
        name, value = field.name, getattr(info, field.name)
        none = value is None and name in ("fixed_side", "blend")  # as in most models
        if none or name in ("measured", "assumed") or (name == "schema" and info.measured):
            continue
        how = _how(info, name)
        known[how].append(name if how == "not known" else f"{name} {value}")
    return [(f"facts {how}", ", ".join(facts)) for how, facts in known.items() if facts]


def _how(info: ModelInfo, name: str) -> str:
    if getattr(info, name) in (None, "unknown"):
        return "not known"
    if name in info.measured:
        return "measured"
    if name in info.assumed:
        return "assumed" if info.measured else "by default"  # a file of ours need not state it
    return "stated"

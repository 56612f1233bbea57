"""The facts that a program needs to run a model; every model file of ours carries them."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self, get_args

from sr_runtime.errors import ModelError

__all__ = [
    "DEFAULT_HALO",
    "IO",
    "LARGEST_HALO",
    "LARGEST_SCALE",
    "Layout",
    "ModelInfo",
    "ValueRange",
]

SCHEMA = 1
PREFIX = "sr."

# For an ONNX file that does not state its halo: no ESRGAN generator that we measured shows a seam
# with it.
DEFAULT_HALO = 32

LARGEST_HALO = 2048
"""The halo of a caller and the receptive radius; a network of 23 blocks behind a 4× unshuffle has
a radius of 1,400. A tile of this halo has 17 megapixels, which few machines hold."""

LARGEST_SCALE = 64
"""The most that a model enlarges by."""

IO = Literal["float32", "uint8"]
Layout = Literal["NCHW", "NHWC"]
ValueRange = Literal["0..1", "0..255", "-1..1"]

# The largest value of each fact. Beyond them a file is damaged or hostile, and would ask for
# gigabytes or switch tiling off.
LIMITS = {
    "schema": SCHEMA,
    "scale": LARGEST_SCALE,
    "in_channels": 4,
    "out_channels": 4,
    "multiple_of": 1024,
    "min_side": 1024,
    "phase": 1024,
    "halo": 256,
    "receptive_radius": LARGEST_HALO,
    "output": 64,
    "tile_error": 255,
    "fixed_side": 4096,
}
CHOICES = {
    "weights_dtype": ("float32", "float16"),
    "io": get_args(IO),
    "layout": get_args(Layout),
    "input_range": get_args(ValueRange),
    "output_range": get_args(ValueRange),
}
# How the other facts are known, which a file does not say.
PROBED = ("measured", "assumed")
FROM_0 = ("halo", "receptive_radius", "output", "tile_error")


def _whole_number(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,12}", text):
        raise ValueError(f"{_short(text)} is not a whole number")
    return int(text)


# How a field is read from its string, by the field's type; a string by default.
PARSERS: Mapping[Any, Callable[[str], Any]] = {
    int: _whole_number,
    int | None: _whole_number,
}


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """Facts about one model file, stored in ONNX `metadata_props` as strings under `sr.*`."""

    arch: str
    """Name of the network, "RRDBNet" for instance."""
    scale: int
    """Output height over input height, and the same for the width."""
    in_channels: int
    """1 (gray) or 3 (RGB); 4 (RGBA) in a file that `load` refuses."""
    out_channels: int
    """Equal to `in_channels`, except in a file that `load` refuses."""
    io: IO
    """"float32": float tensors in and out, laid out as `layout` says. "uint8": `(N, H, W, C)`, in
    and out."""
    weights_dtype: str
    """"float32" or "float16": how the file stores its weights."""
    multiple_of: int = 1
    """Input height and width must be multiples of this."""
    min_side: int = 1
    """Least input height and width; smaller images are padded up to it."""
    phase: int = 1
    """Tiles must start on multiples of this, and of `multiple_of`, because the network works in
    windows that it counts from its input's corner."""
    halo: int = DEFAULT_HALO
    """LR pixels of context with which a tile matches the whole image within 1/255 (calibrated)."""
    receptive_radius: int | None = None
    """LR pixels beyond which the input cannot change an output pixel; None if not known."""
    tile_error: int = 1
    """Largest difference in 1/255 seen between tiles with this halo and the whole image. It
    is above 1 where output pixels depend on the whole input, as with global attention or pooling,
    or on its opposite side, as with circular padding; and where no halo that was tried is enough
    for a larger receptive radius."""
    layout: Layout = "NCHW"
    """The order of a float tensor's axes, in and out."""
    input_range: ValueRange = "0..1"
    """Black and white in a float input."""
    output_range: ValueRange = "0..1"
    """Black and white in a float output."""
    fixed_side: int | None = None
    """The only height and width that the network takes although its input declares any; None for
    every other model."""
    output: int = 0
    """Which of the model's outputs is the picture."""
    weights_sha256: str | None = None
    """SHA-256 over the generator's tensors; None if not known."""
    blend: str | None = None
    """"0.6 from psnr to esrgan", for instance, of a blend of embedded models; None for every other
    model."""
    schema: int = SCHEMA
    """Version of this record."""
    measured: tuple[str, ...] = ()
    """Names of the facts that the file does not state and a probe measured; never stored."""
    assumed: tuple[str, ...] = ()
    """Names of the facts that are neither stated nor measured; never stored. Those of a probed file
    are guesses; those that a file of ours lacks have their default."""

    @property
    def is_plain(self) -> bool:
        """A float tensor `(N, C, H, W)` in [0, 1], in and out."""
        return (self.io, self.layout, self.input_range, self.output_range) == (
            "float32", "NCHW", "0..1", "0..1",
        )  # fmt: skip

    def tiles_differ(self, halo: int) -> bool:
        """Whether tiles with this halo are known to differ from the whole image by over 1/255."""
        reaches_all = self.receptive_radius is not None and halo >= self.receptive_radius
        return self.tile_error > 1 and not reaches_all

    def only_size(self, shape: Sequence[int | None]) -> tuple[int | None, int | None]:
        """The height and width that an input of this declared shape is limited to; None for any."""
        first = 1 if self.io == "uint8" or self.layout == "NHWC" else 2
        height, width = (*shape[first : first + 2], None, None)[:2]
        return height or self.fixed_side, width or self.fixed_side

    def to_metadata(self) -> dict[str, str]:
        """The stored facts as the strings of an ONNX file's `metadata_props`."""
        facts = asdict(self)
        for name in PROBED:
            del facts[name]
        return {PREFIX + name: str(value) for name, value in facts.items() if value is not None}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> Self | None:
        """Read `metadata_props`; None if it has no facts of ours.

        Raises ModelError if the facts have a newer schema, are damaged or out of range.
        """
        facts = {k.removeprefix(PREFIX): v for k, v in metadata.items() if k.startswith(PREFIX)}
        if not facts:
            return None
        try:
            if (schema := _whole_number(facts["schema"])) > SCHEMA:
                raise ModelError(
                    f"the model's facts have schema {schema} and this sr-toolkit reads up "
                    f"to {SCHEMA}: update sr-toolkit"
                )
            stored = [field for field in fields(cls) if field.name not in PROBED]
            values = {
                field.name: PARSERS.get(field.type, str)(facts[field.name])
                for field in stored
                if field.name in facts
            }
            missing = (field for field in stored if field.name not in facts)
            defaults = tuple(field.name for field in missing if field.default is not None)
            info = cls(**values, assumed=defaults)
        except (KeyError, ValueError, TypeError) as error:
            raise ModelError(
                f"the model's sr.* metadata is damaged ({_short(error)}): export the model again"
            ) from error
        info._check()
        return info

    def _check(self) -> None:
        """Raise ModelError for a fact that no model has."""
        for name, most in LIMITS.items():
            value, least = getattr(self, name), 0 if name in FROM_0 else 1
            if value is not None and not least <= value <= most:
                raise ModelError(
                    f"the model's sr.* metadata says {name} {value}, and {least} to {most} are "
                    "allowed: export the model again"
                )
        for name, choices in CHOICES.items():
            if (value := getattr(self, name)) not in choices:
                raise ModelError(
                    f"the model's sr.* metadata says {name} {_short(value)}, which is none of "
                    f"{', '.join(map(str, choices))}: export the model again"
                )


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:40]}…"

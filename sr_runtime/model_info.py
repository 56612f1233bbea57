"""The facts that a program needs to run a model; every model file of ours carries them."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self, get_args

from sr_runtime.errors import ModelError

__all__ = ["DEFAULT_HALO", "IO", "ModelInfo"]

SCHEMA = 1
PREFIX = "sr."

# For an ONNX file that does not state its halo: no ESRGAN generator that we measured shows a seam
# with it.
DEFAULT_HALO = 32

# No fact of a network that can run is larger, in pixels.
LARGEST = 1 << 16

IO = Literal["float32", "uint8"]

# How a field is read from its string, by the field's type; a string by default.
PARSERS: Mapping[Any, Callable[[str], Any]] = {int: int, int | None: int, float | None: float}


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """Facts about one model file, stored in ONNX `metadata_props` as strings under `sr.*`."""

    arch: str
    """Name of the network, "RRDBNet" for instance."""
    scale: int
    """Output height over input height, and the same for the width."""
    in_channels: int
    """1 (gray) or 3 (RGB)."""
    out_channels: int
    """Equal to `in_channels`."""
    io: IO
    """"float32": `(N, C, H, W)` in [0, 1], in and out. "uint8": `(N, H, W, C)`, in and out."""
    weights_dtype: str
    """"float32" or "float16": how the file stores its weights."""
    multiple_of: int = 1
    """Input height and width must be multiples of this."""
    halo: int = DEFAULT_HALO
    """LR pixels of context with which a tile matches the whole image within 1/255 (calibrated)."""
    receptive_radius: int | None = None
    """LR pixels beyond which the input cannot change an output pixel; None if not known."""
    weights_sha256: str | None = None
    """SHA-256 over the generator's tensors; None if not known."""
    blend: float | None = None
    """0 (psnr) to 1 (esrgan) for a blend of the embedded models; None for every other model."""
    schema: int = SCHEMA
    """Version of this record."""
    assumed: tuple[str, ...] = ()
    """Names of the facts that were probed or assumed because the file does not state them; never
    stored."""

    def to_metadata(self) -> dict[str, str]:
        """The stored facts as the strings of an ONNX file's `metadata_props`."""
        facts = asdict(self)
        del facts["assumed"]
        return {PREFIX + name: str(value) for name, value in facts.items() if value is not None}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> Self | None:
        """Read `metadata_props`; None if it has no facts of ours.

        Raises ModelError if the facts have a newer schema, or are damaged.
        """
        facts = {k.removeprefix(PREFIX): v for k, v in metadata.items() if k.startswith(PREFIX)}
        if not facts:
            return None
        try:
            if int(facts["schema"]) > SCHEMA:
                raise ModelError(
                    f"the model's facts have schema {facts['schema']} and this sr-toolkit reads up "
                    f"to {SCHEMA}: update sr-toolkit"
                )
            known = {field.name: field.type for field in fields(cls) if field.name in facts}
            values = {name: PARSERS.get(kind, str)(facts[name]) for name, kind in known.items()}
            info = cls(**values)
        except (KeyError, ValueError, TypeError) as error:
            raise ModelError(
                f"the model's sr.* metadata is damaged ({error}): export the model again"
            ) from error
        if not info._is_possible():
            raise ModelError(f"the model's sr.* metadata is damaged ({info}): export it again")
        return info

    def _is_possible(self) -> bool:
        return (
            self.io in get_args(IO)
            and self.weights_dtype in ("float32", "float16")
            and self.in_channels == self.out_channels in (1, 3)
            and 1 <= self.scale <= LARGEST
            and 1 <= self.multiple_of <= LARGEST
            and 0 <= self.halo <= LARGEST
            and 0 <= (self.receptive_radius or 0) <= LARGEST
        )

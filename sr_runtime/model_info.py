"""The contract every model file carries: the facts a program needs to run it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Literal, Self, get_args

from sr_runtime.errors import ModelError

__all__ = ["DEFAULT_HALO", "IO", "ModelInfo"]

SCHEMA = 1
PREFIX = "sr."

# Of an ONNX file that says nothing about itself: the halo at which the ESRGAN generators that
# we measured show no seam.
DEFAULT_HALO = 32

IO = Literal["float32", "uint8"]


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """Facts about one model file, stored in ONNX `metadata_props` as strings under `sr.*`."""

    arch: str
    """Name of the network, "RRDBNet" for instance."""
    scale: int
    """Output side over input side."""
    in_channels: int
    """1 (gray) or 3 (RGB)."""
    out_channels: int
    """The same as `in_channels`."""
    io: IO
    """"float32": `(N, C, H, W)` in [0, 1], in and out. "uint8": `(N, H, W, C)`, in and out."""
    weights_dtype: str
    """"float32" or "float16": how the file stores its weights."""
    multiple_of: int = 1
    """Input height and width must be multiples of this."""
    halo: int = DEFAULT_HALO
    """LR pixels of context at which a tile matches the whole image within 1/255 (calibrated)."""
    receptive_radius: int | None = None
    """LR pixels beyond which the input cannot change an output pixel; None if not known."""
    weights_sha256: str | None = None
    """SHA-256 over the generator's tensors; None if not known."""
    schema: int = SCHEMA
    """Version of this record."""
    assumed: tuple[str, ...] = ()
    """Facts that the file does not state and that were probed or assumed; never stored."""

    def to_metadata(self) -> dict[str, str]:
        """The stored facts as the strings of an ONNX file's `metadata_props`."""
        facts = asdict(self)
        del facts["assumed"]
        return {PREFIX + name: str(value) for name, value in facts.items() if value is not None}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> Self | None:
        """Read `metadata_props`; None where there is nothing of ours.

        Raises ModelError if the facts are of a newer schema or do not make sense.
        """
        facts = {k.removeprefix(PREFIX): v for k, v in metadata.items() if k.startswith(PREFIX)}
        if not facts:
            return None
        try:
            if int(facts["schema"]) > SCHEMA:
                raise ModelError(
                    f"the model's facts are of schema {facts['schema']} and this sr-toolkit reads "
                    f"up to {SCHEMA}: update sr-toolkit"
                )
            known = {field.name: field.type for field in fields(cls) if field.name in facts}
            values = {
                name: int(facts[name]) if kind in (int, int | None) else facts[name]
                for name, kind in known.items()
            }
            info = cls(**values)  # type: ignore[arg-type]
        except (KeyError, ValueError, TypeError) as error:
            raise ModelError(
                f"the model's sr.* metadata is damaged ({error}): export the model again"
            ) from error
        if info.io not in get_args(IO) or min(info.scale, info.multiple_of, info.halo + 1) < 1:
            raise ModelError(f"the model's sr.* metadata is damaged ({info}): export it again")
        return info

"""What a TensorRT engine is built for, and how the command line writes it."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Self, get_args

from sr_runtime.errors import ArgumentError
from sr_runtime.model_info import ModelInfo
from sr_runtime.printable import shown

__all__ = [
    "CARDS",
    "DEFAULT_LEVEL",
    "DEFAULT_PROFILE",
    "LIBRARIES",
    "NAMES",
    "BuildOptions",
    "HardwareCompatible",
    "Kind",
    "Profile",
    "Shape",
    "cards_text",
    "parse_sm",
    "sm_text",
    "tensor_shape",
]

Kind = Literal["tensorrt", "tensorrt-rtx"]
"""A library, by the name of its backend; engines of one kind do not load in the other."""

NAMES: dict[Kind, str] = {"tensorrt": "TensorRT", "tensorrt-rtx": "TensorRT for RTX"}

LIBRARIES: dict[str, Kind] = {"tensorrt": "tensorrt", "rtx": "tensorrt-rtx"}
"""The libraries by the words of `--for`."""

# https://developer.nvidia.com/cuda-gpus
CARDS = {
    "7.5": "GeForce RTX 20",
    "8.0": "A100 and A30",
    "8.6": "GeForce RTX 30 and RTX A",
    "8.9": "GeForce RTX 40, RTX Ada and L4",
    "12.0": "GeForce RTX 50 and RTX PRO Blackwell",
    "12.1": "DGX Spark",
}
"""The cards that people know by name, of each compute capability of TensorRT for RTX."""

HardwareCompatible = Literal["none", "ampere+", "same"]


class Shape(NamedTuple):
    """The shape of a batch of tiles in LR pixels, halo included."""

    batch: int
    height: int
    width: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "4x256x256"; ArgumentError for anything but three numbers of up to five digits."""
        match = re.fullmatch(r"(\d{1,5})[x×](\d{1,5})[x×](\d{1,5})", text.strip().lower())
        if match is None or 0 in (sides := [int(side) for side in match.groups()]):
            raise ArgumentError(
                f"shape {shown(text)} is not BATCHxHEIGHTxWIDTH with numbers from 1 to 99999, "
                "4x256x256 for instance"
            )
        return cls(*sides)

    def __str__(self) -> str:
        return f"{self.batch}x{self.height}x{self.width}"


MAX_VALUES = (1 << 31) - 1
"""The most that TensorRT takes in a tensor. Inner tensors of a network are larger than its output,
so that an engine may be refused by the library already below it."""


@dataclass(frozen=True)
class Profile:
    """The shapes that an engine takes, and the one that it is tuned for.

    Raises ArgumentError unless min ≤ opt ≤ max in batch, height and width alike.
    """

    min: Shape
    opt: Shape
    max: Shape

    def __post_init__(self) -> None:
        for low, high in ((self.min, self.opt), (self.opt, self.max)):
            if min(self.min) < 1 or any(a > b for a, b in zip(low, high, strict=True)):
                raise ArgumentError(
                    f"the profile {self} is not in order: batch, height and width must be at least "
                    "1 and go from min over opt to max"
                )

    @classmethod
    def parse(cls, minimum: str, optimum: str, maximum: str) -> Self:
        """Read three shapes; ArgumentError if one is malformed, or they are not in order."""
        return cls(Shape.parse(minimum), Shape.parse(optimum), Shape.parse(maximum))

    def check_fits(
        self, *, multiple_of: int, scale: int, channels: int, halo: int = 0, phase: int = 1
    ) -> None:
        """Raise ArgumentError if the model does not take these shapes, or its tiles do not fit.

        Args:
            channels: Of the output.
            halo: As in `plan_tiles`, like `phase`; the defaults if they are not known yet.
        """
        for name, shape in (("min", self.min), ("opt", self.opt), ("max", self.max)):
            if shape.height % multiple_of or shape.width % multiple_of:
                raise ArgumentError(
                    f"--{name} {shape}: the model takes heights and widths that are multiples of "
                    f"{multiple_of}"
                )
        least = -(-(2 * halo + math.lcm(multiple_of, phase)) // multiple_of) * multiple_of
        if min(self.max.height, self.max.width) < least:
            raise ArgumentError(
                f"--max {self.max} leaves no room for the model's halo of {halo} on both sides: "
                f"its tiles must be {least}x{least} or larger"
            )
        values = math.prod(self.max) * scale**2 * channels
        if values > MAX_VALUES:
            raise ArgumentError(
                f"--max {self.max} gives an output of {values:,} values, and a tensor has at most "
                f"{MAX_VALUES:,}: take smaller batches or tiles"
            )

    def __str__(self) -> str:
        return f"--min {self.min} --opt {self.opt} --max {self.max}"


# Four of the largest, not eight: with eight RRDBNet ×4 has tensors of 2³¹ values, and a convolution
# takes at most 2³¹ - 1 (https://github.com/NVIDIA/TensorRT/issues/4123).
DEFAULT_PROFILE = Profile(Shape(1, 64, 64), Shape(4, 256, 256), Shape(4, 512, 512))

DEFAULT_LEVEL = 3  # TensorRT's own


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """The builder's options; ArgumentError for a value outside its range."""

    kind: Kind = "tensorrt"
    """The library that builds and runs it."""
    profile: Profile = DEFAULT_PROFILE
    """The shapes that the engine takes."""
    compute_capabilities: tuple[str, ...] = ()
    """Only for TensorRT for RTX: the GPUs that it runs on, "8.9" for instance, or just "all".
    Empty: 8.0 and newer. An engine is one program for all of its GPUs, so with 7.5 among them, the
    newer ones run what was made for 7.5. TensorRT builds for the GPU that it builds on."""
    workspace: int | None = None
    """Limit in bytes of GPU memory for a layer's scratch space; None: all of the GPU's."""
    level: int = DEFAULT_LEVEL
    """Only for TensorRT: how long the builder searches, 0 to 5."""
    version_compatible: bool = False
    """Only for TensorRT: whether the plan also runs in its later versions and its lean runtime; a
    bit slower."""
    hardware_compatible: HardwareCompatible = "none"
    """Only for TensorRT: the GPUs that the plan runs on. "none": the same model; "ampere+": compute
    capability 8.0 and above; "same": the same compute capability."""

    def __post_init__(self) -> None:
        for name, known in (("kind", Kind), ("hardware_compatible", HardwareCompatible)):
            if (value := getattr(self, name)) not in get_args(known):
                raise ArgumentError(
                    f"{name} {shown(value)} is none of {', '.join(get_args(known))}"
                )
        capabilities = self.compute_capabilities
        # By repr, because 8.6 without quotes is a mistake that callers make.
        named = [re.fullmatch(r"'\d+\.\d'", repr(one)) for one in capabilities]
        if capabilities != ("all",) and not all(named):
            raise ArgumentError(
                f"compute_capabilities {shown(capabilities)} are not like "
                '("8.6", "8.9"), and not ("all",)'
            )
        if not 0 <= self.level <= 5:
            raise ArgumentError(f"level {self.level} is outside 0 to 5")
        if self.workspace is not None and not 1 << 20 <= self.workspace <= 1 << 40:
            raise ArgumentError(
                f"a workspace of {self.workspace} bytes is outside 1 MB to 1 TB: give 4G for "
                "instance, or leave it out"
            )
        if self.kind == "tensorrt" and self.compute_capabilities:
            raise ArgumentError(
                "TensorRT builds for the GPU that it builds on: leave --sm out, or build with "
                "--for rtx"
            )
        if self.kind == "tensorrt-rtx":
            for option, given in (
                (f"--level {self.level}", self.level != DEFAULT_LEVEL),
                ("--version-compatible", self.version_compatible),
                ("--hardware-compatible", self.hardware_compatible != "none"),
            ):
                if given:
                    raise ArgumentError(
                        f"TensorRT for RTX has no {option}: leave it out, or build with "
                        "--for tensorrt"
                    )


def parse_sm(text: str) -> tuple[str, ...]:
    """Read "75,89" as 7.5 and 8.9, and "all"; ArgumentError for anything else."""
    if text.strip().lower() == "all":
        return ("all",)
    numbers = [re.fullmatch(r"(\d{1,2})\.?(\d)", part.strip()) for part in text.split(",")]
    if None in numbers:
        raise ArgumentError(
            f"--sm {shown(text)} is not a list of compute capabilities: give 75,86,89,120 or all, "
            "for instance"
        )
    return tuple(f"{number[1]}.{number[2]}" for number in numbers if number)


def sm_text(compute_capabilities: Iterable[str]) -> str:
    """Compute capabilities as `--sm` writes them: "75,80" for 7.5 and 8.0."""
    return ",".join(one.replace(".", "") for one in compute_capabilities)


def cards_text(compute_capabilities: Iterable[str]) -> str:
    """The GPUs by name: "GeForce RTX 50 and RTX PRO Blackwell (12.0); DGX Spark (12.1)"."""
    return "; ".join(
        f"{CARDS[one]} ({one})" if one in CARDS else one for one in compute_capabilities
    )


def tensor_shape(shape: Shape, info: ModelInfo) -> tuple[int, int, int, int]:
    """The shape of a model's input tensor, laid out as `info.io` says."""
    batch, height, width = shape
    if info.io == "uint8":
        return batch, height, width, info.in_channels
    return batch, info.in_channels, height, width

"""What an export reports: measured values against their limits, and the facts of what it wrote."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sr_runtime.backends.tensorrt.engine_file import EngineInfo
from sr_runtime.errors import ModelError

__all__ = [
    "DEFAULT_OPSET",
    "OPSETS",
    "CatalogueRow",
    "Check",
    "EngineReport",
    "ExportReport",
    "Precision",
    "TritonVersion",
    "VerificationError",
    "table",
]

# Here, and not beside the exporter, because the command line names them without importing torch.
Precision = Literal["fp32", "fp16"]
DEFAULT_OPSET = 18
# The versions that torch's exporter writes itself, without converting the model afterwards.
OPSETS = range(18, 26)


@dataclass(frozen=True)
class Check:
    """One measured value against its limit."""

    name: str
    value: float
    limit: float
    at_least: bool = False
    """The limit is the smallest value that passes, not the largest."""
    hint: str = ""
    """Where the fault is, or what to do about it, if the check fails."""
    fault: str = "the model does not match its checkpoint"
    """What it means if the check fails."""

    @property
    def side(self) -> str:
        """The words before the limit: values on this side of it pass."""
        return "at least" if self.at_least else "at most"

    @property
    def passed(self) -> bool:
        """Whether the value keeps its limit; NaN never does."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit


class VerificationError(ModelError):
    """An exported model does not compute what its checkpoint does, or half is not enough for it."""

    def __init__(self, checks: Sequence[Check], failed: Check, *, path: Path | None = None) -> None:
        super().__init__(
            f"{failed.fault}: {failed.name} is {failed.value:.3g} instead of {failed.side} "
            f"{failed.limit:g}; {failed.hint}",
            path=path,
        )
        self.checks = tuple(checks)
        """All checks, including those that passed."""


@dataclass(frozen=True, kw_only=True)
class ExportReport:
    """An ONNX file that was written and verified."""

    output: Path
    """The file."""
    bytes: int
    """Its size."""
    arch: str
    """Name of the network, "RRDBNet" for instance."""
    scale: int
    """Output side over input side."""
    parameters: int
    """Number of weights."""
    halo: int
    """LR pixels of context at which tiles match the whole image within 1/255."""
    receptive_radius: int | None
    """LR pixels of context that the network can see; None if it sees the whole image, or it is
    not known."""
    phase: int
    """Tiles start on multiples of this."""
    tile_error: int
    """Largest difference in 1/255 seen between tiles with that halo and the whole image."""
    tile_size: int | None
    """The only height and width that the file takes; None: any."""
    checks: tuple[Check, ...]
    """What was measured in verification."""
    seconds: Mapping[str, float]
    """How long each stage took, in the order in which they ran."""


@dataclass(frozen=True, kw_only=True)
class CatalogueRow:
    """What became of one checkpoint of a folder. Where it failed, there are no facts."""

    file: str
    """The checkpoint, in its folder."""
    sha256: str
    """Of its content, by which it is known again."""
    made_by: str
    """The options, and the versions of sr-toolkit and spandrel."""
    failed: str | None = None
    """Why it was not exported; None if it was."""
    model: str | None = None
    """The ONNX file, in the folder of the exports."""
    arch: str | None = None
    """Name of the network."""
    scale: int | None = None
    """Output side over input side."""
    parameters: int | None = None
    """Number of weights."""
    tile_size: int | None = None
    """The only height and width that the file takes; None: any."""
    halo: int | None = None
    """LR pixels of context that tiles need."""
    phase: int | None = None
    """Tiles start on multiples of this."""
    tile_error: int | None = None
    """Largest difference in 1/255 seen between tiles and the whole image."""
    bytes: int | None = None
    """Size of the ONNX file."""
    seconds: float | None = None
    """How long the export took."""


@dataclass(frozen=True, kw_only=True)
class EngineReport:
    """An engine that was written and verified, with its facts in JSON beside it."""

    output: Path
    """The engine."""
    bytes: int
    """Its size."""
    info: EngineInfo
    """The facts stored beside it: the model, the profile, the GPUs, the version of TensorRT."""
    checks: tuple[Check, ...]
    """What was measured in verification."""
    not_run: str | None
    """Why only the graph was verified and the engine itself was not run; None if it was run."""
    seconds: Mapping[str, float]
    """How long each stage took, in the order in which they ran."""


@dataclass(frozen=True, kw_only=True)
class TritonVersion:
    """A version of a model in a repository of Triton Inference Server."""

    folder: Path
    """The version's folder, `repository/sr_x4/2` for instance."""
    server_command: str
    """The command that starts a server with this repository."""


def table(checks: Sequence[Check]) -> list[str]:
    """The checks as aligned lines."""
    width = max(len(check.name) for check in checks)
    return [
        f"{check.name:<{width}}  {check.value:>9.3g}  {check.side} {check.limit:<7.4g}  "
        f"{'ok' if check.passed else 'FAILED'}"
        for check in checks
    ]

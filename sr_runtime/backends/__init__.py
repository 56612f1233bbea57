"""The engines that run a model file, behind one Protocol; and which of them work here."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from sr_runtime.embedded import EMBEDDED
from sr_runtime.errors import ArgumentError, BackendError, ModelError
from sr_runtime.model_info import ModelInfo

if TYPE_CHECKING:
    from sr_runtime.backends.onnxruntime import OnnxRuntimeBackend
    from sr_runtime.backends.openvino import OpenVINOBackend

__all__ = [
    "BACKENDS",
    "Backend",
    "Handle",
    "Limits",
    "devices",
    "open_backend",
    "precisions",
    "unavailable",
    "usable_backend",
]

# The fastest first: `auto` takes the first one that works.
BACKENDS = ("openvino", "onnxruntime")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What shapes a backend takes."""

    min_tile: tuple[int, int] = (1, 1)
    """Smallest input (height, width)."""
    max_tile: tuple[int, int] | None = None
    """Largest input (height, width); None: only memory limits it."""
    batch: int = 1
    """Tiles to submit at once."""
    fixed_batch: bool = False
    """Every batch must have exactly `batch` tiles."""
    depth: int = 1
    """How many batches may be in flight."""
    tile_step: int = 8
    """Sides of tiles differ by multiples of this, so that images of many sizes share shapes."""
    shape_cost: int = 0
    """What preparing a new input shape costs, in LR pixels of inference."""


class Handle(Protocol):
    """One submitted batch."""

    def result(self) -> NDArray[Any]:
        """Wait for the output, laid out as `ModelInfo.io` says; valid until the next submit.

        Raises OutOfMemoryError, NonFiniteError (uint8 models) or what else befell this batch.
        """


class Backend(Protocol):
    """One opened model. Not safe for several threads: the Upscaler holds a lock."""

    name: str
    device: str
    compute_dtype: str
    info: ModelInfo
    limits: Limits

    def submit(self, batch: NDArray[Any]) -> Handle:
        """Start inference of a batch laid out as `ModelInfo.io` says.

        At most `limits.depth` handles may be without their result taken.
        """

    def close(self) -> None:
        """Release the engine; handles still in flight are waited for."""


def unavailable(name: str) -> str | None:
    """Why backend `name` does not work here, in one sentence; None if it does."""
    try:
        _backend_class(name)
    except ModuleNotFoundError as error:
        return f'{error.name} is not installed: pip install "sr-toolkit[cpu]"'
    except ImportError as error:
        return str(error)
    return None


def usable_backend(name: str) -> str:
    """`name` if that backend works here, the fastest one that does for "auto".

    Raises:
        ArgumentError: There is no backend of that name.
        BackendError: It does not work here; the message names what to install.
    """
    if name == "auto":
        reasons = []
        for candidate in BACKENDS:
            reason = unavailable(candidate)
            if reason is None:
                return candidate
            reasons.append(f"{candidate}: {reason}")
        raise BackendError(f"no inference engine works here: {'; '.join(reasons)}")
    if name not in BACKENDS:
        raise ArgumentError(f"backend {name!r} is none of auto, {', '.join(BACKENDS)}")
    if reason := unavailable(name):
        raise BackendError(f"backend {name} does not work here: {reason}")
    return name


def devices(name: str) -> tuple[str, ...]:
    """The devices on which usable backend `name` runs here, the fastest first."""
    return _backend_class(name).devices()


def precisions(name: str) -> tuple[str, ...]:
    """The precisions in which usable backend `name` computes here, the fastest first."""
    return _backend_class(name).precisions()


def open_backend(name: str, model: Path, *, device: str, precision: str) -> Backend:
    """Open `model` in usable backend `name`, on one of its devices, in one of its precisions.

    Raises:
        ModelError: The file is no super-resolution model.
    """
    if not model.is_file():
        raise ModelError(
            f"{model}: there is no such model file; the package carries {' and '.join(EMBEDDED)}"
        )
    try:
        return _backend_class(name)(model, device=device, precision=precision)
    except ModelError as error:
        raise ModelError(f"{model}: {error}") from error


def _backend_class(name: str) -> "type[OpenVINOBackend] | type[OnnxRuntimeBackend]":
    """The only place where engines are imported; ImportError where one is not installed."""
    match name:
        case "openvino":
            from sr_runtime.backends.openvino import OpenVINOBackend

            return OpenVINOBackend
        case "onnxruntime":
            from sr_runtime.backends.onnxruntime import OnnxRuntimeBackend

            return OnnxRuntimeBackend
    raise AssertionError(name)

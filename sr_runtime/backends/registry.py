"""The engines that run a model file, behind one Protocol; and which of them work here."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from sr_runtime.backends.base import Backend, Limits, PendingBatch, infer
from sr_runtime.errors import ArgumentError, BackendError, ModelError, SRError

if TYPE_CHECKING:
    from sr_runtime.backends.onnxruntime.cpu import OnnxRuntimeBackend
    from sr_runtime.backends.onnxruntime.cuda import OnnxRuntimeCudaBackend
    from sr_runtime.backends.openvino import OpenVINOBackend
    from sr_runtime.backends.tensorrt.backend import TensorRTBackend

__all__ = [
    "BACKENDS",
    "Backend",
    "Limits",
    "PendingBatch",
    "choose",
    "devices",
    "infer",
    "open_backend",
    "precisions",
    "unavailable",
    "usable_backend",
]

# And on which kind of devices each runs, the faster kind first.
BACKENDS = {
    "tensorrt": ("cuda",),
    "openvino": ("cpu",),
    "onnxruntime": ("cuda", "cpu"),
}

# What `auto` takes the first of that works: for an engine, and for an ONNX file, of which TensorRT
# would first have to build one, for minutes.
FOR_ENGINES = (("tensorrt", "cuda"),)
FOR_ONNX = (("onnxruntime", "cuda"), ("openvino", "cpu"), ("onnxruntime", "cpu"))

ENGINE_SUFFIXES = (".engine", ".plan")

EXTRAS = {
    ("openvino", "cpu"): "cpu",
    ("onnxruntime", "cpu"): "cpu",
    ("onnxruntime", "cuda"): "gpu",
    ("tensorrt", "cuda"): "tensorrt",
}


def unavailable(name: str) -> str | None:
    """Why backend `name` does not work here, in one sentence; None if it does."""
    reasons = [no_device(name, kind) for kind in BACKENDS[name]]
    return None if None in reasons else "; ".join(filter(None, reasons))


def no_device(name: str, kind: str) -> str | None:
    """Why backend `name` has no device of a kind ("cpu" or "cuda") here; None if it has."""
    try:
        _devices(name, kind)
    except BackendError as error:
        return str(error)
    return None


def usable_backend(name: str, device: str = "cpu") -> str:
    """`name` if that backend works here, the fastest one that does for "auto".

    Raises:
        ArgumentError: There is no backend of that name.
        BackendError: It does not work here; the message names what to install.
    """
    return choose(name, device)[0]


def choose(name: str, device: str, model: Path | None = None) -> tuple[str, str]:
    """The backend and the device, or several, that are meant by a caller's two words.

    Args:
        name: One of `BACKENDS`, or "auto": the fastest one that works here and takes the model.
        device: "cpu", "cuda:0", "cuda" for the same, "cuda:0,cuda:1" for several, or "auto": the
            fastest one, a GPU before the CPU.
        model: The file that is to be run, if not any ONNX file.

    Raises:
        ArgumentError: There is no backend or device of that name.
        BackendError: It does not work here; the message names what to install.
    """
    if name not in ("auto", *BACKENDS):
        raise ArgumentError(f"backend {name!r} is none of auto, {', '.join(BACKENDS)}")
    from sr_runtime.backends.cuda import memory as cuda_memory

    wanted = _device_names(device)
    engine = model is not None and model.suffix.lower() in ENGINE_SUFFIXES
    if engine and name not in ("auto", "tensorrt"):
        raise ArgumentError(
            f"{model} is a TensorRT engine, and backend {name} runs ONNX files: leave the backend "
            "out, or give the ONNX file"
        )
    if name != "auto":
        candidates = tuple((name, kind) for kind in BACKENDS[name])
    else:
        candidates = FOR_ENGINES if engine else FOR_ONNX
    reasons = []
    for candidate, kind in candidates:
        if wanted and not wanted[0].startswith(kind):
            continue
        try:
            if not wanted and kind == "cuda" and (reason := cuda_memory.missing()):
                raise BackendError(reason)  # found before an engine is imported for nothing
            offered = _devices(candidate, kind)
        except BackendError as error:
            reasons.append(f"{candidate}: {error}")
            continue
        if set(wanted) <= set(offered):
            return candidate, ",".join(wanted or offered[:1])
        reasons.append(f"{candidate} runs here on {' and '.join(offered)}")
    if not reasons:
        reasons = [f"backend {one} runs on {' and '.join(BACKENDS[one])}" for one, _ in candidates]
    if wanted:
        raise BackendError(f"device {device} is not to be had: {'; '.join(reasons)}")
    if engine:
        raise BackendError(
            f"{model} is a TensorRT engine, which cannot run here: {'; '.join(reasons)}; give the "
            "ONNX file instead"
        )
    what = "no inference engine works" if name == "auto" else f"backend {name} does not work"
    raise BackendError(f"{what} here: {'; '.join(reasons)}")


def devices(name: str) -> tuple[str, ...]:
    """The devices on which backend `name` runs here, the fastest first."""
    kinds = [kind for kind in BACKENDS[name] if no_device(name, kind) is None]
    return tuple(device for kind in kinds for device in _devices(name, kind))


def precisions(name: str, device: str = "cpu") -> tuple[str, ...]:
    """The precisions in which usable backend `name` computes on a device, the fastest first.

    On a GPU the model's file decides between them.
    """
    return _backend_class(name, _kind(device)).precisions()


def open_backend(name: str, model: Path, *, device: str, precision: str) -> Backend:
    """Open `model` in usable backend `name`, on one of its devices or on several.

    Args:
        device: As `choose` gives it.
        precision: One of its precisions there, or "auto".

    Raises:
        ModelError: The file is no super-resolution model.
        BackendError: The precision is not to be had.
    """
    kind = _kind(device)
    cls = _backend_class(name, kind)
    offered = cls.precisions()
    if precision not in ("auto", *offered):
        raise BackendError(
            f"precision {precision} is not to be had: backend {name} offers "
            f"{' and '.join(offered)} on {device}"
        )
    if precision == "auto" and (kind == "cpu" or len(offered) == 1):
        precision = offered[0]
    opened: list[Backend] = []
    try:
        for one in device.split(","):
            opened += [cls(model, device=one, precision=precision)]
    except SRError as error:
        for backend in opened:
            backend.close()
        if isinstance(error, ModelError):
            raise ModelError(f"{model}: {error}") from error
        raise
    if len(opened) == 1:
        return opened[0]
    from sr_runtime.backends.multi_device import MultiDeviceBackend

    return MultiDeviceBackend(opened)


def _device_names(device: str) -> tuple[str, ...]:
    """The names in "cuda,cuda:1", none in "auto"; ArgumentError for what is no device."""
    if device == "auto":
        return ()
    names = tuple(re.sub(r"^cuda$", "cuda:0", name.strip()) for name in device.split(","))
    gpus = all(re.fullmatch(r"cuda:\d+", name) for name in names)
    if gpus and len(set(names)) < len(names):
        raise ArgumentError(f"device {device!r} has one GPU twice: name each once")
    if not (gpus or names == ("cpu",)):
        raise ArgumentError(
            f"device {device!r} is none of auto, cpu, cuda, cuda:N, and several GPUs, "
            "cuda:0,cuda:1 for instance"
        )
    return names


def _kind(device: str) -> str:
    return "cpu" if device == "cpu" else "cuda"


def _devices(name: str, kind: str) -> tuple[str, ...]:
    """At least one; BackendError with the reason where there is none."""
    try:
        return _backend_class(name, kind).devices()
    except ModuleNotFoundError as error:
        raise BackendError(
            f'{error.name} is not installed: pip install "sr-toolkit[{EXTRAS[name, kind]}]"'
        ) from error
    except ImportError as error:
        raise BackendError(str(error)) from error


def _backend_class(
    name: str, kind: str
) -> "type[OpenVINOBackend | OnnxRuntimeBackend | OnnxRuntimeCudaBackend | TensorRTBackend]":
    """The only place where engines are imported; ImportError where one is not installed."""
    match name, kind:
        case "openvino", "cpu":
            from sr_runtime.backends.openvino import OpenVINOBackend

            return OpenVINOBackend
        case "onnxruntime", "cpu":
            from sr_runtime.backends.onnxruntime.cpu import OnnxRuntimeBackend

            return OnnxRuntimeBackend
        case "onnxruntime", "cuda":
            from sr_runtime.backends.onnxruntime.cuda import OnnxRuntimeCudaBackend

            return OnnxRuntimeCudaBackend
        case "tensorrt", "cuda":
            from sr_runtime.backends.tensorrt.backend import TensorRTBackend

            return TensorRTBackend
    raise AssertionError((name, kind))

"""The table of backends, the choice between them, and how a model is opened in one.

To add a backend, add a row to `BACKENDS` (docs/add-a-backend.md).
"""

import importlib
import re
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sr_runtime.backends.base import Backend, DeviceBackend
from sr_runtime.backends.cuda import driver
from sr_runtime.backends.multi_device import MultiDeviceBackend
from sr_runtime.backends.onnx_metadata import is_fp16_onnx, require_data_files
from sr_runtime.backends.tensorrt.engine_file import read_facts
from sr_runtime.errors import ArgumentError, BackendError, ModelError, about, require_extra

__all__ = ["BACKENDS", "BackendRow", "choose", "is_engine", "names", "open_backend", "rows"]

ENGINE_SUFFIXES = (".engine", ".plan")

# What a device's name begins with.
Kind = Literal["cpu", "cuda", "webgpu", "gpu", "npu"]

# "plugin:openvino" is a backend too: an execution provider that ONNX Runtime loads from a library.
PLUGIN = "plugin:"
PLUGIN_KINDS: tuple[Kind, ...] = ("gpu", "npu", "cpu")

# "fp16 onnx": exported by this project, with FP16 weights. "onnx": any other.
FileType = Literal["onnx", "fp16 onnx", "tensorrt engine", "tensorrt-rtx engine"]


@dataclass(frozen=True, kw_only=True)
class BackendRow:
    """One backend on one kind of device."""

    name: str
    """The name users give it; a backend for several kinds of devices has a row for each."""
    kind: Kind
    """The kind of device it runs on."""
    opens: str
    """Its `DeviceBackend`, as "module:class". The module imports the engine's library, so it is
    imported only when the row is used."""
    extra: str
    """The extra of sr-toolkit that installs the library."""
    hardware: str
    """What it is for, in the words of someone who buys hardware."""
    tested: str
    """Where it was tested, as "tested …" goes on."""
    auto: tuple[FileType, ...] = ()
    """The files for which "auto" takes it. Each backend runs every ONNX file that suits it when it
    is named, and no engines but these."""

    def load(self) -> type[DeviceBackend]:
        """Import its class; BackendError names what to install if that fails."""
        module, _, name = self.opens.partition(":")
        with require_extra(self.extra):
            found = getattr(importlib.import_module(module), name)
        cls: type[DeviceBackend] = found(self.name, self.kind) if self.is_plugin else found
        return cls

    @property
    def is_plugin(self) -> bool:
        """A plug-in's class is made for its name and kind: `opens` is a function that does it."""
        return self.name.startswith(PLUGIN)


# In order of preference: "auto" takes the first row that works. TensorRT is not among those for
# ONNX files because it would have to build an engine first, which takes minutes; TensorRT for RTX
# takes seconds, but only for FP16 files: another precision is never put in the file's place.
BACKENDS = (
    BackendRow(
        name="tensorrt-rtx",
        kind="cuda",
        opens="sr_runtime.backends.tensorrt.rtx:TensorRTForRTXBackend",
        extra="rtx",
        hardware="NVIDIA GeForce RTX and RTX PRO",
        tested="with real engines in a simulation of what runs them; on no GPU yet",
        auto=("tensorrt-rtx engine", "fp16 onnx"),
    ),
    BackendRow(
        name="tensorrt",
        kind="cuda",
        opens="sr_runtime.backends.tensorrt.backend:TensorRTBackend",
        extra="tensorrt",
        hardware="NVIDIA data centre GPUs, any since Turing",
        tested="in a simulation of TensorRT 10 and 11 and CUDA; on no GPU yet",
        auto=("tensorrt engine",),
    ),
    BackendRow(
        name="onnxruntime",
        kind="cuda",
        opens="sr_runtime.backends.onnxruntime.cuda:OnnxRuntimeCudaBackend",
        extra="gpu",
        hardware="NVIDIA GPUs, any since Turing",
        tested="in a simulation of CUDA, with its CPU provider; on no GPU yet",
        auto=("fp16 onnx", "onnx"),
    ),
    BackendRow(
        name="webgpu",
        kind="webgpu",
        opens="sr_runtime.backends.onnxruntime.webgpu:WebGpuBackend",
        extra="webgpu",
        hardware="AMD, Intel and Apple GPUs, and NVIDIA GPUs without CUDA",
        tested="with SwiftShader, which emulates a GPU on the CPU and has no fp16; on no GPU yet",
        auto=("fp16 onnx", "onnx"),
    ),
    BackendRow(
        name="openvino",
        kind="cpu",
        opens="sr_runtime.backends.openvino:OpenVINOBackend",
        extra="cpu",
        hardware="Intel and AMD CPUs",
        tested="on AMD EPYC with AVX512-BF16",
        auto=("fp16 onnx", "onnx"),
    ),
    BackendRow(
        name="onnxruntime",
        kind="cpu",
        opens="sr_runtime.backends.onnxruntime.cpu:OnnxRuntimeBackend",
        extra="cpu",
        hardware="any CPU",
        tested="on AMD EPYC",
        auto=("fp16 onnx", "onnx"),
    ),
)

KINDS = tuple(dict.fromkeys(row.kind for row in BACKENDS))


def names(kind: str | None = None) -> tuple[str, ...]:
    """The backends' names; with `kind`, of those that run on such devices."""
    return tuple(dict.fromkeys(row.name for row in BACKENDS if kind in (None, row.kind)))


def rows(name: str) -> tuple[BackendRow, ...]:
    """The rows of a backend, one for each kind of device; a plug-in is not in the table."""
    if name.startswith(PLUGIN):
        return tuple(
            BackendRow(
                name=name,
                kind=kind,
                opens="sr_runtime.backends.onnxruntime.plugin:plugin_backend",
                extra="cpu",
                hardware="whatever the plug-in is for",
                tested="with the plug-in for WebGPU",
            )
            for kind in PLUGIN_KINDS
        )
    return tuple(row for row in BACKENDS if row.name == name)


def choose(name: str, device: str, model: Path | None = None) -> tuple[str, str]:
    """Turn what a caller asks for into a backend and a device that work here.

    Nothing is substituted: asking for something that is not available is an error.

    Args:
        name: A backend; "plugin:NAME", a plug-in of ONNX Runtime by its wheel's name or its
            library's path; or "auto": the fastest that works here and takes the model.
        device: "cpu"; a kind and a number, "cuda:0" or "webgpu:0", or the kind alone for the
            first; several of a kind, "cuda:0,cuda:1"; or "auto": the fastest, a GPU before the CPU.
        model: The file to run; None: any ONNX file.

    Raises:
        ArgumentError: There is no backend or device of that name.
        BackendError: It does not work here; the message says why and names what to install.
        ModelError: The file is an engine without its facts.
    """
    file = _file_type(model)
    candidates = _candidates(name, file, model)
    wanted = _device_names(device, PLUGIN_KINDS if name.startswith(PLUGIN) else KINDS)
    reasons = []
    for row in candidates:
        if wanted and _kind(wanted[0]) != row.kind:
            continue
        try:
            # Check for a GPU before importing a library.
            if not wanted and row.kind == "cuda":
                driver.device_names()
            backend = row.load()
            if name == "auto" and not wanted:
                backend.check_auto()
            offered = backend.devices()
        except BackendError as error:
            reasons.append(f"{row.name}: {error}")
            continue
        if set(wanted) <= set(offered):
            return row.name, ",".join(wanted or offered[:1])
        reasons.append(f"{row.name} runs here on {' and '.join(offered)}")
    if not reasons:
        reasons = [f"backend {row.name} runs on {row.kind}" for row in candidates]
    why = "; ".join(dict.fromkeys(reasons))
    if file.endswith("engine"):
        where = f"on {device}" if wanted else "here"
        raise BackendError(
            f"this is a {file}, which does not run {where}: {why}: give the ONNX file instead",
            path=model,
        )
    if wanted:
        raise BackendError(f"device {device} is not available here: {why}")
    what = "no backend works" if name == "auto" else f"backend {name} does not work"
    raise BackendError(f"{what} here: {why}")


def _candidates(name: str, file: FileType, model: Path | None) -> tuple[BackendRow, ...]:
    """The rows to try; ArgumentError if there is no such backend, or it does not run the file."""
    if name == "auto":
        return tuple(row for row in BACKENDS if file in row.auto)
    found = rows(name)
    if not found:
        raise ArgumentError(f"backend {name!r} is none of auto, {', '.join(names())}, plugin:NAME")
    if file.endswith("engine") and not any(file in row.auto for row in found):
        raise ArgumentError(
            f"this is a {file}, which backend {name} does not run: leave the backend out, or give "
            "the ONNX file",
            path=model,
        )
    return found


def open_backend(name: str, model: Path, *, device: str, precision: str) -> Backend:
    """Open `model` in backend `name` on one of its devices, or on several that share the work.

    Args:
        device: As `choose` returns it.
        precision: One of the backend's precisions there, or "auto".

    Raises:
        ModelError: The file is not a super-resolution model.
        BackendError: The precision is not available.
    """
    row = next(row for row in rows(name) if row.kind == _kind(device))
    cls = row.load()
    offered = cls.precisions()
    if precision not in ("auto", *offered):
        raise BackendError(
            f"precision {precision} is not available: backend {name} offers "
            f"{' and '.join(offered)} on {device}"
        )
    # With several, the precision may depend on the file, which only the backend can read.
    if precision == "auto" and len(offered) == 1:
        precision = offered[0]
    backends: list[Backend] = []
    with about(model), ExitStack() as opened:
        for one in device.split(","):
            try:
                backends.append(cls(model, device=one, precision=precision))
            except ModelError:
                if not is_engine(model):
                    require_data_files(model)  # what engines say of these is hard to read
                raise
            opened.callback(backends[-1].close)
        opened.pop_all()
    return backends[0] if len(backends) == 1 else MultiDeviceBackend(backends)


def is_engine(model: Path) -> bool:
    """Whether a file is an engine, by its name."""
    return model.suffix.lower() in ENGINE_SUFFIXES


def _file_type(model: Path | None) -> FileType:
    """What a file is. For an engine its facts tell; ModelError if it has none."""
    if model is None:
        return "onnx"
    if is_engine(model):
        rtx = read_facts(model).kind == "tensorrt-rtx"
        return "tensorrt-rtx engine" if rtx else "tensorrt engine"
    return "fp16 onnx" if is_fp16_onnx(model) else "onnx"


def _kind(device: str) -> str:
    return device.partition(":")[0]


def _device_names(device: str, kinds: Iterable[Kind]) -> tuple[str, ...]:
    """The names in "cuda,cuda:1", none in "auto"; ArgumentError for anything but such `kinds`."""
    if device == "auto":
        return ()
    numbered = [kind for kind in kinds if kind != "cpu"]
    devices = tuple(
        f"{name}:0" if name in numbered else name for name in map(str.strip, device.split(","))
    )
    kind = _kind(devices[0])
    gpus = kind in numbered and all(re.fullmatch(rf"{kind}:\d+", name) for name in devices)
    if gpus and len(set(devices)) < len(devices):
        raise ArgumentError(f"device {device!r} names a device twice: name each once")
    if not (gpus or devices == ("cpu",)):
        raise ArgumentError(
            f"device {device!r} is none of auto, cpu, "
            f"{', '.join(f'{kind}, {kind}:N' for kind in numbered)}, or several of a kind such as "
            f"{numbered[0]}:0,{numbered[0]}:1"
        )
    return devices

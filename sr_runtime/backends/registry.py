"""The table of backends: what each is for, which files it opens, and where its code is.

To add a backend, add a row to `BACKENDS` (docs/add-a-backend.md). `choice.py` picks one of them.
"""

import importlib
from dataclasses import dataclass
from typing import Literal

from sr_runtime.backends.base import DeviceBackend
from sr_runtime.errors import require_extra

__all__ = ["BACKENDS", "BackendRow", "FileType", "Kind", "kinds", "names", "rows"]

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
    auto: tuple[FileType, ...] = ()
    """The files for which "auto" takes it. When it is named, it runs these engines too, and every
    ONNX file that suits it."""

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
        auto=("tensorrt-rtx engine", "fp16 onnx"),
    ),
    BackendRow(
        name="tensorrt",
        kind="cuda",
        opens="sr_runtime.backends.tensorrt.backend:TensorRTBackend",
        extra="tensorrt",
        hardware="NVIDIA data centre GPUs, any since Turing",
        auto=("tensorrt engine",),
    ),
    BackendRow(
        name="onnxruntime",
        kind="cuda",
        opens="sr_runtime.backends.onnxruntime.cuda:OnnxRuntimeCudaBackend",
        extra="gpu",
        hardware="NVIDIA GPUs, any since Turing",
        auto=("fp16 onnx", "onnx"),
    ),
    BackendRow(
        name="webgpu",
        kind="webgpu",
        opens="sr_runtime.backends.onnxruntime.webgpu:WebGpuBackend",
        extra="webgpu",
        hardware="AMD, Intel and Apple GPUs, and NVIDIA GPUs without CUDA",
        auto=("fp16 onnx", "onnx"),
    ),
    BackendRow(
        name="openvino",
        kind="cpu",
        opens="sr_runtime.backends.openvino:OpenVINOBackend",
        extra="cpu",
        hardware="Intel and AMD CPUs",
        auto=("fp16 onnx", "onnx"),
    ),
    BackendRow(
        name="onnxruntime",
        kind="cpu",
        opens="sr_runtime.backends.onnxruntime.cpu:OnnxRuntimeBackend",
        extra="cpu",
        hardware="any CPU",
        auto=("fp16 onnx", "onnx"),
    ),
)


def names(kind: str | None = None) -> tuple[str, ...]:
    """The backends' names; with `kind`, of those that run on such devices."""
    return tuple(dict.fromkeys(row.name for row in BACKENDS if kind in (None, row.kind)))


def rows(name: str) -> tuple[BackendRow, ...]:
    """The rows of a backend, one for each kind of device; a plug-in is not in the table."""
    if name.startswith(PLUGIN) and name != PLUGIN:
        return tuple(
            BackendRow(
                name=name,
                kind=kind,
                opens="sr_runtime.backends.onnxruntime.plugin:plugin_backend",
                extra="cpu",
                hardware="whatever the plug-in is for",
            )
            for kind in PLUGIN_KINDS
        )
    return tuple(row for row in BACKENDS if row.name == name)


def kinds(name: str) -> tuple[Kind, ...]:
    """The kinds of devices that a caller of this backend, or of "auto", can name."""
    if name.startswith(PLUGIN):
        return PLUGIN_KINDS
    return tuple(dict.fromkeys(row.kind for row in BACKENDS))

"""WebGPU by ONNX Runtime's plug-in: GPUs of every maker through Vulkan, Direct3D 12 or Metal.

It computes in the precision of the file, or in FP32 where the adapter has no f16.
"""

import functools
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime_ep_webgpu  # noqa: F401 - a missing package is reported by its name
from numpy.typing import NDArray

from sr_runtime.backends.onnx_fp32 import FLOAT16, fp32_from_fp16
from sr_runtime.backends.onnx_metadata import EXPORT_FP16
from sr_runtime.backends.onnxruntime.plugin import (
    PluginBackend,
    open_on,
    plugin_devices,
    turn_of,
)
from sr_runtime.backends.onnxruntime.vulkan import vulkan_adapters
from sr_runtime.backends.protobuf import message
from sr_runtime.errors import BackendError, StorageError

__all__ = ["WebGpuBackend"]

# WebGPU does not say how much memory there is. RRDBNet ×4 has tensors of 134 MB in FP16 at this
# size, which old and small GPUs hold; and a GPU that works on one kernel for two seconds is taken
# for hung.
TILE = 256

# The first is the default, named because info prints the adapter that it leads to. With less
# validation than "basic" a buffer that could not be allocated gives zeros, and no error (seen).
OPTIONS = {"powerPreference": "high-performance", "validationMode": "basic"}

SOFTWARE = "ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER=1"


class WebGpuBackend(PluginBackend):
    """One session. ONNX Runtime chooses the adapter, the same for all sessions of a process."""

    name = "webgpu"
    plugin = "webgpu"
    kind = "webgpu"
    options = OPTIONS

    @classmethod
    def found(cls) -> dict[str, Any]:
        if not (devices := plugin_devices(cls.plugin)):
            raise BackendError(
                f"the system lists no GPU (for an adapter in software set {SOFTWARE})"
            )
        # The plug-in lists every GPU of the machine, but runs on the adapter that it prefers,
        # whichever is named (its README).
        return {"webgpu:0": devices[0]}

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        _has_f16()  # an adapter opens
        return tuple(cls.found())

    @classmethod
    def precisions(cls) -> tuple[str, ...]:
        return ("fp16", "fp32") if _has_f16() else ("fp32",)

    @staticmethod
    def check_auto() -> None:
        if sys.platform == "linux" and (adapter := vulkan_adapters()[0]).software:
            raise BackendError(
                f"its only adapter, {adapter.name}, is a program on the CPU: name the backend to "
                "use it all the same"
            )

    def __init__(self, model: Path, *, device: str, precision: str) -> None:
        super().__init__(model, device=device, precision=precision)
        self.notes = (_adapter_name(self._device), *self.notes)
        self.limits = replace(self.limits, tile=TILE)

    def _outputs(self, batch: NDArray[Any]) -> list[NDArray[Any]]:
        try:
            return super()._outputs(batch)
        except BackendError as error:
            if "lost" not in str(error).lower():
                raise
            raise BackendError(
                f"the GPU was lost: its driver was reset, or it was unplugged ({error}): try "
                "again, with smaller tiles if the driver stops long work"
            ) from error

    def _as_computed(
        self, model: Path, weights: str, precision: str
    ) -> tuple[Path | bytes, str, tuple[str, ...]]:
        if precision == "fp16" and weights != "float16":
            raise BackendError(
                f"precision fp16 is not available: the file is fp32: export one: {EXPORT_FP16}"
            )
        if precision != "fp32":
            return super()._as_computed(model, weights, precision)
        try:
            data = model.read_bytes()
        except OSError as error:
            raise StorageError(f"cannot be read ({error.strerror or error})") from error
        twin = fp32_from_fp16(data)
        if twin == data:
            return model, "fp32", ()
        if self._input.dtype == "float16":
            self._input = self._input._replace(dtype="float32")
        reason = "" if _has_f16() else ", because the adapter has no f16"
        return twin, "fp32", (f"the file's fp16 weights are computed in fp32{reason}",)


@functools.cache
def _has_f16() -> bool:
    """Whether the adapter computes in FP16; BackendError if no adapter opens."""
    (device,) = WebGpuBackend.found().values()
    with turn_of(device):
        return _computes_fp16(device)  # a function, so that its session is dropped in the turn


def _computes_fp16(device: Any) -> bool:
    try:
        session, _ = open_on(device, _half_model(), OPTIONS)
    except BackendError as error:
        # In full: the message has only the beginning of what onnxruntime says.
        if found := re.search(r"Failed to get a WebGPU [^\n)]*", str(error.__cause__)):
            raise BackendError(
                f"no adapter opens ({found[0]}): update the GPU's driver; on Linux it is its "
                "Vulkan driver, and the Vulkan loader is needed too (libvulkan.so.1)"
            ) from error
        raise
    try:
        session.run(None, {"x": np.ones(1, np.float16)})
    except Exception as error:  # ONNX Runtime's exceptions share no base class
        if "f16" in str(error):
            return False
        raise BackendError(f"the adapter computes nothing ({error})") from error
    return True


def _half_model() -> bytes:
    """y = -x in FP16 as an ONNX model; the numbers are those of onnx.proto."""
    shape = message((1, message((1, 1))))  # one dimension of size 1
    half = message((1, message((1, FLOAT16), (2, shape))))
    node = message((1, b"x"), (2, b"y"), (4, b"Neg"))
    ends = [(11, message((1, b"x"), (2, half))), (12, message((1, b"y"), (2, half)))]
    graph = message((1, node), (2, b"half"), *ends)
    return message((1, 8), (7, graph), (8, message((2, 13))))  # IR version 8, opset 13


def _adapter_name(device: Any) -> str:
    """The adapter's name as the system knows it, or the vendor's."""
    if sys.platform == "linux":
        return vulkan_adapters()[0].name
    hardware = device.device
    return str(hardware.metadata.get("Description", hardware.vendor))

"""Tries the cells of the table for which this machine has the hardware and the library."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import PIL.Image

import sr_runtime
from benchmarks.machine import processor
from sr_runtime.backends.base import Backend
from sr_runtime.backends.choice import choose
from sr_runtime.backends.cuda.driver import device_facts
from sr_runtime.backends.onnx_fp32 import fp32_from_fp16
from sr_runtime.backends.onnxruntime.vulkan import vulkan_adapters
from sr_runtime.embedded import model_file
from sr_runtime.errors import BackendError
from tests.support.matrix import CELLS, IN_SOFTWARE, Cell, this_system
from tests.tolerances import LARGEST_DIFFERENCE

__all__ = ["cells_here", "try_cell"]

PHOTO = Path(sr_runtime.__file__).parent / "examples/chelsea.png"
# The least that engines of TensorRT take: a smaller image is mirrored at its sides, where the
# reference has none. An adapter in software would take minutes.
SIDE = 64


def cells_here() -> Iterator[Cell]:
    """Those whose hardware and library this machine has, and another engine to compare with."""
    for cell in CELLS:
        try:
            found = cell.row.load()
            found.devices()
            choose(reference_of(cell), "cpu")
        except BackendError:
            continue
        # Where Vulkan is not asked, WebGPU runs on what the system itself calls a GPU.
        in_software = (
            cell.kind == "webgpu" and this_system() == "Linux" and vulkan_adapters()[0].software
        )
        if in_software == (cell.hardware == IN_SOFTWARE) and cell.precision in found.precisions():
            yield cell


def try_cell(cell: Cell) -> str:
    """Upscale a detail of a photo; return the name of the device that did it.

    AssertionError if it is not what another engine makes of it.
    """
    side = 8 if cell.hardware == IN_SOFTWARE else SIDE
    with PIL.Image.open(PHOTO) as photo:
        detail = np.asarray(photo.convert("RGB").crop((130, 76, 130 + side, 76 + side)))
    with sr_runtime.load(
        "psnr", backend=reference_of(cell), device="cpu", precision="fp32"
    ) as reference:
        wanted = reference.upscale(detail)
    with (
        tempfile.TemporaryDirectory() as folder,
        sr_runtime.load(
            model_of(cell, Path(folder)),
            backend=cell.backend,
            device=cell.row.load().devices()[0],
            precision=cell.precision,
        ) as upscaler,
    ):
        assert upscaler.backend.compute_dtype == cell.precision
        result = upscaler.upscale(detail)
        device = device_of(cell, upscaler.backend)
    difference = np.abs(result.astype(int) - wanted).max()
    assert difference <= LARGEST_DIFFERENCE[cell.precision], f"{cell.name}: {difference}"
    return device


def reference_of(cell: Cell) -> str:
    """The backend that computes the right picture, on the CPU."""
    return "openvino" if cell.backend == "onnxruntime" and cell.kind == "cpu" else "onnxruntime"


def model_of(cell: Cell, folder: Path) -> Path | str:
    """A model that the cell computes in its precision."""
    if (cell.kind, cell.precision) != ("cuda", "fp32"):
        return "psnr"
    # CUDA computes in the precision of the file, and the file of `psnr` is FP16.
    model = onnx.load_from_string(fp32_from_fp16(model_file("psnr").read_bytes()))
    for fact in model.metadata_props:
        if fact.key == "sr.weights_dtype":
            fact.value = "float32"
    onnx.save(model, folder / "psnr_fp32.onnx")
    return folder / "psnr_fp32.onnx"


def device_of(cell: Cell, backend: Backend) -> str:
    """The name of the GPU or CPU."""
    if cell.kind == "cpu":
        return processor()
    if cell.kind == "cuda":
        return device_facts(backend.device)[0]
    adapter = backend.notes[0]
    return f"{adapter} on {processor()}" if cell.hardware == IN_SOFTWARE else adapter

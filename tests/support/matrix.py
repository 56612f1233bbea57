"""Which backend was seen to work on which system and hardware: the record, and its page."""

import json
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image

import sr_runtime
from sr_runtime.backends.onnxruntime.vulkan import vulkan_adapters
from sr_runtime.backends.registry import rows
from sr_runtime.errors import BackendError
from tests.tolerances import LARGEST_DIFFERENCE

__all__ = ["CELLS", "PAGE", "RECORD", "Cell", "cells_here", "page_of", "try_cell"]

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "docs/support.json"
PAGE = ROOT / "docs/support.md"

SYSTEMS = {"Linux": "Linux", "Windows": "Windows", "Darwin": "macOS"}
EVERYWHERE = tuple(SYSTEMS.values())
NOT_MACOS = ("Linux", "Windows")

IN_SOFTWARE = "SwiftShader, a GPU in software"


INTRODUCTION = """\
# What runs where

Each cell is one of three things. **Tested**: `python -m tests.support` upscaled a photo on the
machine of that number, and compared the result with another engine's. **Written, not run**: the
code is there, and tested as far as that goes without the hardware ([GPUs](gpus.md) says how).
**No**: it is not meant to run there."""

END = """\
`make support` tries what a machine has and adds it to `docs/support.json`, of which this page
is made. Training and export were run on Linux, on the same CPU, with Python 3.11."""


@dataclass(frozen=True)
class Cell:
    """A backend on one kind of hardware, in one precision."""

    backend: str
    kind: str
    hardware: str
    precision: str
    systems: tuple[str, ...]
    """The systems that it is written for."""

    @property
    def name(self) -> str:
        return f"{self.backend}, {self.hardware}, {self.precision}"


CELLS = (
    Cell("tensorrt-rtx", "cuda", "NVIDIA GeForce RTX, RTX PRO", "fp16", NOT_MACOS),
    Cell("tensorrt", "cuda", "NVIDIA data centre GPU", "fp16", NOT_MACOS),
    Cell("onnxruntime", "cuda", "NVIDIA GPU", "fp16", NOT_MACOS),
    Cell("onnxruntime", "cuda", "NVIDIA GPU", "fp32", NOT_MACOS),
    Cell("webgpu", "webgpu", "GPU of any maker", "fp16", EVERYWHERE),
    Cell("webgpu", "webgpu", "GPU of any maker", "fp32", EVERYWHERE),
    Cell("webgpu", "webgpu", IN_SOFTWARE, "fp32", ("Linux",)),
    Cell("openvino", "cpu", "x86-64 CPU with AVX512-BF16 or AMX", "bf16", NOT_MACOS),
    Cell("openvino", "cpu", "any x86-64 CPU", "fp32", EVERYWHERE),
    Cell("onnxruntime", "cpu", "any CPU", "fp32", EVERYWHERE),
)


def cells_here() -> Iterator[Cell]:
    """Those whose hardware and library this machine has."""
    for cell in CELLS:
        row = next(row for row in rows(cell.backend) if row.kind == cell.kind)
        try:
            found = row.load()
            found.devices()
        except BackendError:
            continue
        # Where Vulkan is not asked, WebGPU runs on what the system itself calls a GPU.
        in_software = (
            cell.kind == "webgpu" and this_system() == "Linux" and vulkan_adapters()[0].software
        )
        if in_software == (cell.hardware == IN_SOFTWARE) and cell.precision in found.precisions():
            yield cell


def try_cell(cell: Cell) -> None:
    """Upscale a detail of a photo; AssertionError if it is not what another engine makes of it."""
    with PIL.Image.open(ROOT / "sr_runtime/examples/chelsea.png") as photo:
        detail = np.asarray(photo.convert("RGB").crop((130, 76, 146, 92)))
    other = "openvino" if cell.backend == "onnxruntime" and cell.kind == "cpu" else "onnxruntime"
    with sr_runtime.load("psnr", backend=other, device="cpu", precision="fp32") as reference:
        wanted = reference.upscale(detail)
    with sr_runtime.load(
        "psnr", backend=cell.backend, device=cell.kind, precision=cell.precision
    ) as upscaler:
        assert upscaler.backend.compute_dtype == cell.precision
        result = upscaler.upscale(detail)
    difference = np.abs(result.astype(int) - wanted).max()
    assert difference <= LARGEST_DIFFERENCE[cell.precision], f"{cell.name}: {difference}"


def page_of(record: dict[str, dict[str, str]]) -> str:
    """docs/support.md. The record has, by cell and system, the machine on which it worked."""
    lines = [
        *INTRODUCTION.splitlines(),
        "",
        f"| backend | hardware | precision | {' | '.join(EVERYWHERE)} |",
        f"|---|---|---|{'---|' * len(EVERYWHERE)}",
    ]
    machines = sorted({machine for found in record.values() for machine in found.values()})
    for cell in CELLS:
        states = [
            f"tested ({machines.index(record[cell.name][system]) + 1})"
            if system in record.get(cell.name, {})
            else "written, not run"
            if system in cell.systems
            else "no"
            for system in EVERYWHERE
        ]
        lines.append(
            f"| `{cell.backend}` | {cell.hardware} | {cell.precision} | {' | '.join(states)} |"
        )
    lines += ["", *(f"{number}. {machine}" for number, machine in enumerate(machines, 1)), ""]
    lines += END.splitlines()
    return "\n".join(lines) + "\n"


def read_record() -> dict[str, dict[str, str]]:
    """What was seen so far, by cell and system."""
    found: dict[str, dict[str, str]] = json.loads(RECORD.read_text("utf-8"))
    return found


def this_system() -> str:
    """Linux, Windows or macOS."""
    return SYSTEMS.get(platform.system(), platform.system())

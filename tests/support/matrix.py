"""The table of what runs where: its cells, the record of those that were tried, and its page."""

import json
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sr_runtime.backends.registry import BackendRow, rows
from sr_runtime.backends.tested import RECORD, Tested

__all__ = ["CELLS", "IN_SOFTWARE", "PAGE", "Cell", "page_of", "this_system", "updated", "write"]

PAGE = Path(__file__).parents[2] / "docs/support.md"

SYSTEMS = {"Linux": "Linux", "Windows": "Windows", "Darwin": "macOS"}
EVERYWHERE = tuple(SYSTEMS.values())
NOT_MACOS = ("Linux", "Windows")

IN_SOFTWARE = "SwiftShader, which emulates a GPU on the CPU"

INTRODUCTION = """\
# What runs where

Each cell is one of three things. **Tested**: `python -m tests.support`, or on a GPU `python -m
benchmarks.gpu`, upscaled a photo on the machines of these numbers, and compared the result with
another engine's. **Written, not run**: the code is there, and tested as far as that goes without
the hardware ([GPUs](gpus.md) says how). **No**: it is not meant to run there."""

END = """\
`make support` tries what a machine has and adds it to the record of which this page is made
(`sr_runtime/backends/tested.json`); `info` prints that too. A GPU's engine is tried where it is
installed beside torch and onnx, as by `pip install ".[gpu,tensorrt,export]"`, with `python -m
tests.support`."""


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

    def worked(self, one: Tested, system: str) -> bool:
        """Whether `one` is this cell, on that system."""
        return (one.backend, one.hardware, one.precision, one.system) == (
            self.backend, self.hardware, self.precision, system,
        )  # fmt: skip

    @property
    def row(self) -> BackendRow:
        """Its row in the registry."""
        return next(row for row in rows(self.backend) if row.kind == self.kind)


CELLS = (
    Cell("tensorrt-rtx", "cuda", "NVIDIA GeForce RTX, RTX PRO", "fp16", NOT_MACOS),
    Cell("tensorrt", "cuda", "NVIDIA GPU since Turing", "fp16", NOT_MACOS),
    Cell("onnxruntime", "cuda", "NVIDIA GPU since Turing", "fp16", NOT_MACOS),
    Cell("onnxruntime", "cuda", "NVIDIA GPU since Turing", "fp32", NOT_MACOS),
    Cell("webgpu", "webgpu", "GPU of any maker", "fp16", EVERYWHERE),
    Cell("webgpu", "webgpu", "GPU of any maker", "fp32", EVERYWHERE),
    Cell("webgpu", "webgpu", IN_SOFTWARE, "fp32", ("Linux",)),
    Cell("openvino", "cpu", "x86-64 CPU with AVX512-BF16 or AMX", "bf16", NOT_MACOS),
    Cell("openvino", "cpu", "any x86-64 CPU", "fp32", EVERYWHERE),
    Cell("onnxruntime", "cpu", "any CPU", "fp32", EVERYWHERE),
)


def updated(record: Iterable[Tested], cell: Cell, device: str | None) -> list[Tested]:
    """`record`, after `cell` was tried on this system.

    Args:
        device: The name of what computed it, which is added; None: it failed, and whatever worked
            on this system before is taken back.
    """
    kept = [
        one
        for one in record
        if not cell.worked(one, this_system()) or device not in (None, one.device)
    ]
    if device is None:
        return kept
    machine = f"{platform.machine()}, Python {platform.python_version()}"
    new = Tested(
        backend=cell.backend, kind=cell.kind, hardware=cell.hardware, precision=cell.precision,
        system=this_system(), device=device, machine=machine,
    )  # fmt: skip
    return sorted([*kept, new])


def page_of(record: Sequence[Tested]) -> str:
    """docs/support.md."""
    lines = [
        *INTRODUCTION.splitlines(),
        "",
        f"| backend | hardware | precision | {' | '.join(EVERYWHERE)} |",
        f"|---|---|---|{'---|' * len(EVERYWHERE)}",
    ]
    machines = sorted({_machine(one) for one in record})
    for cell in CELLS:
        states = []
        for system in EVERYWHERE:
            numbers = ", ".join(
                str(machines.index(_machine(one)) + 1) for one in record if cell.worked(one, system)
            )
            otherwise = "written, not run" if system in cell.systems else "no"
            states.append(f"tested ({numbers})" if numbers else otherwise)
        lines.append(
            f"| `{cell.backend}` | {cell.hardware} | {cell.precision} | {' | '.join(states)} |"
        )
    lines += ["", *(f"{number}. {machine}" for number, machine in enumerate(machines, 1)), ""]
    lines += END.splitlines()
    return "\n".join(lines) + "\n"


def write(record: Sequence[Tested]) -> None:
    """Write the record and its page."""
    lines = ",\n".join(f" {json.dumps(asdict(one))}" for one in record)
    RECORD.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    PAGE.write_text(page_of(record), encoding="utf-8")


def this_system() -> str:
    """Linux, Windows or macOS."""
    return SYSTEMS.get(platform.system(), platform.system())


def _machine(one: Tested) -> str:
    return f"{one.device}, {one.machine}"

"""What the parts of the GPU benchmark share: device, sizes, deadline, and what was left out."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.data import photo
from sr_runtime import Upscaler
from sr_runtime.errors import SRError
from sr_train.models.generator import Generator

__all__ = ["GPU", "SMALL", "Engine", "Run", "Sizes", "reason_of"]

Photo = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is measured; lengths in LR pixels."""

    matmul: int
    """Side of the square matrices."""
    copied: int
    """Bytes of the array to copy, many times the size of any cache."""
    shapes: tuple[tuple[int, int], ...]
    """(tile, batch) of the bare kernels, the most telling first: time may run out."""
    parity_tile: int
    photo: tuple[int, int]
    """Height and width of the photo that is upscaled array to array."""
    loop_tile: int
    """Tile of the plain PyTorch loop; Real-ESRGAN recommends 400."""
    files: tuple[tuple[int, int], ...]
    """Heights and widths of the folder's JPEGs."""
    seconds: float
    """How long one measurement lasts, so that one hiccup does not dominate it."""


# Backends choose tiles in steps of 64 pixels; 96 and 192 lie between.
GPU = Sizes(
    matmul=8192,
    copied=4 << 30,
    shapes=(
        # Not 8×512: its tensors of 2³¹ values are beyond what ONNX Runtime counts in.
        *((256, 4), (512, 1), (256, 1), (512, 4), (128, 8), (384, 2), (256, 8)),
        *((128, 1), (384, 1), (96, 8), (192, 4), (512, 2), (256, 2), (96, 1), (192, 1)),
        *((128, 4), (384, 4), (192, 8), (384, 8), (128, 2), (192, 2), (96, 4), (96, 2)),
    ),
    parity_tile=128,
    photo=(2000, 3000),
    loop_tile=400,
    files=((1024, 1536), (1536, 1024), (960, 1280)) * 10,
    seconds=0.4,
)
SMALL = Sizes(
    matmul=256,
    copied=8 << 20,
    shapes=((32, 1), (32, 2)),
    parity_tile=32,
    photo=(64, 80),
    loop_tile=48,
    files=((48, 64), (64, 48)),
    seconds=0.01,
)


@dataclass(frozen=True)
class Engine:
    """An opened model and its name in the results, "onnxruntime, io uint8" for instance."""

    name: str
    model: Path
    upscaler: Upscaler


@dataclass
class Run:
    """One run of the benchmark, to which the parts add their results one after another."""

    device: torch.device
    dtype: torch.dtype
    """The networks' dtype: float16, but float32 on a CPU, where float16 is slow."""
    sizes: Sizes
    network: str
    """A description of the generator."""
    generator: Generator
    """fp32, on the CPU."""
    folder: Path
    """For intermediate files; deleted when the run ends."""
    held: ExitStack
    """Closes what the parts open."""
    results: dict[str, Any] = field(default_factory=dict)
    """The result of each part, by its name."""
    left_out: list[dict[str, str]] = field(default_factory=list)
    """What was not measured, or less often than planned, and why."""
    models: dict[str, Path] = field(default_factory=dict)
    """FP16 ONNX files by io."""
    engines: list[Engine] = field(default_factory=list)
    deadline: float = 0.0
    """`time.monotonic` at which the current part should end."""

    def left(self) -> float:
        """Seconds that the current part may still take."""
        return self.deadline - time.monotonic()

    def leave_out(self, what: str, reason: str) -> None:
        """Record and print that something is not measured, and why, in one sentence."""
        note = {"what": what, "reason": reason}
        if note in self.left_out:  # noted in an earlier round
            return
        self.left_out.append(note)
        print(f"    left out: {what}: {reason}", flush=True)

    def rounds(self, most: int, what: str) -> Iterator[int]:
        """Yield round numbers from 0: at least one, then as many as the part has time for."""
        start = time.monotonic()
        for number in range(most):
            if number and self.left() < (time.monotonic() - start) / number:
                reason = f"the time was enough for {number} of {most} rounds: give more --minutes"
                self.leave_out(f"{what}, the other rounds", reason)
                return
            yield number

    def attempt(self, what: str, measurement: Callable[[], Any]) -> bool:
        """Run a measurement; if it fails, record it as left out and return False."""
        try:
            measurement()
        # One failed measurement must not lose the others.
        except Exception as error:
            self.leave_out(what, reason_of(error))
            return False
        return True

    def photo_of(self, height: int, width: int) -> Photo:
        """A real photo of that size, mirrored at its sides as often as needed."""
        small = photo()
        rows, cols = max(0, height - small.shape[0]), max(0, width - small.shape[1])
        return np.pad(small, ((0, rows), (0, cols), (0, 0)), "symmetric")[:height, :width]

    def synchronize(self) -> None:
        """Wait for all work that torch has queued on the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def reason_of(error: Exception) -> str:
    """The error in one sentence, with the exception's name unless it is an SRError."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return line if isinstance(error, SRError) else f"{type(error).__name__}: {line}"

"""What the parts of the GPU benchmark share: device, sizes, the clock, and what was left out."""

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
from sr_train.models.registry import Generator

__all__ = ["GPU", "SMALL", "Engine", "Run", "Sizes", "reason_of"]

Photo = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is measured; lengths in LR pixels."""

    matmul: int
    """Side of the square matrices."""
    copied: int
    """Bytes of the array that is copied, many times what a cache holds."""
    shapes: tuple[tuple[int, int], ...]
    """(tile, batch) of the bare kernels, those that tell most first: time may run out."""
    parity_tile: int
    photo: tuple[int, int]
    """Height and width of what is upscaled from array to array."""
    loop_tile: int
    """Of the plain PyTorch loop; Real-ESRGAN's users are told to take 400."""
    files: tuple[tuple[int, int], ...]
    """Heights and widths of the folder's JPEGs."""
    seconds: float
    """For which one measurement is to last, so that one hiccup does not make it."""


# 64-pixel steps are what the backends choose their tiles from; 96 and 192 lie between.
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
    """An opened model, and how it is called in the results: "onnxruntime, io uint8"."""

    name: str
    model: Path
    upscaler: Upscaler


@dataclass
class Run:
    """One run of the benchmark: the parts add to it, one after the other."""

    device: torch.device
    dtype: torch.dtype
    """In which networks compute: float16, and on a CPU, where that is slow, float32."""
    sizes: Sizes
    network: str
    """What the generator is, in words."""
    generator: Generator
    """fp32, on the CPU."""
    folder: Path
    """For what is made on the way; it goes when the run ends."""
    held: ExitStack
    """Closes what the parts opened."""
    results: dict[str, Any] = field(default_factory=dict)
    """What each part found, by its name."""
    left_out: list[dict[str, str]] = field(default_factory=list)
    """What was not measured, or less often than planned, and why."""
    models: dict[str, Path] = field(default_factory=dict)
    """FP16 ONNX files by io."""
    engines: list[Engine] = field(default_factory=list)
    deadline: float = 0.0
    """Of the present part, as `time.monotonic` tells it."""

    def left(self) -> float:
        """Seconds that the present part may still take."""
        return self.deadline - time.monotonic()

    def leave_out(self, what: str, reason: str) -> None:
        """Note, and say, that something is not measured, and why, in one sentence."""
        note = {"what": what, "reason": reason}
        if note in self.left_out:  # in an earlier round
            return
        self.left_out.append(note)
        print(f"    left out: {what}: {reason}", flush=True)

    def rounds(self, most: int, what: str) -> Iterator[int]:
        """Numbers from 0 on: one round at least, and as many more as the part has time for."""
        start = time.monotonic()
        for number in range(most):
            if number and self.left() < (time.monotonic() - start) / number:
                reason = f"the time was enough for {number} of {most} rounds: give more --minutes"
                self.leave_out(f"{what}, the other rounds", reason)
                return
            yield number

    def attempt(self, what: str, measurement: Callable[[], Any]) -> bool:
        """Do it; False where it failed, which is then noted as left out."""
        try:
            measurement()
        # One failed measurement must not lose the others.
        except Exception as error:
            self.leave_out(what, reason_of(error))
            return False
        return True

    def photo_of(self, height: int, width: int) -> Photo:
        """A real photo of that size: one that is mirrored at its sides for as long as it takes."""
        small = photo()
        rows, cols = max(0, height - small.shape[0]), max(0, width - small.shape[1])
        return np.pad(small, ((0, rows), (0, cols), (0, 0)), "symmetric")[:height, :width]

    def synchronize(self) -> None:
        """Wait for all that torch has queued on the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def reason_of(error: Exception) -> str:
    """One sentence; with the name of the exception unless it is one of our own."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return line if isinstance(error, SRError) else f"{type(error).__name__}: {line}"

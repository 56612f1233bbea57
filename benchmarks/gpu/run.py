"""What the parts of the GPU benchmark share: device, sizes, deadline, network, earlier results."""

import copy
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.data import photo
from benchmarks.gpu.network import chosen_generator, write_onnx
from sr_runtime.errors import SRError
from sr_runtime.model_info import IO
from sr_train.checkpoint import weights_sha256
from sr_train.models.generator import Generator

__all__ = ["SMALL", "Found", "Run", "Sizes", "reason_of"]

Photo = NDArray[np.uint8]
Found = Iterator[tuple[str, Any]]
"""What a part yields: a name, and a value or a row of values by column. Each is saved at once."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is measured; lengths in LR pixels."""

    matmul: int  # side of the square matrices
    copied: int  # bytes of the array to copy, many times the size of any cache
    shapes: tuple[tuple[int, int], ...]  # (tile, batch), the most telling first: time may run out
    tiles: tuple[int, ...]  # for ONNX Runtime's options
    convolution: tuple[int, ...]  # sides of the images of single convolutions
    checked: tuple[int, int]  # height and width of the photo compared with the CPU's result
    parity_tile: int
    photo: tuple[int, int]  # height and width of the photo that is upscaled array to array
    loop_tile: int  # of the plain PyTorch loop; Real-ESRGAN recommends 400
    files: tuple[tuple[int, int], ...]  # heights and widths of the folder's JPEGs
    seconds: float  # of one measurement, so that one hiccup does not dominate it
    rounds: int  # how often the contenders take turns, if there is time


GPU = Sizes(
    matmul=8192,
    copied=4 << 30,
    # Not 8×512: its tensors of 2³¹ values are beyond what ONNX Runtime counts in.
    shapes=((256, 4), (512, 1), (1024, 1), (256, 1), (512, 2), (256, 2), (512, 4), (128, 8)),
    tiles=(256, 512, 1024),
    convolution=(256, 512),
    checked=(300, 400),
    parity_tile=128,
    photo=(2000, 3000),
    loop_tile=400,
    files=((1024, 1536), (1536, 1024), (960, 1280)) * 6,
    seconds=0.4,
    rounds=5,
)
SMALL = Sizes(
    matmul=128,
    copied=1 << 20,
    shapes=((16, 1), (16, 2)),
    tiles=(8, 16),
    convolution=(16,),
    checked=(24, 32),
    parity_tile=16,
    photo=(24, 32),
    loop_tile=16,
    files=((24, 32), (32, 24)),
    seconds=0.01,
    rounds=1,
)


@dataclass(kw_only=True)
class Run:
    """One part's view of the benchmark; it travels to the part's process."""

    device: torch.device
    checkpoint: Path | None
    blocks: int | None
    cache: Path
    """Folder of models and engines, which later parts and runs use again."""
    results: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What the other parts have found, by their names."""
    deadline: float = float("inf")
    """`time.monotonic` at which the part should end."""
    leave_out: Callable[[str, str], None] = print
    """Takes what is not measured, and the reason in one sentence."""
    held: ExitStack = field(default_factory=ExitStack)
    """Closes what the part opens."""

    @cached_property
    def sizes(self) -> Sizes:
        return GPU if self.device.type == "cuda" else SMALL

    @property
    def dtype(self) -> torch.dtype:
        """What the network computes in; float16 is slow on a CPU."""
        return torch.float16 if self.device.type == "cuda" else torch.float32

    @cached_property
    def generator(self) -> Generator:
        """The network in fp32, on the CPU."""
        return chosen_generator(self.checkpoint, self.blocks)

    @cached_property
    def folder(self) -> Path:
        """A folder for intermediate files; deleted when the part ends."""
        return Path(self.held.enter_context(tempfile.TemporaryDirectory()))

    def to_device(self) -> Generator:
        """The network on the device: channels-last, and FP16 on a GPU."""
        return copy.deepcopy(self.generator).to(  # type: ignore[call-overload, no-any-return]
            self.device, self.dtype, memory_format=torch.channels_last
        )

    def onnx_file(self, io: IO) -> Path:
        """The network as an FP16 ONNX file, exported once."""
        file = self.cache / f"{weights_sha256(self.generator)[:12]}-{io}.onnx"
        if not file.exists():
            write_onnx(self.generator, file, io=io, precision="fp16")
        return file

    def left(self) -> float:
        """Seconds that the part may still take."""
        return self.deadline - time.monotonic()

    def rounds(self, what: str) -> Iterator[int]:
        """Yield round numbers from 0: at least one, then as many as the part has time for."""
        start, most = time.monotonic(), self.sizes.rounds
        for number in range(most):
            if number and self.left() < (time.monotonic() - start) / number:
                reason = f"the time was enough for {number} of {most}: give more --minutes"
                self.leave_out(f"{what}, the other rounds", reason)
                return
            yield number

    def attempt(self, what: str, measurement: Callable[[], Any]) -> Any:
        """The result of a measurement; if it fails, record it as left out and return None."""
        try:
            return measurement()
        # One failed measurement must not lose the others.
        except Exception as error:
            self.leave_out(what, reason_of(error))
            return None

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

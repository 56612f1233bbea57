"""What the parts of the GPU benchmark share: device, sizes, deadline, files and former results."""

import copy
import hashlib
import math
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
from benchmarks.gpu.network import chosen_generator, sources, write_onnx
from sr_runtime.errors import SRError
from sr_runtime.model_info import IO
from sr_train.models.generator import Generator

__all__ = ["GPU", "SMALL", "Found", "LeaveOut", "Run", "Settings", "Sizes", "reason_of"]

Photo = NDArray[np.uint8]
Found = Iterator[tuple[str, Any]]
"""What a part yields: a key and what was measured, as JSON takes it. Each is saved at once."""
LeaveOut = Callable[[str, str], None]
"""Takes what is not measured, and the reason in one sentence."""

MOST_REPEATS = 200


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is measured; lengths in LR pixels."""

    matmul: int
    """Side of the square matrices."""
    copied: int
    """Bytes of the array to copy, many times the size of any cache."""
    shapes: tuple[tuple[int, int], ...]
    """(tile, batch) of the bare engines, the most telling first: time may run out."""
    tiles: tuple[int, ...]
    """Tiles of the bare session."""
    convolution: tuple[int, ...]
    """Sides of the images of single convolutions."""
    checked: tuple[int, int]
    """Height and width of the photo whose result is compared with the CPU's."""
    parity_tile: int
    photo: tuple[int, int]
    """Height and width of the photo that is upscaled array to array."""
    loop_tile: int
    """Tile of the plain PyTorch loop; Real-ESRGAN recommends 400."""
    files: tuple[tuple[int, int], ...]
    """Heights and widths of the folder's JPEGs."""
    seconds: float
    """How long one measurement lasts, so that one hiccup does not dominate it."""
    rounds: int
    """How often the contenders take turns, if there is time."""


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
    files=((1024, 1536), (1536, 1024), (960, 1280)) * 10,
    seconds=0.4,
    rounds=5,
)
SMALL = Sizes(
    matmul=256,
    copied=8 << 20,
    shapes=((16, 1), (16, 2)),
    tiles=(16, 32),
    convolution=(16,),
    checked=(40, 48),
    parity_tile=16,
    photo=(40, 48),
    loop_tile=32,
    files=((48, 64), (64, 48)),
    seconds=0.01,
    rounds=1,
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the process of a part is given."""

    device: str
    checkpoint: Path | None
    blocks: int | None
    network: str
    """As `network_of` returns it."""
    cache: Path
    """Folder of models and engines, which later parts and runs use again."""
    results: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What the other parts have found, by their names."""
    seconds: float = float("inf")
    """How long the part should take."""


class Run:
    """One part's view of the benchmark."""

    def __init__(self, settings: Settings, held: ExitStack, leave_out: LeaveOut) -> None:
        """`held` closes what the part opens."""
        self.settings, self.held = settings, held
        self.device = torch.device(settings.device)
        on_gpu = self.device.type == "cuda"
        self.dtype = torch.float16 if on_gpu else torch.float32  # float16 is slow on a CPU
        self.sizes = GPU if on_gpu else SMALL
        self.results = settings.results
        self.deadline = time.monotonic() + settings.seconds
        self._leave_out = leave_out

    @cached_property
    def generator(self) -> Generator:
        """The network in fp32, on the CPU."""
        return chosen_generator(self.settings.checkpoint, self.settings.blocks)

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
        """The network as an FP16 ONNX file, exported unless the code has exported it before."""
        made_by = f"{self.settings.network} {sources('sr_export', 'sr_train')}"
        key = hashlib.sha256(made_by.encode()).hexdigest()[:12]
        file = self.settings.cache / f"{key}-{io}.onnx"
        if not file.exists():
            write_onnx(self.generator, file, io=io, precision="fp16")
        return file

    def left(self) -> float:
        """Seconds that the part may still take."""
        return self.deadline - time.monotonic()

    def repeats(self, seconds: float) -> int:
        """How many runs of that many seconds make one measurement."""
        return max(1, min(MOST_REPEATS, math.ceil(self.sizes.seconds / seconds)))

    def leave_out(self, what: str, reason: str) -> None:
        """Record that something is not measured, and why, in one sentence."""
        self._leave_out(what, reason)

    def rounds(self, what: str) -> Iterator[int]:
        """Yield round numbers from 0: at least one, then as many as the part has time for."""
        start, most = time.monotonic(), self.sizes.rounds
        for number in range(most):
            if number and self.left() < (time.monotonic() - start) / number:
                reason = f"the time was enough for {number} of {most}: give more --minutes"
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

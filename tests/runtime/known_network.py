"""A network whose every answer is known exactly, behind the real Backend protocol."""

import threading
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from sr_runtime.backends.base import Limits
from sr_runtime.errors import OutOfMemoryError
from sr_runtime.model_info import ModelInfo


@dataclass(eq=False)
class Submitted:
    """A batch that is computed only when its result is taken, as late as an engine may."""

    network: "KnownNetwork"
    batch: NDArray[Any]
    fits: bool
    output: NDArray[Any] | None = None
    released: bool = False

    def result(self) -> NDArray[Any]:
        assert not self.released
        if not self.fits:
            raise OutOfMemoryError("no room")
        self.output = self.network.answer(self.batch)
        return self.output

    def release(self) -> None:
        assert not self.released
        self.released = True
        if self.output is not None:
            self.output[...] = 0.5  # like an engine that reuses its buffers
        with self.network.lock:
            self.network.pending.discard(self)


class KnownNetwork:
    """Mixes all pixels within the radius in whole numbers, so that a wrong or missing neighbour, or
    a tile that is cut or placed one pixel off, always changes the result.

    Works on blocks of `multiple_of` pixels, like a pixel-unshuffle network; zero-pads the border.
    """

    name, device, compute_dtype, notes = "known", "cpu", "fp32", ()

    def __init__(
        self,
        *,
        radius: int,
        scale: int = 2,
        channels: int = 3,
        multiple_of: int = 1,
        limits: Limits | None = None,
        memory: int | None = None,
    ) -> None:
        """`radius` is in blocks; `memory` is the most LR pixels that fit into a batch."""
        self.radius, self.memory = radius, memory
        self.limits = limits or Limits(depth=2)
        self.batches: list[tuple[int, ...]] = []
        # Like an engine, it has room again for a batch that an interrupt lost.
        self.pending: WeakSet[Submitted] = WeakSet()
        self.shrunk = 0
        self.closed = False
        self.lock = threading.Lock()
        self.info = ModelInfo(
            arch="KnownNetwork",
            scale=scale,
            in_channels=channels,
            out_channels=channels,
            io="float32",
            weights_dtype="float32",
            multiple_of=multiple_of,
            halo=radius * multiple_of,
            receptive_radius=radius * multiple_of,
        )

    def submit(self, batch: NDArray[Any]) -> Submitted:
        with self.lock:
            assert not self.closed
            self.batches.append(batch.shape)
        count, _, height, width = batch.shape
        limits = self.limits
        assert height % self.info.multiple_of == 0 == width % self.info.multiple_of
        assert height >= limits.min_tile[0]
        assert width >= limits.min_tile[1]
        assert limits.max_tile is None or (
            height <= limits.max_tile[0] and width <= limits.max_tile[1]
        )
        assert count == limits.batch if limits.fixed_batch else count <= limits.batch
        fits = self.memory is None or count * height * width <= self.memory
        submitted = Submitted(self, batch, fits)
        with self.lock:
            self.pending.add(submitted)
            assert self.in_flight <= self.limits.depth
        return submitted

    @property
    def in_flight(self) -> int:
        return len(self.pending)

    def shrink(self) -> None:
        assert self.in_flight == 0
        self.shrunk += 1

    def close(self) -> None:
        assert self.in_flight == 0
        self.closed = True

    def answer(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """`(N, C, H, W)` in [0, 1] → `(N, C, sH, sW)`, whole numbers over 255."""
        block, radius, scale = self.info.multiple_of, self.radius, self.info.scale
        pixels = np.rint(batch * 255).astype(np.int64)
        count, channels, height, width = pixels.shape
        blocks = pixels.reshape(count, channels, height // block, block, width // block, block)
        weights = np.arange(1, block * block + 1).reshape(block, 1, block)
        features = (blocks * weights).sum(axis=(3, 5))
        padded = np.pad(features, ((0, 0), (0, 0), (radius, radius), (radius, radius)))
        mixed = np.zeros_like(features)
        for dy in range(2 * radius + 1):
            for dx in range(2 * radius + 1):
                window = padded[:, :, dy : dy + features.shape[2], dx : dx + features.shape[3]]
                mixed += window * (1 + 3 * dy + 7 * dx)
        side = block * scale
        phase = np.arange(side)[:, None] * 5 + np.arange(side) * 11
        tall = mixed.repeat(side, axis=2).repeat(side, axis=3)
        tall += np.tile(phase, mixed.shape[2:])
        return (tall % 256 / 255).astype(np.float32)

    def whole(self, image: NDArray[Any]) -> NDArray[np.uint8]:
        """The exact result for an `(H, W, C)` uint8 image in one piece, edge-padded as needed."""
        height, width, _ = image.shape
        least, block = self.limits.min_tile, self.info.multiple_of
        after = [
            max(-(-side // block) * block, -(-low // block) * block) - side
            for side, low in zip((height, width), least, strict=True)
        ]
        padded = np.pad(image, ((0, after[0]), (0, after[1]), (0, 0)), mode="edge")
        output = self.answer(padded.transpose(2, 0, 1)[None] / 255)[0].transpose(1, 2, 0)
        scale = self.info.scale
        return np.rint(output[: height * scale, : width * scale] * 255).astype(np.uint8)

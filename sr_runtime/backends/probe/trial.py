"""Small runs of a model whose facts are not known, and the bound on all of them together."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_runtime.model_info import ModelInfo
from sr_runtime.tensor import tensor_from_tiles

__all__ = ["LARGEST", "MAX_PIXELS", "MAX_RUNS", "ExhaustedError", "Run", "Trial", "planes_of"]

Run = Callable[[NDArray[np.float32]], Sequence[NDArray[Any]]]
"""Infers one float32 batch and returns all outputs; raises BackendError if the engine refuses."""

# A convolutional network of any size needs 10 runs and 55,000 pixels; one of a fixed size needs 7
# runs, which are 1,900,000 pixels at 512×512; one that looks at the whole image 300,000 pixels.
MAX_RUNS = 120
MAX_PIXELS = 2_000_000
MAX_SECONDS = 30
"""Beyond so many pixels, which only large fixed sizes need, runs go on for this long in all."""
LARGEST = 1 << 24
"""Pixels of a single run, which a fixed size may need."""


class ExhaustedError(Exception):
    """A probe has had its runs, or its pixels and its time."""


class Trial:
    """Runs a model on single images and counts."""

    def __init__(self, run: Run, batch: int) -> None:
        """`batch`: the only number of images that the model takes at once, else 1."""
        self._run, self._batch = run, batch
        self._runs = self._pixels = 0
        self._seconds = 0.0

    def check(self, height: int, width: int) -> int:
        """The pixels of a run at this size; ExhaustedError if it is beyond the bound."""
        pixels = self._batch * height * width
        total = self._pixels + pixels
        in_time = self._seconds * total <= MAX_SECONDS * self._pixels
        if self._runs == MAX_RUNS or pixels > LARGEST or (total > MAX_PIXELS and not in_time):
            raise ExhaustedError
        return pixels

    def outputs(self, info: ModelInfo, image: NDArray[np.float32]) -> list[NDArray[Any]]:
        """All outputs for an `(H, W, C)` image in [0, 1], laid out and scaled as `info` says.

        Raises:
            BackendError: The engine refuses this size.
            ExhaustedError: The bound is reached.
        """
        pixels = self.check(*image.shape[:2])
        # Each run fills a fixed batch with other images, which shows a model that mixes them.
        random = np.random.default_rng(self._runs)
        others = [random.random(image.shape, np.float32) for _ in range(1, self._batch)]
        self._runs += 1
        start = time.perf_counter()
        outputs = self._run(tensor_from_tiles([image, *others], info))
        self._seconds += time.perf_counter() - start
        self._pixels += pixels  # a refusal takes no time
        return [np.asarray(output) for output in outputs]

    def planes(self, info: ModelInfo, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """The picture for an `(H, W, C)` image; see `outputs` and `planes_of`."""
        return planes_of(info, self.outputs(info, image))


def planes_of(info: ModelInfo, outputs: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    """The picture among a model's outputs, as `(C, scale·H, scale·W)` in the model's range."""
    picture: NDArray[np.float32] = outputs[info.output][0].astype(np.float32)
    return picture.transpose(2, 0, 1) if info.layout == "NHWC" else picture

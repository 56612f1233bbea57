"""Small runs of a model whose facts are not known, and the bound on all of them together."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_runtime.model_info import ModelInfo
from sr_runtime.tensor import tensor_from_tiles

__all__ = ["MAX_PIXELS", "MAX_RUNS", "ExhaustedError", "Run", "Trial"]

Run = Callable[[NDArray[np.float32]], Sequence[NDArray[Any]]]
"""Infers one float32 batch and returns all outputs; raises BackendError if the engine refuses."""

# A convolutional network of any size needs 5 runs and 33,000 pixels; one of a fixed size needs 4
# runs; one that looks at the whole image 300,000 pixels.
MAX_RUNS = 120
MAX_PIXELS = 1_500_000


class ExhaustedError(Exception):
    """A probe has had its runs or pixels."""


class Trial:
    """Runs a model on single images and counts."""

    def __init__(self, run: Run, batch: int) -> None:
        """`batch` images of each run are the same, for a model that takes only so many."""
        self._run, self._batch = run, batch
        self._runs = self._pixels = 0

    def outputs(self, info: ModelInfo, image: NDArray[np.float32]) -> list[NDArray[Any]]:
        """All outputs for an `(H, W, C)` image in [0, 1], laid out and scaled as `info` says.

        Raises:
            BackendError: The engine refuses this size.
            ExhaustedError: The bound is reached.
        """
        pixels = self._batch * image.shape[0] * image.shape[1]
        if self._runs == MAX_RUNS or self._pixels + pixels > MAX_PIXELS:
            raise ExhaustedError
        self._runs += 1
        outputs = self._run(tensor_from_tiles([image] * self._batch, info))
        self._pixels += pixels  # a refusal takes no time
        return [np.asarray(output) for output in outputs]

    def planes(self, info: ModelInfo, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """The picture for an `(H, W, C)` image; see `outputs` and `planes_of`."""
        return planes_of(info, self.outputs(info, image))


def planes_of(info: ModelInfo, outputs: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    """The picture among a model's outputs, as `(C, scale·H, scale·W)` in the model's range."""
    picture: NDArray[np.float32] = outputs[info.output][0].astype(np.float32)
    return picture.transpose(2, 0, 1) if info.layout == "NHWC" else picture

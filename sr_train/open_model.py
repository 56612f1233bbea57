"""Checkpoints and exported models alike, as functions from image to image."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from numpy.typing import NDArray

import sr_runtime
from sr_runtime.embedded import model_file
from sr_runtime.evaluation.whole import TILE, upscale_whole
from sr_train.checkpoint import load_generator
from sr_train.inference import upscale_torch
from sr_train.precision import compute_dtype

__all__ = ["OpenModel", "open_model"]


@dataclass(frozen=True)
class OpenModel:
    """Something that enlarges whole images."""

    name: str
    scale: int
    upscale: Callable[[NDArray[Any]], NDArray[Any]]
    """(H, W, C) to (scale·H, scale·W, C)."""


@contextlib.contextmanager
def open_model(
    model: str | Path,
    *,
    scale: int | None,
    precision: Literal["fp32", "bf16", "fp16"],
    device: torch.device,
) -> Iterator[OpenModel]:
    """An embedded model or an `.onnx` file in the runtime's engine, or a checkpoint on `device`.

    As for `sr_runtime.load`, a `Path` is always a file.
    `scale` is needed only for a checkpoint that leaves it open. Raises ModelError for none of them,
    and BackendError for a precision that the engine hasn't got.
    """
    file = model_file(model)
    if file.suffix.lower() == ".onnx":
        with sr_runtime.load(
            file,
            device="cpu" if device.type == "cpu" else "auto",
            precision=precision,
            tile=TILE,
        ) as upscaler:
            yield OpenModel(str(model), upscaler.info.scale, partial(upscale_whole, upscaler))
        return
    generator = load_generator(file, scale=scale).to(device)
    dtype = compute_dtype(precision, device)
    upscale = partial(upscale_torch, generator, device=device, precision=dtype)
    yield OpenModel(str(model), generator.scale_factor, upscale)

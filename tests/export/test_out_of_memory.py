"""Where PyTorch or numpy runs out of memory, callers get this project's error."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import sr_train.checkpoint
from sr_export import build_engine, export_onnx, verify
from sr_export.to_onnx import onnx_from_generator
from sr_runtime.backends.out_of_memory import memory_for_network
from sr_runtime.embedded import model_file
from sr_runtime.errors import OutOfMemoryError
from sr_train.checkpoint import load_generator
from sr_train.models.compact import SRVGGNetCompact

TOO_MANY = 1 << 50  # numbers


def allocate(library: Callable[[int], object], *_: object, **__: object) -> None:
    library(TOO_MANY)


@pytest.mark.parametrize("library", [torch.empty, np.empty])
@pytest.mark.parametrize(
    ("function", "task"),
    [
        (lambda file, folder: export_onnx(file, folder / "m.onnx"), "export the model"),
        (lambda file, folder: build_engine(file, folder / "m.engine"), "build the engine"),
        (lambda file, _: verify(file, model_file("psnr")), "verify the model"),
    ],
    ids=["export_onnx", "build_engine", "verify"],
)
def test_every_function_says_what_there_is_too_little_memory_for(
    function: Callable[[Path, Path], object], task: str, library, checkpoint, monkeypatch
) -> None:
    monkeypatch.setattr(sr_train.checkpoint, "load_any_generator", partial(allocate, library))
    with pytest.raises(OutOfMemoryError, match=f"not enough memory to {task} \\(.*llocate"):
        function(checkpoint, checkpoint.parent)
    assert list(checkpoint.parent.iterdir()) == [checkpoint]


class Greedy(SRVGGNetCompact):
    """Takes more memory than there is when it is traced, as a large mask may."""

    def forward(self, image: Tensor) -> Tensor:
        bytearray(TOO_MANY)
        return super().forward(image)


@pytest.mark.parametrize("radius", [None, 3], ids=["foreign", "ours"])
def test_a_trace_that_runs_out_of_memory_is_not_called_impossible(radius: int | None) -> None:
    network = Greedy(num_features=4, num_convolutions=1).eval()
    network.receptive_radius = radius
    export = memory_for_network("export the model")(onnx_from_generator)
    with pytest.raises(OutOfMemoryError, match="not enough memory to export the model"):
        export(network, halo=8)


def test_a_file_that_does_not_fit_is_not_called_damaged(checkpoint, monkeypatch) -> None:
    old = checkpoint.with_suffix(".pth")
    torch.save(load_generator(checkpoint).state_dict(), old, _use_new_zipfile_serialization=False)
    monkeypatch.setattr(torch, "load", partial(allocate, torch.empty))
    with pytest.raises(OutOfMemoryError, match=r"tiny\.pth: not enough memory to load the file"):
        load_generator(old)

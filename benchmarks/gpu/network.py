"""The network that the GPU benchmark measures, and its ONNX files."""

import hashlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from benchmarks.data import DATA, photo
from sr_runtime.errors import ArgumentError, require_extra
from sr_runtime.model_info import DEFAULT_HALO, IO
from sr_runtime.storage.atomic import atomic_path
from sr_train.checkpoint import load_generator
from sr_train.models.generator import Generator
from sr_train.models.rrdbnet import RRDBNet

__all__ = ["WEIGHTS", "chosen_generator", "fixed_shape", "network_of", "write_onnx"]

WEIGHTS = DATA / "weights" / "RRDB_ESRGAN_x4.pth"
"""The authors' RRDB-23."""
BLOCKS = 23
SMALL: dict[str, Any] = {"rrdb_channels": 16, "growth_channels": 8}  # to try the benchmark out
SIDE = 48  # of the crop on which a fresh network is scaled


def network_of(checkpoint: Path | None, blocks: int | None) -> str:
    """The network in one line, which differs where the weights do."""
    if checkpoint is None:
        kind = f"small RRDB ×4, {blocks} blocks" if blocks else f"RRDB ×4, {BLOCKS} blocks"
        return f"{kind}, random weights"
    return f"{checkpoint.name}, SHA-256 {hashlib.sha256(checkpoint.read_bytes()).hexdigest()[:12]}"


def chosen_generator(checkpoint: Path | None, blocks: int | None) -> Generator:
    """The checkpoint's network; a small one of that many blocks; or RRDB-23 with random weights.

    Raises:
        ModelError: The file is not a checkpoint.
        ArgumentError: The network does not take RGB, which the photos are.
    """
    if checkpoint is None:
        if blocks is None:
            return _with_weights(RRDBNet(num_basic_blocks=BLOCKS))
        return _with_weights(RRDBNet(num_basic_blocks=blocks, **SMALL))
    generator = load_generator(checkpoint)
    if generator.in_channels != 3:
        raise ArgumentError(
            f"{checkpoint}: its network takes {generator.in_channels} channel(s), and the photos "
            "of the benchmark have 3: give another"
        )
    return generator


def write_onnx(
    generator: Generator, target: Path, *, io: IO, precision: Literal["fp16", "fp32"]
) -> None:
    """Export a network; its halo is not searched, which takes long and hardly changes rates."""
    with require_extra("export"):
        from sr_export.to_onnx import onnx_from_generator
    model = onnx_from_generator(generator, precision=precision, io=io, halo=DEFAULT_HALO)
    with atomic_path(target) as path:
        path.write_bytes(model.SerializeToString())


def fixed_shape(source: Path, target: Path, side: int) -> Path:
    """Write a copy of an ONNX file that takes only square tiles of this side, one at a time."""
    with require_extra("export"):
        import onnx
    model = onnx.load(source)
    dimensions = model.graph.input[0].type.tensor_type.shape.dim
    for number, dimension in enumerate(dimensions):
        if not dimension.HasField("dim_value"):  # all but the channels
            dimension.dim_value = side if number else 1
    target.write_bytes(model.SerializeToString())
    return target


def _with_weights(generator: RRDBNet) -> RRDBNet:
    """Draw the same weights every time; the output is a busy picture in the middle of [0, 1]."""
    torch.manual_seed(0)
    generator.eval()
    with torch.inference_mode():
        for module in generator.modules():
            if isinstance(module, nn.Conv2d):  # the initial ones are tiny, for training
                nn.init.kaiming_normal_(module.weight)
                # Not zero: the exporter would fold such biases away, and the rates would flatter.
                nn.init.normal_(module.bias, std=0.01)  # type: ignore[arg-type]
        crop = photo()[:SIDE, :SIDE].transpose(2, 0, 1) / np.float32(255)
        output = generator(torch.from_numpy(crop)[None])
        spread, mean = output.std(), output.mean()
        generator.conv_last.weight *= 0.2 / spread
        generator.conv_last.bias += 0.5 - mean * 0.2 / spread
    return generator

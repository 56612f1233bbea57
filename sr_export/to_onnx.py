"""From a generator to an ONNX model that carries its facts and no trace of where it was made."""

import contextlib
import logging
import math
import re
import warnings
from collections.abc import Iterator
from dataclasses import replace

import onnx
import torch

# torch.export imports it when it is first needed, also in an `except` clause that hides a Ctrl-C.
import torch._dynamo

import sr_runtime
from sr_export.io_conversions import WithIO
from sr_export.node_names import name_nodes
from sr_export.repeat import keep_one_block, repeat_block
from sr_export.report import DEFAULT_OPSET, Precision
from sr_export.tile_facts import TileFacts
from sr_export.traceable import traceable
from sr_runtime.backends.out_of_memory import is_out_of_memory
from sr_runtime.errors import ArgumentError, ModelError
from sr_runtime.model_info import IO, LARGEST_HALO, ModelInfo
from sr_train.checkpoint import weights_sha256
from sr_train.models.generator import Generator

__all__ = ["model_info", "onnx_from_generator", "require_exportable", "tile_sizes"]

PREFIX = re.compile(r"^generator(?:\.network)?[./]")

MAX_BYTES = (1 << 31) - 1
"""The most that an ONNX file holds, which is one message of protobuf."""
TILE_SIZE = 192
"""The side of a file that takes only one size, at least: a multiple of most windows."""
MAX_SIDE = 1024
"""The largest --tile-size; verifying one takes gigabytes."""


def onnx_from_generator(
    generator: Generator,
    *,
    precision: Precision = "fp32",
    io: IO = "float32",
    opset: int = DEFAULT_OPSET,
    halo: int,
    phase: int = 1,
    tile_error: int = 1,
    tile_size: int | None = None,
) -> onnx.ModelProto:
    """Export with dynamic batch, height and width; the same generator gives the same bytes.

    Args:
        precision: "fp16" exports half weights, so that the graph between its input and output
            conversions has no Cast and computes in FP16 on a GPU.
        io: "float32": `(N, C, H, W)` in [0, 1], in and out. "uint8": `(N, H, W, C)`, in and out,
            and a second output `finite`, one boolean per image.
        halo: As `measure_tiles` finds it, like `phase` and `tile_error`.
        tile_size: The only height and width that the file takes, with a batch of 1; None: any.
    """
    dtype = torch.float16 if precision == "fp16" else torch.float32
    module = WithIO(generator.folded().to(dtype), dtype, io)
    weights = module.state_dict()
    blocks = generator.repeated and f"generator.{generator.repeated}"
    if blocks:
        keep_one_block(module, blocks)
    multiple, channels = generator.multiple_of, generator.in_channels
    # Any sizes work, because they are dynamic; distinct ones cannot be confused. A trace takes one
    # window for the only number of windows.
    batch, height = 2, -(-max(24, 2 * multiple, generator.min_side) // multiple) * multiple
    width = height + -(-16 // multiple) * multiple
    if tile_size is not None:
        batch, height, width = 1, tile_size, tile_size
    if io == "uint8":
        example = torch.zeros(batch, height, width, channels, dtype=torch.uint8)
        axes = {0: "batch", 1: "height", 2: "width"}
    else:
        example = torch.zeros(batch, channels, height, width)
        axes = {0: "batch", 2: "height", 3: "width"}
    with _quiet_exporter(), traceable(module), _refusing_untraceable(generator):
        program = torch.onnx.export(
            module,
            (example,),
            dynamo=True,
            verbose=False,
            external_data=False,
            opset_version=opset,
            input_names=["input"],
            output_names=["output", "finite"] if io == "uint8" else ["output"],
            dynamic_shapes=None
            if tile_size
            else ({axis: _dimension(name, generator) for axis, name in axes.items()},),
        )
    assert program is not None
    model = program.model_proto
    name_nodes(model)
    if blocks:
        repeat_block(model, blocks, weights)
    _strip(model)
    info = model_info(generator, dtype=dtype, io=io, halo=halo)
    info = replace(info, phase=phase, tile_error=tile_error)
    onnx.helper.set_model_props(model, info.to_metadata())
    onnx.checker.check_model(model)
    return model


def model_info(generator: Generator, *, dtype: torch.dtype, io: IO, halo: int) -> ModelInfo:
    """The facts of the file; a receptive radius that no tile could hold is not stated."""
    radius = generator.receptive_radius
    return ModelInfo(
        arch=generator.arch,
        scale=generator.scale_factor,
        in_channels=generator.in_channels,
        out_channels=generator.out_channels,
        io=io,
        weights_dtype=str(dtype).removeprefix("torch."),
        multiple_of=generator.multiple_of,
        min_side=generator.min_side,
        halo=halo,
        receptive_radius=None if radius is None or radius > LARGEST_HALO else radius,
        weights_sha256=weights_sha256(generator),
    )


def require_exportable(
    generator: Generator, precision: Precision, tile_size: int | None = None
) -> None:
    """Raise ArgumentError if an ONNX file cannot hold the weights, or not in this precision, or the
    network does not take tiles of this size."""
    each = 2 if precision == "fp16" else 4
    size = each * sum(weights.numel() for weights in generator.parameters())
    if size > MAX_BYTES:
        advice = "export with --precision fp16, or train" if precision == "fp32" else "train"
        raise ArgumentError(
            f"the weights take {size:,} bytes in {precision}, and an ONNX file holds at most "
            f"{MAX_BYTES:,}: {advice} a smaller network"
        )
    if precision == "fp16" and not generator.supports_half:
        raise ArgumentError(
            f"a network of the architecture {generator.arch} cannot be computed in half precision: "
            "export with --precision fp32"
        )
    multiple, least = generator.multiple_of, generator.min_side
    if tile_size is not None and (tile_size % multiple or not least <= tile_size <= MAX_SIDE):
        raise ArgumentError(
            f"--tile-size {tile_size} is not a multiple of {multiple} from {least} to {MAX_SIDE}"
        )


def tile_sizes(
    generator: Generator, tiles: TileFacts, tile_size: int | None
) -> tuple[int | None, ...]:
    """What `onnx_from_generator` is to be given, one after the other until a file is verified."""
    grid = math.lcm(generator.multiple_of, tiles.phase)
    room = 2 * tiles.halo + grid
    if tile_size is not None and tile_size < room:
        raise ArgumentError(
            f"--tile-size {tile_size} has no room for a halo of {tiles.halo} on both sides: give "
            f"{room} or more"
        )
    if tile_size is not None or generator.receptive_radius is not None:
        return (tile_size,)
    least = max(TILE_SIZE, room, generator.min_side)
    return None, -(-least // grid) * grid


def _dimension(name: str, generator: Generator) -> torch.export.Dim:
    multiple = generator.multiple_of
    if name == "batch" or multiple == 1:
        return torch.export.Dim(name)
    return multiple * torch.export.Dim(f"{name}_over_{multiple}")


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silence warnings about deprecations, torchvision, and constants that are not folded."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)  # what matters is raised too
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def _refusing_untraceable(generator: Generator) -> Iterator[None]:
    """Raise ModelError where the exporter cannot follow another library's network, and MemoryError
    where that is the reason for any network."""
    try:
        yield
    # torch.export raises whatever the network's code does with sizes that are symbols.
    except Exception as error:
        cause = error
        while isinstance(cause.__cause__, Exception):
            cause = cause.__cause__
        if is_out_of_memory(cause):
            raise MemoryError(str(cause)) from error
        if generator.receptive_radius is not None:  # a network of ours
            raise
        raise ModelError(
            f"PyTorch cannot export this {generator.arch} to ONNX "
            f"({type(cause).__name__}: {' '.join(str(cause).split())[:300]})"
        ) from error


def _strip(model: onnx.ModelProto) -> None:
    """Remove traces of the exporting machine (stack traces, paths), and inner shapes."""
    graph = model.graph
    model.producer_name, model.producer_version = "sr-toolkit", sr_runtime.__version__
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    graph.ClearField("value_info")
    # Added by WithIO and SpandrelNetwork; the tensors keep the checkpoint's names.
    for tensor in graph.initializer:
        tensor.name = PREFIX.sub("", tensor.name)
    for node in graph.node:
        node.name = PREFIX.sub("", node.name)
        node.input[:] = [PREFIX.sub("", name) for name in node.input]

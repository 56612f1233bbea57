"""Blends of two embedded models: one ONNX file that runs both and mixes their results.

Every engine runs such a file as it runs any other. Interpolated weights (ESRGAN, section 3.4) would
take half the time, but measure and look worse. The file is made without onnx, by joining the graphs
in the protobuf of both files (onnx.proto).
"""

import struct
import tempfile
from collections.abc import Container, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from numbers import Real
from pathlib import Path

from sr_runtime.backends.onnx_fp32 import FLOAT, TENSOR_DATA_TYPE, TENSOR_RAW_DATA
from sr_runtime.backends.onnx_metadata import read_fp16_onnx
from sr_runtime.backends.onnx_schema import GRAPH, INITIALIZER, KEY, METADATA_PROPS, VALUE
from sr_runtime.backends.protobuf import encode, fields, message
from sr_runtime.embedded import ends_of, model_file
from sr_runtime.errors import ArgumentError, about
from sr_runtime.model_info import ModelInfo
from sr_runtime.printable import shown
from sr_runtime.storage.temporary import scratch_errors, temporary_folder

__all__ = ["blend_text", "blended_file"]

LARGER = ("halo", "receptive_radius", "min_side", "tile_error")
"""Facts of which a blend has the larger."""

NODE = 1
NODE_INPUT, NODE_OUTPUT, NODE_NAME, NODE_OPERATOR = 1, 2, 3, 4
TENSOR_NAME = 8
# The fields of a node and of a tensor that hold names.
NAMES = {NODE: (NODE_INPUT, NODE_OUTPUT, NODE_NAME), INITIALIZER: (TENSOR_NAME,)}


@contextmanager
def blended_file(model: object, blend: float) -> Iterator[Path]:
    """The ONNX file of `(1 − blend) · soft + blend · crisp`, which exists within the block.

    Args:
        model: Either of the two.

    Raises:
        ArgumentError: `model` is not an embedded model, or `blend` is not from 0 to 1.
        ModelError: An embedded model is damaged.
        StorageError: The folder for temporary files cannot be written.
    """
    ends = ends_of(model)
    if not (isinstance(blend, Real) and 0 <= blend <= 1):
        raise ArgumentError(
            f"blend {shown(blend)} is out of range: give a number from 0 ({ends[0]}) to 1 "
            f"({ends[1]})"
        )
    text = blend_text(model, blend)
    data = _blended_model(ends, float(blend), text)
    with ExitStack() as held:
        with scratch_errors("a blended model"):
            place = Path(tempfile.gettempdir())
            file = held.enter_context(temporary_folder(place)).path / "blend.onnx"
            file.write_bytes(data)
        held.enter_context(about(f"blend {text}", instead_of=file))
        yield file


def blend_text(model: object, blend: float) -> str:
    """`0.6 from psnr to esrgan`. Raises ArgumentError as `ends_of` does."""
    return f"{blend:g} from {' to '.join(ends_of(model))}"


def _blended_model(ends: tuple[str, str], blend: float, text: str) -> bytes:
    (soft, soft_info), (crisp, crisp_info) = (read_fp16_onnx(model_file(end)) for end in ends)
    if blend == 0:
        graph, info = _graph_of(soft), soft_info
    elif blend == 1:
        graph, info = _graph_of(crisp), crisp_info
    else:
        graph = _blended_graph(_graph_of(soft), _graph_of(crisp), blend)
        info = _facts_of_both(soft_info, crisp_info)
    facts = (
        message((METADATA_PROPS, message((KEY, name.encode()), (VALUE, value.encode()))))
        for name, value in replace(info, blend=text).to_metadata().items()
    )
    head = (encode(each) for each in fields(soft) if each.number not in (GRAPH, METADATA_PROPS))
    return b"".join((*head, message((GRAPH, graph)), *facts))


def _facts_of_both(soft: ModelInfo, crisp: ModelInfo) -> ModelInfo:
    """All other facts are those of either."""
    larger = {name: max(getattr(soft, name), getattr(crisp, name)) for name in LARGER}
    arch = " + ".join(dict.fromkeys((soft.arch, crisp.arch)))
    return replace(crisp, **larger, arch=arch, weights_sha256=None)


def _graph_of(model: bytes) -> bytes:
    return next(bytes(each.value) for each in fields(model) if each.number == GRAPH)


def _blended_graph(soft: bytes, crisp: bytes, blend: float) -> bytes:
    mixing = message(
        _scalar(b"soft.share", 1 - blend),
        _scalar(b"crisp.share", blend),
        _node(b"Mul", b"soft.output", b"soft.share", output=b"soft.part"),
        _node(b"Mul", b"crisp.output", b"crisp.share", output=b"crisp.part"),
        _node(b"Add", b"soft.part", b"crisp.part", output=b"output"),
    )
    ends = b"".join(encode(each) for each in fields(soft) if each.number not in NAMES)
    return b"".join((_branch(soft, b"soft."), _branch(crisp, b"crisp."), mixing, ends))


def _branch(graph: bytes, prefix: bytes) -> bytes:
    """The nodes and tensors of a graph. Every name begins with `prefix`, except the input's."""
    return b"".join(
        message((field.number, _prefixed(field.value, NAMES[field.number], prefix)))
        for field in fields(graph)
        if field.number in NAMES
    )


def _prefixed(node: memoryview, names: Container[int], prefix: bytes) -> bytes:
    return b"".join(
        encode(
            # An empty name is an input that is left out.
            field._replace(value=prefix + bytes(field.value))
            if field.number in names and field.value not in (b"", b"input")
            else field
        )
        for field in fields(node)
    )


def _node(operator: bytes, *operands: bytes, output: bytes) -> tuple[int, bytes]:
    inputs = ((NODE_INPUT, operand) for operand in operands)
    return NODE, message(*inputs, (NODE_OUTPUT, output), (NODE_OPERATOR, operator))


def _scalar(name: bytes, value: float) -> tuple[int, bytes]:
    data = (TENSOR_RAW_DATA, struct.pack("<f", value))
    return INITIALIZER, message((TENSOR_DATA_TYPE, FLOAT), (TENSOR_NAME, name), data)

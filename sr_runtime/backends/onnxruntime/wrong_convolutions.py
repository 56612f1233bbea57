"""Convolutions that ONNX Runtime computes wrongly on WebGPU, found in a file before it runs.

They are those with more than 3 input channels, a multiple of 3 and not of 4, and a multiple of 4
output channels: the result differs by as much as it is large. Seen with the plug-in 0.4.0 on an
adapter in software; microsoft/onnxruntime#29651 reports a fault like it in a browser.
"""

from collections.abc import Iterator, Mapping

from sr_runtime.backends.onnx_schema import GRAPH, INITIALIZER
from sr_runtime.backends.protobuf import LENGTH, VARINT, fields, inside, integer, text, varints

__all__ = ["wrong_convolution"]

# Field numbers in GraphProto, NodeProto, AttributeProto and TensorProto.
NODE = 1
NODE_INPUT, NODE_OP_TYPE, NODE_ATTRIBUTE = 1, 4, 5
ATTRIBUTE_NAME, ATTRIBUTE_INT, ATTRIBUTE_INTS = 1, 3, 8
TENSOR_DIMS, TENSOR_NAME = 1, 8


def wrong_convolution(model: bytes) -> int | None:
    """The input channels of a convolution in an ONNX model that WebGPU gets wrong, if there is one.

    None also for what is no ONNX model.
    """
    try:
        return next(_wrong(model), None)
    except ValueError:
        return None


def _wrong(model: bytes) -> Iterator[int]:
    for graph in inside(model, GRAPH):
        shapes = {
            text(tensor, TENSOR_NAME): _integers(tensor, TENSOR_DIMS)
            for tensor in inside(graph, INITIALIZER)
        }
        for node in inside(graph, NODE):
            if text(node, NODE_OP_TYPE) == "Conv" and (channels := _wrong_channels(node, shapes)):
                yield channels


def _wrong_channels(node: memoryview, shapes: Mapping[str, list[int]]) -> int | None:
    names = [bytes(name).decode() for name in inside(node, NODE_INPUT)]
    match shapes.get(names[1]) if len(names) > 1 else None:
        case [outputs, inputs, *kernel]:
            attributes = {text(each, ATTRIBUTE_NAME): each for each in inside(node, NODE_ATTRIBUTE)}
        case _:
            return None
    if inputs <= 3 or inputs % 3 or not inputs % 4 or outputs % 4:
        return None
    group, strides = attributes.get("group"), attributes.get("strides")
    if group is not None and integer(group, ATTRIBUTE_INT) != 1:
        return None
    if {*kernel} == {1} and (strides is None or {*_integers(strides, ATTRIBUTE_INTS)} == {1}):
        return None  # a multiplication of matrices
    return inputs


def _integers(message: memoryview, number: int) -> list[int]:
    """A repeated number, packed into one field or in a field each."""
    found: list[int] = []
    for field in fields(message):
        if field.number == number and field.wire == VARINT:
            found.append(field.value)
        elif field.number == number and field.wire == LENGTH:
            found += varints(field.value)
    return found

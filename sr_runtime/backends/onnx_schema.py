"""Where the tensors and types of an ONNX file are: the fields of onnx.proto that lead to them."""

from collections.abc import Iterator

from sr_runtime.backends.protobuf import LENGTH, MAX_DEPTH, fields

__all__ = ["GRAPH", "INITIALIZER", "INSIDE", "tensors"]

# Field numbers in ModelProto and GraphProto.
GRAPH = 7
INITIALIZER = 5

INSIDE = {
    "model": {GRAPH: "graph", 25: "function"},
    "graph": {
        1: "node", INITIALIZER: "tensor", 11: "value", 12: "value", 13: "value",
        15: "sparse tensor",
    },
    "function": {7: "node", 11: "attribute", 12: "value"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor",
        23: "sparse tensor",
    },
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {},
    "value": {2: "type"},
    "type": {1: "tensor type"},
    "tensor type": {},
}  # fmt: skip
"""For each message, its fields that lead to a tensor or a type, and the message they hold."""


def tensors(model: bytes) -> Iterator[memoryview]:
    """Every TensorProto of a serialised ONNX model: initializers and those in attributes.

    Raises ValueError if it is not a model.
    """
    found = [("model", memoryview(model), 0)]
    while found:  # no recursion: a hostile file nests as deep as it is long
        kind, message, depth = found.pop()
        if kind == "tensor":
            yield message
            continue
        if depth == MAX_DEPTH:
            raise ValueError(f"messages are nested more than {MAX_DEPTH} deep")
        found += [
            (inner, field.value, depth + 1)
            for field in fields(message)
            if field.wire == LENGTH and (inner := INSIDE[kind].get(field.number))
        ]

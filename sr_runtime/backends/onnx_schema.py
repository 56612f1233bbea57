"""Where the tensors, types and metadata of an ONNX file are: the fields of onnx.proto."""

from collections.abc import Iterator

from sr_runtime.backends.protobuf import LENGTH, MAX_DEPTH, fields, inside, text

__all__ = [
    "GRAPH",
    "INITIALIZER",
    "INSIDE",
    "KEY",
    "METADATA_PROPS",
    "VALUE",
    "entries",
    "tensors",
]

# Field numbers in ModelProto, GraphProto and StringStringEntryProto, in this order.
GRAPH, METADATA_PROPS = 7, 14
INITIALIZER = 5
KEY, VALUE = 1, 2

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


def entries(message: bytes | memoryview, number: int) -> dict[str, str]:
    """A map of strings, which is a field of key and value for each."""
    return {text(entry, KEY): text(entry, VALUE) for entry in inside(message, number)}

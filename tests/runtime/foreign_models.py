"""Other people's models with a known answer, in the ONNX that their tools write."""

from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

ANY = [1, 3, "h", "w"]


def node(operator: str, inputs: str, output: str, **attributes: object) -> NodeProto:
    return helper.make_node(operator, inputs.split(" "), [output], **attributes)


def nearest(source: str, target: str, factors: str = "twice") -> NodeProto:
    return node(
        "Resize", f"{source}  {factors}", target, mode="nearest",
        coordinate_transformation_mode="asymmetric", nearest_mode="floor",
    )  # fmt: skip


def scalar(value: float) -> np.ndarray:
    return np.array(value, np.float32)


def save(
    path: Path,
    nodes: list[NodeProto],
    shape: list = ANY,
    outputs: tuple[str, ...] = ("y",),
    **constants: np.ndarray,
) -> Path:
    """A model from `x` to `outputs`, in the constants of this file and its own."""
    constants = {
        "twice": np.array([1, 1, 2, 2], np.float32),
        "twice_last": np.array([1, 2, 2, 1], np.float32),
        **constants,
    }
    used = {name for each in nodes for name in each.input}
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, k) for k, value in constants.items() if k in used],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def in_windows(path: Path, side: int, *, strict: bool, shape: list = ANY) -> Path:
    """×2 in which a pixel is mixed with the largest of its window; `strict` refuses other sizes."""
    head = [
        node("SpaceToDepth", "x", "d", blocksize=side),
        node("DepthToSpace", "d", "i", blocksize=side),
    ]
    whole = "i" if strict else "x"
    nodes = [
        *(head if strict else []),
        node("MaxPool", whole, "p", kernel_shape=[side] * 2, strides=[side] * 2, ceil_mode=1),
        nearest("p", "q", "side"),
        node("Shape", whole, "s", start=2),
        node("Slice", "q zero s axes", "r"),
        node("Add", f"{whole} r", "a"),
        node("Mul", "a half", "m"),
        nearest("m", "y"),
    ]
    return save(
        path, nodes, shape, half=scalar(0.5), side=np.array([1, 1, side, side], np.float32),
        zero=np.zeros(2, np.int64), axes=np.array([2, 3]),
    )  # fmt: skip


def unshuffling(path: Path, block: int, shape: list) -> Path:
    """×2 that works on blocks of `block` pixels, of which each brightens its first by its last."""
    channels = 3 * block * block
    weights = np.eye(channels, dtype=np.float32)[:, :, np.newaxis, np.newaxis]
    weights[:3, -3:, 0, 0] += 0.3 * np.eye(3, dtype=np.float32)
    nodes = [
        node("SpaceToDepth", "x", "d", blocksize=block),
        node("Conv", "d w", "c"),
        node("DepthToSpace", "c", "i", blocksize=block),
        nearest("i", "y"),
    ]
    return save(path, nodes, shape, w=weights)

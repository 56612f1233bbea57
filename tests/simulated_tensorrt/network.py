"""From an ONNX file to the builder's network: the parser, and what it makes."""

import math
from dataclasses import dataclass
from typing import Any

import onnx

from tests.simulated_tensorrt.library_state import Library

__all__ = ["TYPES", "INetworkDefinition", "OnnxParser", "largest_volume", "types_of"]

TYPES = {
    onnx.TensorProto.FLOAT: "FLOAT",
    onnx.TensorProto.FLOAT16: "HALF",
    onnx.TensorProto.UINT8: "UINT8",
    onnx.TensorProto.BOOL: "BOOL",
    onnx.TensorProto.INT64: "INT64",
    onnx.TensorProto.INT32: "INT32",
}


@dataclass
class Tensor:
    name: str
    dtype: Any


@dataclass
class Layer:
    name: str
    type: Any
    inputs: list[Tensor]

    def get_input(self, index: int) -> Tensor:
        return self.inputs[index]


class INetworkDefinition:
    def __init__(self, library: Library, flags: int) -> None:
        self._library, self.flags = library, flags
        self.model: onnx.ModelProto | None = None
        self._layers: list[Layer] = []
        self._inputs: list[Tensor] = []
        self._outputs: list[Tensor] = []

    @property
    def num_inputs(self) -> int:
        return len(self._inputs)

    @property
    def num_layers(self) -> int:
        return len(self._layers)

    def get_input(self, index: int) -> Tensor:
        return self._inputs[index]

    @property
    def num_outputs(self) -> int:
        return len(self._outputs)

    def get_output(self, index: int) -> Tensor:
        return self._outputs[index]

    def get_layer(self, index: int) -> Layer:
        return self._layers[index]

    def take(self, model: onnx.ModelProto) -> None:
        """The parser's work."""
        self.model = model
        types = types_of(model)
        self._inputs, self._outputs = (
            [Tensor(value.name, self._dtype(types[value.name])) for value in values]
            for values in (model.graph.input, model.graph.output)
        )
        kinds = self._library.LayerType
        self._layers = [
            Layer(
                node.name,
                kinds.CONVOLUTION if node.op_type == "Conv" else kinds.ELEMENTWISE,
                [Tensor(name, self._dtype(types.get(name, 0))) for name in node.input],
            )
            for node in model.graph.node
        ]

    def _dtype(self, element_type: int) -> Any:
        return self._library.DataType[TYPES.get(element_type, "FLOAT")]


def largest_volume(model: onnx.ModelProto, shape: tuple[int, ...]) -> int:
    """Values of a network's largest tensor for an input of this shape."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    sides = fixed.graph.input[0].type.tensor_type.shape.dim
    for side, value in zip(sides, shape, strict=True):
        side.dim_value = value
    graph = onnx.shape_inference.infer_shapes(fixed, data_prop=True).graph
    return max(
        math.prod(side.dim_value for side in value.type.tensor_type.shape.dim)
        for value in (*graph.value_info, *graph.output)
    )


class OnnxParser:
    def __init__(self, network: INetworkDefinition, logger: Any) -> None:
        self._network = network
        self._errors: list[ParserError] = []

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> "ParserError":
        return self._errors[index]

    def parse(self, model: bytes, path: str | None = None) -> bool:
        try:
            parsed = onnx.load_model_from_string(model)
            onnx.checker.check_model(parsed)
        except Exception as error:
            self._errors.append(ParserError(f"Failed to parse the model:\n{error}", ""))
            return False
        self._network.take(parsed)
        return True


@dataclass
class ParserError:
    _desc: str
    _node: str

    def desc(self) -> str:
        return self._desc

    def node_name(self) -> str:
        return self._node


def types_of(model: onnx.ModelProto) -> dict[str, int]:
    """The element type of every tensor of a model, by its name."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    values = (*graph.input, *graph.output, *graph.value_info)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return types | {tensor.name: tensor.data_type for tensor in graph.initializer}

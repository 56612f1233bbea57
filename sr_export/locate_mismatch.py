"""Which layer of an ONNX file computes something else than its checkpoint: for error messages."""

from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from torch import nn

from sr_export.halo import tensor_from_crop
from sr_runtime.model_info import ModelInfo
from sr_runtime.tensor import tensor_from_tiles
from sr_train.models.generator import Generator

__all__ = ["first_differing_layer"]

# Of a layer's largest value: well above FP16's rounding over a whole network, far below a fault.
TOLERANCE = 0.05


def first_differing_layer(generator: Generator, path: Path, crop: NDArray[np.uint8]) -> str:
    """Run file and generator layer by layer on an `(h, w, C)` crop; say in words where they part.

    The file is run by onnx's own evaluator: slow, but no optimiser comes between.
    """
    model = onnx.load(path)
    info = ModelInfo.from_metadata({prop.key: prop.value for prop in model.metadata_props})
    outputs = {
        node.input[1].removesuffix(".weight"): node.output[0]
        for node in model.graph.node
        if node.op_type == "Conv"
    }
    layers = {
        name: module for name, module in generator.named_modules() if isinstance(module, nn.Conv2d)
    }
    if info is None or outputs.keys() != layers.keys():
        return "its layers are not named as the checkpoint's, so none can be pointed at"

    wanted = _layer_outputs(generator, layers, crop)
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=outputs[name]) for name in wanted)
    batch = tensor_from_tiles([crop], info)
    with np.errstate(all="ignore"):  # what is not finite is what is looked for
        got = ReferenceEvaluator(model).run(None, {model.graph.input[0].name: batch})
    for (name, expected), value in zip(wanted.items(), got, strict=True):
        off = float(np.abs(value.astype(np.float32) - expected).max())
        if not off <= TOLERANCE * float(np.abs(expected).max()):
            return f"the first layer that differs is {name}, by up to {off:.3g}"
    return "layer by layer the file is right, so it is the inference engine that differs"


def _layer_outputs(
    generator: Generator, layers: dict[str, nn.Conv2d], crop: NDArray[np.uint8]
) -> dict[str, NDArray[np.float32]]:
    """What every convolution returns, in the order in which they run."""
    outputs: dict[str, NDArray[np.float32]] = {}

    def keep(name: str):  # type: ignore[no-untyped-def]
        # A copy: the activation that follows works in place.
        return lambda _module, _inputs, output: outputs.update({name: output.numpy().copy()})

    handles = [module.register_forward_hook(keep(name)) for name, module in layers.items()]
    try:
        with torch.inference_mode():
            generator(tensor_from_crop(crop))
    finally:
        for handle in handles:
            handle.remove()
    return outputs

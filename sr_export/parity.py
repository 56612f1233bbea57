"""The parity gate: the generator in torch against the file that was written, on real pixels."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sr_export.checks import Check
from sr_export.fp16_check import half_precision_checks, precision_checks
from sr_export.halo import calibration_images, tensor_from_crop
from sr_export.locate_mismatch import first_differing_layer
from sr_runtime.backends import registry
from sr_runtime.backends.base import Backend, infer
from sr_runtime.embedded import model_file
from sr_runtime.errors import ModelError, SRError
from sr_runtime.tensor import float_planes, planes_from_output, tensor_from_tiles
from sr_train.models.generator import Generator

__all__ = ["VerificationError", "require", "verify"]

MAX_FP32_ERROR = 1e-4

# A real crop, and an odd size that no kernel is made for.
SIZES = ((64, 64), (37, 53))


class VerificationError(SRError):
    """An exported model does not compute what its checkpoint does."""


def verify(generator: Generator, model: Path, *, backend: str = "auto") -> list[Check]:
    """Compare a generator with its ONNX file, computed by an inference engine in fp32.

    An FP16 file's weights are also put to the test in true half precision, which engines on a CPU
    do not use: they would not see it overflow.

    Raises:
        BackendError: No inference engine works here.
        ModelError: The file is of another network.
    """
    name, _ = registry.choose(backend, "cpu")
    file = model_file(model)
    with closing(registry.open_backend(name, file, device="cpu", precision="fp32")) as engine:
        info = engine.info
        facts = (info.scale, info.in_channels, info.multiple_of)
        expected = (generator.scale_factor, generator.in_channels, generator.multiple_of)
        if facts != expected:
            raise ModelError(
                f"{model}: (scale, channels, multiple_of) are {facts}, and the checkpoint's are "
                f"{expected}: these are different networks"
            )
        crops = _crops(generator)
        checks = [check for crop in crops for check in _compare(generator, engine, crop)]
    if info.weights_dtype == "float16":
        # First, for they know the layer.
        return [*half_precision_checks(generator, tensor_from_crop(crops[0])), *checks]
    return checks


def require(checks: Sequence[Check], generator: Generator, model: Path) -> None:
    """Raise VerificationError for the first check that failed, naming the layer at fault."""
    for check in checks:
        if not check.passed:
            layer = check.layer or first_differing_layer(generator, model, _crops(generator)[1])
            raise VerificationError(
                f"the model does not match its checkpoint: {check.name} is {check.value:.3g}, and "
                f"the limit is {check.limit:g}; {layer}"
            )


def _crops(generator: Generator) -> list[NDArray[np.uint8]]:
    """`(h, w, C)` crops of a shipped photo in `SIZES`, rounded down to sizes the network takes."""
    pixels = calibration_images(channels=generator.in_channels)[0]
    multiple = generator.multiple_of
    return [
        pixels[64 : 64 + height // multiple * multiple, 64 : 64 + width // multiple * multiple]
        for height, width in SIZES
    ]


def _compare(generator: Generator, engine: Backend, crop: NDArray[np.uint8]) -> list[Check]:
    info, what = engine.info, f"file against fp32, {crop.shape[0]}×{crop.shape[1]}"
    output = infer(engine, tensor_from_tiles([crop], info))
    got = float_planes(planes_from_output(output, info)[0])
    with torch.inference_mode():
        wanted = generator(tensor_from_crop(crop))[0].numpy()
    if info.io == "uint8":
        wanted = np.rint(wanted.clip(0, 1) * 255) / np.float32(255)
    if info.weights_dtype == "float16":
        return precision_checks(what, got, wanted)
    # Rounding to uint8, a value in the middle may go either way.
    limit = MAX_FP32_ERROR + (1 / 255 if info.io == "uint8" else 0)
    return [Check(f"{what}: largest error", float(np.abs(got - wanted).max()), limit)]

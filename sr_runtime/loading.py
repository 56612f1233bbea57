"""load(): from a model's name or file to an open Upscaler."""

import os
from contextlib import nullcontext
from typing import Literal

from sr_runtime.backends.choice import is_engine, open_model
from sr_runtime.blend import blended_file
from sr_runtime.embedded import DEFAULT, model_file
from sr_runtime.errors import ArgumentError
from sr_runtime.file_kinds import refuse_other_kinds
from sr_runtime.model_version import version_of
from sr_runtime.printable import shown
from sr_runtime.upscaler import Upscaler

__all__ = ["load"]


def load(
    model: str | os.PathLike[str] = DEFAULT,
    *,
    backend: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    tile: int | Literal["auto"] = "auto",
    halo: int | Literal["auto", "exact"] = "auto",
    tta: bool = False,
    blend: float | None = None,
) -> Upscaler:
    """Open a model for upscaling.

        with sr_runtime.load() as upscaler:
            large = upscaler.upscale(image)

    Args:
        model: "photo", "photo-soft", "esrgan" or "psnr", which the package carries
            (sr_runtime/models/README.md); the name of an ONNX file in the user's folder of models,
            without its suffix (docs/upscale.md); an ONNX file, exported by this project or anyone
            else's ESRGAN; or a TensorRT engine. A `Path` is always a file.
        backend: "tensorrt-rtx", "tensorrt", "onnxruntime", "webgpu", "openvino"; "plugin:NAME", a
            plug-in of ONNX Runtime (docs/gpus.md); or "auto": the fastest one that works here,
            takes the file in its own precision and is ready within seconds. On GeForce RTX and RTX
            PRO cards that is "tensorrt-rtx" for FP16 files of this project, where it is installed;
            "tensorrt" builds an engine for minutes, and so has to be named.
        device: "cpu"; a kind of device and its number, as "cuda:0" ("cuda" is the same) or
            "webgpu:0"; "cuda:0,cuda:1" for several that share the work; or "auto": the fastest one
            that works here, a GPU before the CPU.
        precision: How the backend computes. On a CPU it is "fp32" or "bf16", whatever type the
            file stores its weights in; "auto" is bf16 if both processor and backend have it, else
            fp32. On a GPU it is the file's own, "fp16" or "fp32", and "auto" means that; "webgpu"
            also computes FP16 files in "fp32", and "auto" is that where the GPU has no FP16.
        tile: Largest side of a tile in LR pixels, halo included; smaller tiles take less memory.
            "auto" is 512, or 384 in fp32, unless the device, the engine or the halo needs another;
            for a network that looks at the whole image, up to what half of the free memory holds.
        halo: LR pixels of context around a tile: "auto" is the model's calibrated halo (tiles
            differ from the whole image by at most 1/255), "exact" the receptive radius
            (differences only from float rounding), or a number.
        tta: Average over the eight flips and rotations, for eight times the work.
        blend: Mix the results of an embedded model and its partner, for the work of both: 0 is
            "photo-soft" or "psnr", 1 is "photo" or "esrgan".

    Raises:
        ModelError: The file does not exist or is not a super-resolution model, or an embedded
            model is damaged.
        StorageError: The file cannot be opened.
        BackendError: The backend, device or precision is not available here.
        ArgumentError: A value is not one of those above.
    """
    for argument, word in {"backend": backend, "device": device, "precision": precision}.items():
        if not isinstance(word, str):
            raise ArgumentError(f'{argument} is {shown(word)}: give a name such as "auto"')
    if not isinstance(tta, bool):
        raise ArgumentError(f"tta is {shown(tta)}: give True or False")
    with nullcontext(model_file(model)) if blend is None else blended_file(model, blend) as file:
        if not is_engine(file):
            refuse_other_kinds(file)
        version = version_of(file)
        engine = open_model(file, backend=backend, device=device, precision=precision)
    try:
        known = file if blend is None else None
        return Upscaler(engine, tile=tile, halo=halo, tta=tta, model=known, model_version=version)
    except BaseException:
        engine.close()
        raise

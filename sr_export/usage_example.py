"""The program on a model card: it runs one ONNX file on one image with ONNX Runtime alone."""

from pathlib import Path

from sr_runtime.backends.onnx_metadata import declared_inputs
from sr_runtime.model_info import ModelInfo

__all__ = ["usage_example"]

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""Pillow's modes of as many channels."""


def usage_example(file: Path, info: ModelInfo) -> list[str]:
    """Its lines; none for a model that takes or returns no picture with values as ours have them.

    Nor for one that takes only batches, or only images of one width or of one height.

    Raises ModelError if the file is not an ONNX model, StorageError if it cannot be read.
    """
    inputs, _ = declared_inputs(file)
    is_picture = {info.in_channels, info.out_channels} <= MODES.keys()
    if len(inputs) != 1 or not is_picture or not (info.is_plain or info.io == "uint8"):
        return []
    tensor, scale, multiple = inputs[0], info.scale, info.multiple_of
    height, width = info.only_size(tensor.shape)
    takes_one_image = len(tensor.shape) == 4 and tensor.shape[0] in (None, 1)
    if not takes_one_image or (height is None) != (width is None):
        return []
    lines = [
        "import numpy as np",
        "import onnxruntime",
        "from PIL import Image",
        "",
        "session = onnxruntime.InferenceSession(",
        f'    {file.name!r}, providers=["CPUExecutionProvider"]',
        ")",
        f'image = Image.open("photo.jpg").convert("{MODES[info.in_channels]}")',
    ]
    if height and width:
        lines.append(
            f"image = image.crop((0, 0, {width}, {height}))  # the only size that it takes"
        )
    gray = info.in_channels == 1
    lines.append(f"pixels = np.asarray(image){'[:, :, None]' if gray else ''}")
    is_padded = not (height and width) and (multiple, info.min_side) != (1, 1)
    if is_padded:
        lines += [
            "height, width = pixels.shape[:2]",
            f"sides = [max(side, {info.min_side}) for side in (height, width)]",
            f"sides = [side + -side % {multiple} for side in sides]  # that the model takes",
            "padding = (0, sides[0] - height), (0, sides[1] - width), (0, 0)",
            'pixels = np.pad(pixels, padding, "edge")',
        ]
    if info.io == "uint8":
        batch, result = "pixels[None]", "result"
    else:
        batch = f"pixels.transpose(2, 0, 1)[None].astype(np.{tensor.dtype}) / 255"
        result = "(result.transpose(1, 2, 0).clip(0, 1) * 255).round().astype(np.uint8)"
    lines += [
        f"batch = {batch}",
        f"result = session.run(None, {{{tensor.name!r}: batch}})[{info.output}][0]",
        f"large = {result}",
    ]
    if is_padded:
        lines.append(f"large = large[: height * {scale}, : width * {scale}]")
    gray = info.out_channels == 1
    lines.append(f'Image.fromarray(large{"[:, :, 0]" if gray else ""}).save("photo_x{scale}.png")')
    return lines

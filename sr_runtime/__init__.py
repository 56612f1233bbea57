"""Upscale real images with ESRGAN models, in tiles, fast and without seams; no torch needed.

    import sr_runtime

    with sr_runtime.load() as upscaler:
        upscaler.upscale_file("photo.jpg", "photo_x4.png")

`Upscaler.upscale` takes and returns numpy arrays and PIL images. `load` opens one of the models
that the package carries, or an ONNX file.
"""

from sr_runtime.errors import (
    ArgumentError,
    BackendError,
    DataError,
    ImageError,
    ModelError,
    NonFiniteError,
    OutOfMemoryError,
    SRError,
    StorageError,
)
from sr_runtime.model_info import ModelInfo
from sr_runtime.output_size import OutputSize
from sr_runtime.progress import Progress
from sr_runtime.upscaler import Upscaler, load

__all__ = [
    "ArgumentError",
    "BackendError",
    "DataError",
    "ImageError",
    "ModelError",
    "ModelInfo",
    "NonFiniteError",
    "OutOfMemoryError",
    "OutputSize",
    "Progress",
    "SRError",
    "StorageError",
    "Upscaler",
    "__version__",
    "load",
]

__version__ = "0.2.0"

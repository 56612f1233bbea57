"""Upscale real images with ESRGAN models, in tiles, fast and without seams; no torch needed.

    import sr_runtime

    with sr_runtime.load() as upscaler:
        upscaler.upscale_file("photo.jpg", "photo_x4.png")

`load` opens one of the models that the package carries, an ONNX file or a TensorRT engine.
`Upscaler.upscale` takes and returns numpy arrays (RGB; uint8, uint16, or float32 in [0, 1]) and PIL
images. `help(sr_runtime.load)` and `help(sr_runtime.Upscaler)` have the details. Every error raised
on purpose is an `SRError`, whose message is one sentence for the user.
"""

from typing import TYPE_CHECKING

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
from sr_runtime.lazy import imported_at_first_use

if TYPE_CHECKING:
    from sr_runtime.loading import load
    from sr_runtime.model_info import ModelInfo
    from sr_runtime.passes import Progress
    from sr_runtime.rows.protocols import RowReader, RowWriter
    from sr_runtime.upscaler import Upscaler
else:
    __getattr__ = imported_at_first_use(
        __name__,
        {
            "ModelInfo": "sr_runtime.model_info",
            "Progress": "sr_runtime.passes",
            "RowReader": "sr_runtime.rows.protocols",
            "RowWriter": "sr_runtime.rows.protocols",
            "Upscaler": "sr_runtime.upscaler",
            "load": "sr_runtime.loading",
        },
    )

__all__ = [
    "ArgumentError",
    "BackendError",
    "DataError",
    "ImageError",
    "ModelError",
    "ModelInfo",
    "NonFiniteError",
    "OutOfMemoryError",
    "Progress",
    "RowReader",
    "RowWriter",
    "SRError",
    "StorageError",
    "Upscaler",
    "__version__",
    "load",
]

__version__ = "0.2.0"

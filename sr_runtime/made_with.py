"""What the pixels of a result depend on, for work that goes on another day."""

import hashlib
from weakref import WeakKeyDictionary

import sr_runtime
from sr_runtime.backends.choice import is_engine
from sr_runtime.backends.onnx_metadata import content_hash
from sr_runtime.errors import ModelError
from sr_runtime.model_version import version_of
from sr_runtime.row_upscaler import RowUpscaler

__all__ = ["made_with"]

_hashes: WeakKeyDictionary[RowUpscaler, str] = WeakKeyDictionary()
"""Of the models of upscalers: the file is read once, and not for every image."""


def made_with(upscaler: RowUpscaler) -> dict[str, str]:
    """By names for a message. Equal values give equal pixels, up to the engine's own rounding.

    Raises ModelError, at the first call for an upscaler, if the model's files have changed since
    they were loaded.

    Tiles that shrink when memory runs out count as those that were asked for: work that has begun
    goes on with them.
    """
    backend = upscaler.backend
    height, width = upscaler.tile
    return {
        "model": _hashes.get(upscaler) or _hashes.setdefault(upscaler, _model(upscaler)),
        "backend": f"{backend.name} in {backend.compute_dtype}",
        "halo": str(upscaler.halo),
        "tile": f"{width}×{height}",
        "tta": "yes" if upscaler.tta else "no",
    }


def _model(upscaler: RowUpscaler) -> str:
    model = upscaler.model
    if model is None:
        return f"blend {upscaler.info.blend} of sr-toolkit {sr_runtime.__version__}"
    if version_of(model) != upscaler.model_version:
        raise ModelError(
            "it has changed since it was loaded, so what it makes cannot be noted: load it again",
            path=model,
        )
    if not is_engine(model):
        return content_hash(model)
    with model.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

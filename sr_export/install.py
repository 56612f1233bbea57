"""Where an export goes in the user's folder of models, in which every command finds it by name."""

import os
import unicodedata
from pathlib import Path

from sr_runtime.backends.onnx_header import read_header
from sr_runtime.embedded import EMBEDDED
from sr_runtime.errors import ArgumentError, SRError, require_extra
from sr_runtime.model_folder import model_files, models_folder, name_problem
from sr_runtime.printable import shown
from sr_runtime.storage.atomic import check_target, create_folder

__all__ = ["place_for"]

RENAME = "choose another with --install NAME"


def place_for(
    name: str,
    checkpoint: Path,
    *,
    precision: str,
    io: str,
    scale: int | None,
    activation: str | None,
) -> Path:
    """The file of the model `name`, which `checkpoint` is to become; its folder exists now.

    It may be there already, if it is an export of the same weights in the same types.

    Raises:
        ArgumentError: `name` is none that a model can have, or another model has it.
        ModelError: The name is taken, and the checkpoint cannot be read to compare both.
        StorageError: The folder cannot be read or created.
    """
    if why := name_problem(name):
        raise ArgumentError(f"{shown(name)} cannot be a model's name: {why}: {RENAME}")
    if _key(name) in EMBEDDED:
        raise ArgumentError(f"{shown(name)} is the name of a model of the package: {RENAME}")
    place = models_folder() / f"{name}.onnx"
    for file in model_files():
        if file.name != place.name and _key(file.name) == _key(place.name):
            raise ArgumentError(
                f"on some systems this file has the name {shown(name)} too: {RENAME}", path=file
            )
    if os.path.lexists(place):
        with require_extra("export"):
            from sr_train.checkpoint import load_any_generator, weights_sha256
        types = {"fp32": "float32", "fp16": "float16"}[precision], io
        generator = load_any_generator(checkpoint, scale=scale, activation=activation)
        if _weights_and_types(place) != (weights_sha256(generator), *types):
            raise ArgumentError(
                f"this is another model of the name {shown(name)}: delete it, or {RENAME}",
                path=place,
            )
    create_folder(place.parent)
    check_target(place, inputs=[checkpoint])  # now: the export takes minutes
    return place


def _weights_and_types(model: Path) -> tuple[str | None, ...]:
    """What tells whether a file is the same model; nothing for one that states no facts."""
    try:
        info = read_header(model).info if model.is_file() else None
    except SRError:
        return ()
    return () if info is None else (info.weights_sha256, info.weights_dtype, info.io)


def _key(name: str) -> str:
    """Equal for names that are one file's on some systems."""
    return unicodedata.normalize("NFC", name).casefold()

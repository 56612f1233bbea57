"""From a model's name to its file: those that the package carries, checked, and the user's own."""

import hashlib
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

from sr_runtime.errors import ArgumentError, ModelError, StorageError
from sr_runtime.model_folder import named_file, own_names, stem_of
from sr_runtime.nearest import nearest, nearest_file
from sr_runtime.printable import listed, shown, some

__all__ = [
    "BLENDS", "DEFAULT", "EMBEDDED", "LICENCE", "NAMED", "checkpoint_file", "ends_of", "model_file",
]  # fmt: skip

FOLDER = Path(__file__).with_name("models")

# SHA-256 of each NAME.onnx in the folder.
EMBEDDED = {
    "photo": "30e28c9c9de3ea9da515da7bcf40452fcb9d1afb3f22fa2588a27d87e5dba5d1",
    "photo-soft": "14a118c9def0bb278fe975a6993473aa66b823dd47898738edf88bea6dd98e49",
    "esrgan": "4e258e3591594e186a9aa949288f1f2ae4f457471cc9eb1baeb6ce1ef26dfd30",
    "psnr": "fad6e2802996d3184a9a748c0ef80b1f1e1a9e9b0f97d48dc665ba0c41eeddbb",
}
DEFAULT = "photo"

BLENDS = (("photo-soft", "photo"), ("psnr", "esrgan"))
"""Partners: the model at blend 0 and the one at blend 1."""

LICENCE = "sr-toolkit-weights (non-commercial)"
"""Of the embedded models: models/LICENSE."""

NAMED = 5
"""Names of the user's models that a message lists."""


def model_file(model: str | os.PathLike[str]) -> Path:
    """The file of `model`: a name in `EMBEDDED`, one of the user's folder of models, or a path.

    The first of these that there is; a `Path` is always a path.

    Raises ModelError if the file does not exist, or an embedded one is not the published one;
    StorageError if its path is too long, or its folder or that of models cannot be read;
    ArgumentError if `model` is neither a name nor a path.
    """
    if model == "" or not isinstance(model, str | os.PathLike):
        raise ArgumentError(
            f"the model is {shown(model)}: give {listed(EMBEDDED, 'or')}, or a path to a file"
        )
    if not isinstance(model, str):
        return _users_file(model)
    if model not in EMBEDDED:
        return _users_file(named_file(model) or model, own_names)
    file = FOLDER / f"{model}.onnx"
    remedy = "reinstall sr-toolkit, or name a model file of your own"
    try:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(
            f"the embedded model {model} cannot be read ({error.strerror}): {remedy}", path=file
        ) from error
    if digest != EMBEDDED[model]:
        raise ModelError(
            f"the embedded model {model} is damaged (its SHA-256 begins with {digest[:8]} instead "
            f"of {EMBEDDED[model][:8]}): {remedy}",
            path=file,
        )
    return file


def ends_of(model: object) -> tuple[str, str]:
    """`model` and its partner: the models at blend 0 and at blend 1.

    Raises ArgumentError if it is not a model of the package.
    """
    for ends in BLENDS:
        if isinstance(model, str) and model in ends:
            return ends
    raise ArgumentError(
        f"a blend mixes two models of the package, {listed(map(listed, BLENDS), 'or')}, and "
        f"{shown(model)} is none of them: leave out the blend or the model"
    )


def checkpoint_file(model: str | os.PathLike[str]) -> Path:
    """The file from which training goes on: an embedded model's weights in fp32, or a path.

    Raises as `model_file` does.
    """
    if isinstance(model, str) and model in EMBEDDED:
        return FOLDER / "training" / f"{model}.safetensors"
    return _users_file(model)


def _users_file(
    model: str | os.PathLike[str], own: Callable[[], Sequence[str]] = lambda: ()
) -> Path:
    """Args:
    own: The names that may have been meant, besides those in `EMBEDDED`.
    """
    path = Path(model)
    try:
        mode = path.stat().st_mode  # from Python 3.14 on, is_file() has no error to tell
    except (FileNotFoundError, NotADirectoryError, ValueError):
        mode = 0
    except OSError as error:  # a name that is too long, a folder that cannot be entered
        raise StorageError(f"cannot be opened ({error.strerror})", path=path) from error
    if stat.S_ISREG(mode):
        return path
    others = own()
    names = f"the package carries {listed(EMBEDDED)}"
    if others:
        names += f", and your folder of models {some(others, NAMED)}"
    if stat.S_ISDIR(mode):
        raise ModelError(f"this is a folder: name a model file; {names}", path=path)
    if mode:
        raise ModelError(
            "a model is read from a regular file, and this is a pipe or a device: save it to a "
            "file first",
            path=path,
        )
    if path.is_symlink():
        raise ModelError(f"this link leads to no file: make it anew; {names}", path=path)
    # Only a bare word can be a mistyped name; a file's name means a model called exactly so.
    stem, known = stem_of(path.name), [*EMBEDDED, *others] if path.name == model else []
    if near := nearest(stem, known if stem == model else {stem}.intersection(known)):
        raise ModelError(f"there is no such model{near} ({names})", path=path)
    if near := nearest_file(path):
        raise ModelError(f"there is no such model file{near} ({names})", path=path)
    raise ModelError(f"there is no such model file; {names}", path=path)

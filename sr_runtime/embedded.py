"""The models that the package carries, and the check that their files are intact."""

import hashlib
import os
import stat
from pathlib import Path

from sr_runtime.errors import ArgumentError, ModelError, StorageError
from sr_runtime.nearest import nearest, nearest_file
from sr_runtime.printable import shown

__all__ = ["DEFAULT", "EMBEDDED", "checkpoint_file", "model_file"]

FOLDER = Path(__file__).with_name("models")

# SHA-256 of each NAME.onnx in the folder.
EMBEDDED = {
    "esrgan": "4e258e3591594e186a9aa949288f1f2ae4f457471cc9eb1baeb6ce1ef26dfd30",
    "psnr": "1b8a6464c209eaeec84e3645aa6398bfdb185f69075cf01437e0774a48a3d356",
}
DEFAULT = "esrgan"


def model_file(model: str | os.PathLike[str]) -> Path:
    """The file of `model`: a name in `EMBEDDED`, or a path. A `Path` is always a path.

    Raises ModelError if the file does not exist, or an embedded one is not the published one;
    StorageError if its path is too long, or its folder cannot be entered; ArgumentError if `model`
    is neither a name nor a path.
    """
    if model == "" or not isinstance(model, str | os.PathLike):
        raise ArgumentError(
            f"the model is {shown(model)}: give {' or '.join(EMBEDDED)}, or a path to a file"
        )
    if not isinstance(model, str) or model not in EMBEDDED:
        return _users_file(model)
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


def checkpoint_file(model: str | os.PathLike[str]) -> Path:
    """The file from which training goes on: an embedded model's weights in fp32, or a path.

    Raises as `model_file` does.
    """
    if isinstance(model, str) and model in EMBEDDED:
        return FOLDER / "training" / f"{model}.safetensors"
    return _users_file(model)


def _users_file(model: str | os.PathLike[str]) -> Path:
    path = Path(model)
    try:
        mode = path.stat().st_mode  # from Python 3.14 on, is_file() has no error to tell
    except (FileNotFoundError, NotADirectoryError, ValueError):
        mode = 0
    except OSError as error:  # a name that is too long, a folder that cannot be entered
        raise StorageError(f"cannot be opened ({error.strerror})", path=path) from error
    if stat.S_ISREG(mode):
        return path
    names = f"the package carries {' and '.join(EMBEDDED)}"
    if stat.S_ISDIR(mode):
        raise ModelError(f"this is a folder: name a model file; {names}", path=path)
    if mode:
        raise ModelError(
            "a model is read from a regular file, and this is a pipe or a device: save it to a "
            "file first",
            path=path,
        )
    # Only a bare word can be a mistyped name; a path or a file name gets no guess.
    word = path.name.lower() if path.name == model and not path.suffix else ""
    if near := nearest(word, EMBEDDED):
        raise ModelError(f"there is no such model{near} ({names})", path=path)
    if near := nearest_file(path):
        raise ModelError(f"there is no such model file{near} ({names})", path=path)
    raise ModelError(f"there is no such model file; {names}", path=path)

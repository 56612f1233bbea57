"""The models that the package carries: which there are, and that their files are whole."""

import hashlib
import os
from pathlib import Path

from sr_runtime.errors import ModelError

__all__ = ["DEFAULT", "EMBEDDED", "model_file"]

FOLDER = Path(__file__).with_name("models")

# SHA-256 of NAME.onnx in it.
EMBEDDED = {
    "esrgan": "4e258e3591594e186a9aa949288f1f2ae4f457471cc9eb1baeb6ce1ef26dfd30",
    "psnr": "1b8a6464c209eaeec84e3645aa6398bfdb185f69075cf01437e0774a48a3d356",
}
DEFAULT = "esrgan"


def model_file(model: str | os.PathLike[str]) -> Path:
    """The file of `model`: one of `EMBEDDED` by its name, or a path. A `Path` is always a path.

    Raises ModelError if there is no such file, or an embedded one is not what was published.
    """
    if not isinstance(model, str) or model not in EMBEDDED:
        return _users_file(Path(model))
    file = FOLDER / f"{model}.onnx"
    remedy = "reinstall sr-toolkit, or name a model file of your own"
    try:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(
            f"{file}: the embedded model {model} cannot be read ({error.strerror}): {remedy}"
        ) from error
    if digest != EMBEDDED[model]:
        raise ModelError(
            f"{file}: the embedded model {model} is damaged (its SHA-256 begins {digest[:8]} "
            f"instead of {EMBEDDED[model][:8]}): {remedy}"
        )
    return file


def _users_file(path: Path) -> Path:
    names = " and ".join(EMBEDDED)
    if path.is_dir():
        raise ModelError(
            f"{path}: this is a folder: name a model file; the package carries {names}"
        )
    if not path.is_file():
        raise ModelError(f"{path}: there is no such model file; the package carries {names}")
    return path

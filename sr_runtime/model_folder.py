"""The user's folder of models: NAME.onnx in it is the model NAME for every command."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sr_runtime.errors import StorageError
from sr_runtime.printable import printable
from sr_runtime.storage.user_folder import VARIABLES, user_folder

__all__ = ["model_files", "models_folder", "name_problem", "named_file", "own_names", "stem_of"]

FILE_SUFFIXES = (".onnx", ".engine", ".plan", ".pth", ".pt", ".ckpt", ".safetensors")
"""A word that ends so is a file and no name."""

LONGEST = 200
"""Bytes of a name, which gets a suffix; file systems allow 255."""

# What Windows refuses in names or takes for a device: systems may share a folder.
FORBIDDEN = '<>:"/\\|?*'
DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)", re.I)

MOST = 1000
"""Names among which a misspelt one is looked for, and which shells complete."""


def models_folder() -> Path:
    """$SR_MODELS, else a folder in the system's folder for a user's data. It may not exist yet.

    Raises StorageError if neither is known.
    """
    return user_folder("models")


def named_file(name: str) -> Path | None:
    """The file of the model `name` in the user's folder; None if there is none.

    Raises StorageError if the folder cannot be read.
    """
    if name_problem(name):
        return None
    # Letter by letter on every system, and some take small and large ones for the same.
    return next((file for file in model_files() if file.name == f"{name}.onnx"), None)


def model_files() -> list[Path]:
    """What may be meant as a model in the user's folder, by the suffixes, in the order of names.

    Raises StorageError if the folder is there and cannot be read.
    """
    folder = models_folder()
    found: list[Path] = []
    with _reading(folder):
        found += (file for file in folder.iterdir() if file.suffix.lower() in FILE_SUFFIXES)
    shown = (file for file in found if not file.name.startswith("."))
    return sorted(shown, key=lambda file: (file.name.lower(), file.name))


def own_names() -> list[str]:
    """The names of the user's models; none if the folder cannot be read."""
    try:
        stems = [file.stem for file in model_files() if file.suffix == ".onnx"]
    except StorageError:
        return []
    return [stem for stem in stems if not name_problem(stem)][:MOST]


def name_problem(name: str) -> str | None:
    """Why `name` is no name of a model, on any system; None if it can be one."""
    length = len(name.encode("utf-8", "surrogatepass"))
    if not 0 < length <= LONGEST:
        return f"it has {length} bytes, and 1 to {LONGEST} are allowed"
    if wrong := next((char for char in name if char in FORBIDDEN), None):
        return f"names of files on every system are without {wrong}"
    if printable(name) != name:
        return "it has characters that cannot be shown"
    if name.lower().endswith(FILE_SUFFIXES):
        return f"it ends in {name[name.rindex('.') :]}, as a file does"
    if name[0] in " -." or name[-1] in " .":
        return "it begins with a space, a dash or a dot, or ends with a space or a dot"
    if DEVICES.match(name):
        return "Windows takes it for a device"
    return None


def stem_of(model: str) -> str:
    """What results call a model: its name, or its file's without folder and suffix."""
    name = Path(model).name
    return Path(name).stem if name.lower().endswith(FILE_SUFFIXES) else name


@contextmanager
def _reading(folder: Path) -> Iterator[None]:
    """Take a folder that does not exist for an empty one; StorageError if it cannot be read."""
    try:
        with suppress(FileNotFoundError):
            yield
    except OSError as error:
        raise StorageError(
            f"the folder of models cannot be read ({error.strerror}): set {VARIABLES['models']} to "
            "one that can",
            path=folder,
        ) from error

"""Reading a file of tensors without running anything that it holds."""

import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch

from sr_runtime.errors import ModelError

__all__ = ["read_tensor_file"]

# Plain data that training checkpoints carry beside the weights: numpy's, and mmengine's log. Naming
# it here lets the weights beside it be read, without those libraries; all else is refused.
IGNORED = (
    "mmengine.logging.history_buffer.HistoryBuffer",
    "numpy._core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy.dtype",
    "numpy.ndarray",
)


def read_tensor_file(path: Path) -> tuple[Mapping[Any, Any], Mapping[str, str]]:
    """What a `.safetensors` file or PyTorch checkpoint holds, on the CPU, and its metadata.

    Pickled code is never run. The tensors may be mapped into memory from the file: copy what
    outlives it. Raises ModelError, saying what was found, for any other file.
    """
    if path.is_dir():
        raise ModelError("is a folder: give a .pth or .safetensors file")
    if not path.exists():
        raise ModelError("there is no such file")
    if path.suffix.lower() == ".safetensors":
        return _read_safetensors(path)
    return _read_pytorch(path), {}


def _read_safetensors(path: Path) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except (OSError, safetensors.SafetensorError) as error:
        raise ModelError(f"cannot be read as safetensors ({error})") from error


def _read_pytorch(path: Path) -> Mapping[Any, Any]:
    ignored = torch.serialization.safe_globals([(_Ignored, name) for name in IGNORED])
    try:
        with ignored, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's hints about files that we refuse below
            mappable = zipfile.is_zipfile(path)  # unless written before PyTorch 1.6
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=mappable)
    except OSError as error:
        raise ModelError(f"cannot be opened ({error})") from error
    # PyTorch's reader raises whatever the bytes lead it to, KeyError and struct.error included.
    except Exception as error:
        raise ModelError(_fault(path, str(error))) from error
    if not isinstance(content, Mapping):
        raise ModelError(f"holds a {type(content).__name__}, where tensors by name were expected")
    return content


def _fault(path: Path, reason: str) -> str:
    if "TorchScript" in reason:
        return "is a TorchScript archive, which holds code: save its state_dict() instead"
    if code := re.search(r"GLOBAL (\S+)", reason):
        return (
            f"holds pickled code ({code[1]}), which is never run: save the tensors alone, as "
            "torch.save({'params': generator.state_dict()}, 'model.pth')"
        )
    with path.open("rb") as file:
        head = file.read(24)
    return (
        f"is no PyTorch checkpoint, or not all of one: {path.stat().st_size} bytes that begin "
        f"with {head!r}"
    )


class _Ignored:
    """Stands for an object in the file that nobody needs: takes any state, keeps none."""

    def __new__(cls, *_: object) -> "_Ignored":
        return super().__new__(cls)

    def __setstate__(self, _: object) -> None:
        pass

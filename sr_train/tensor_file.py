"""Reading a file of tensors without running any code in it."""

import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch

from sr_runtime.errors import ModelError, OutOfMemoryError, StorageError, about

__all__ = ["read_tensor_file"]

# Plain data that training checkpoints hold beside the weights: numpy's, and mmengine's log. Listing
# it here lets the weights be read without those libraries; everything else is refused.
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
    """The content of a `.safetensors` file or PyTorch checkpoint, on the CPU, and its metadata.

    Pickled code is never run. The tensors may be mapped into memory from the file: copy those that
    outlive it. Raises ModelError, saying what was found, for any other file.
    """
    with about(path):
        _check_kind(path)
        if path.suffix.lower() == ".safetensors":
            return _read_safetensors(path)
        return _read_pytorch(path), {}


def _check_kind(path: Path) -> None:
    """Raise ModelError for paths that name something other than a file of tensors."""
    run = path if path.is_dir() else path.parent
    if path in (run, run / "state.pt") and (run / "state.pt").exists():
        raise ModelError(
            "this is the state of a run, for `fit --resume`: give one of the run's generators, "
            f"{run / 'weights' / '*.safetensors'}"
        )
    if path.is_dir():
        raise ModelError("this is a folder: give a .pth or .safetensors file")
    if not path.exists():
        raise ModelError("there is no such file")
    if path.suffix.lower() == ".onnx":
        raise ModelError(
            "this is an ONNX model, whose weights cannot be read back: give the .pth or "
            ".safetensors file that it was exported from"
        )


def _read_safetensors(path: Path) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except (OSError, safetensors.SafetensorError) as error:
        raise ModelError(f"the file cannot be read as safetensors ({error})") from error


def _read_pytorch(path: Path) -> Mapping[Any, Any]:
    ignored = torch.serialization.safe_globals([(_Ignored, name) for name in IGNORED])
    try:
        with path.open("rb") as file:
            head = file.read(24)
    except OSError as error:
        raise StorageError(f"cannot be read ({error.strerror})") from error
    try:
        with ignored, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's hints about files that are refused below
            mappable = zipfile.is_zipfile(path)  # unless written before PyTorch 1.6
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=mappable)
    except MemoryError as error:
        raise OutOfMemoryError("not enough memory to load the file") from error
    # PyTorch's reader raises whatever the bytes lead it to, KeyError and OSError included.
    except Exception as error:
        raise ModelError(_fault(str(error), head, path.stat().st_size)) from error
    if not isinstance(content, Mapping):
        raise ModelError(
            f"the file holds a {type(content).__name__}, and tensors by name were expected"
        )
    return content


def _fault(reason: str, head: bytes, size: int) -> str:
    if "TorchScript" in reason:
        return "this is a TorchScript archive, which holds code: save its state_dict() instead"
    if code := re.search(r"GLOBAL (\S+)", reason):
        return (
            f"the file holds pickled code ({code[1]}), which is never run: save the tensors alone, "
            "as torch.save({'params': generator.state_dict()}, 'model.pth')"
        )
    return (
        f"the file is cut short, damaged or no PyTorch checkpoint, with {size} bytes that begin "
        f"with {head!r}: fetch it again"
    )


class _Ignored:
    """Stands for an object in the file that is not needed: takes any state and keeps none."""

    def __new__(cls, *_: object) -> "_Ignored":
        return super().__new__(cls)

    def __setstate__(self, _: object) -> None:
        pass

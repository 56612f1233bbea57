"""Reading a file of tensors without running any code in it."""

import re
import stat
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

import safetensors
import torch
from torch import Tensor

from sr_runtime.backends.out_of_memory import is_out_of_memory
from sr_runtime.errors import ModelError, OutOfMemoryError, StorageError, about
from sr_runtime.file_kinds import HEAD, kind_of
from sr_runtime.nearest import nearest_file
from sr_train.pytorch_file import read_pytorch

__all__ = ["fp32_copies", "is_dense", "read_tensor_file", "require_floats"]

LOADABLE = (torch.float64, torch.float32, torch.float16, torch.bfloat16)

ORIGINAL = (
    "its weights cannot be read back: give the .pth or .safetensors file that it was made from"
)

# Names of the parts of a checkpoint that was split, as Hugging Face's libraries write them.
PART = re.compile(r"-\d{5}-of-(?!00001)(\d{5})\.")


def read_tensor_file(path: Path) -> tuple[Mapping[Any, Any], Mapping[str, str]]:
    """The content of a `.safetensors` file or PyTorch checkpoint, on the CPU, and its metadata.

    The bytes tell which of the two it is, whatever its name. Pickled code is never run. The tensors
    may be mapped into memory from the file: copy those that outlive it. Their shapes are what the
    file claims, and may take more memory than it has bytes. Raises ModelError, saying what was
    found, for any other file.
    """
    with about(path):
        try:
            _check_kind(path)
            with path.open("rb") as file:
                head = file.read(HEAD)
        except (FileNotFoundError, ValueError) as error:  # the second for a name with NUL
            hint = nearest_file(path) or ": give the path of a .pth or .safetensors file"
            raise ModelError(f"there is no such file{hint}") from error
        except OSError as error:
            raise StorageError(f"cannot be read ({error.strerror})") from error
        if _is_safetensors(head):
            return _read_safetensors(path)
        if kind := kind_of(head):
            what, remedy = kind
            raise ModelError(f"this is {what}: {remedy or ORIGINAL}")
        return read_pytorch(path, head), {}


def is_dense(value: object) -> TypeGuard[Tensor]:
    """Whether a value in a file is a tensor with all of its numbers: not sparse, not meta."""
    return isinstance(value, Tensor) and value.layout == torch.strided and not value.is_meta


def require_floats(tensors: Mapping[str, Tensor]) -> None:
    """Raise ModelError for a tensor of another type than fp64, fp32, fp16 and bf16."""
    for name, tensor in tensors.items():
        if tensor.dtype not in LOADABLE:
            raise ModelError(
                f"{name} is stored as {tensor.dtype}: fp64, fp32, fp16 and bf16 can be read"
            )


def fp32_copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Dense tensors in fp32, which outlive the file. Raises ModelError for NaN and other types."""
    require_floats(tensors)
    copies = {name: tensor.to(torch.float32, copy=True) for name, tensor in tensors.items()}
    for name, tensor in copies.items():
        if not tensor.isfinite().all():
            raise ModelError(
                f"{name} holds NaN or infinity: its training diverged, or the file is damaged"
            )
    return copies


def _check_kind(path: Path) -> None:
    """Raise ModelError for paths that name something other than a file of tensors, and OSError."""
    mode = path.stat().st_mode
    folder = path if stat.S_ISDIR(mode) else path.parent
    if path in (folder, folder / "state.pt") and (folder / "state.pt").exists():
        raise ModelError(
            "this is the state of a run, for `fit --resume`: give one of the run's generators, "
            f"{folder / 'weights' / '*.safetensors'}"
        )
    if path.suffix == ".distcp" or (path == folder and (path / ".metadata").exists()):
        raise ModelError(
            "this is a checkpoint of torch.distributed: make one file of it first, with `python -m "
            f"torch.distributed.checkpoint.format_utils dcp_to_torch {folder} model.pth`"
        )
    if path == folder:
        raise ModelError("this is a folder: give a .pth or .safetensors file")
    if part := PART.search(path.name):
        raise ModelError(
            f"this is one of the {int(part[1])} files of a checkpoint: save its tensors as one "
            "file, with save_file of safetensors.torch for instance"
        )
    if not stat.S_ISREG(mode):
        raise ModelError("this is no file, but a pipe or a device: save it as a file first")
    kinds = {".onnx": "an ONNX model", ".engine": "an engine", ".plan": "an engine"}
    if kind := kinds.get(path.suffix.lower()):
        raise ModelError(f"this is {kind}: {ORIGINAL}")


def _is_safetensors(head: bytes) -> bool:
    """Whether a file begins with the length of a JSON object and that object's beginning."""
    return head[8:9] == b"{" and struct.unpack("<Q", head[:8])[0] < 1 << 32


def _read_safetensors(path: Path) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    # Types that PyTorch lacks raise what they lead it to.
    except Exception as error:
        if is_out_of_memory(error):
            raise OutOfMemoryError("not enough memory to load the file") from error
        raise ModelError(
            f"the file cannot be read as safetensors ({error}): fetch it again"
        ) from error

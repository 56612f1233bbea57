"""Reading a file of tensors without running any code in it."""

import re
import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch

from sr_runtime.errors import ModelError, OutOfMemoryError, StorageError, about
from sr_train.file_kinds import name_kind

__all__ = ["SAVE_TENSORS", "NotATensor", "read_tensor_file"]

# Plain data that training checkpoints hold beside the weights. Listing it here lets the weights be
# read, without these objects and without their libraries; everything else is refused.
IGNORED = (
    "argparse.Namespace",
    "datetime.date",
    "datetime.datetime",
    "datetime.timedelta",
    "mmengine.logging.history_buffer.HistoryBuffer",
    "numpy._core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy.dtype",
    "numpy.ndarray",
    "pathlib.PosixPath",
    "pathlib.WindowsPath",
    "pathlib._local.PosixPath",
    "pathlib._local.WindowsPath",
)

# Python needs up to a hundred times as much memory for what a pickle describes.
MAX_PICKLE = 1 << 25

SAVE_TENSORS = (
    "save the tensors alone, as torch.save({'params': generator.state_dict()}, 'model.pth')"
)


class NotATensor:
    """Stands for an object in the file that is not needed: takes any state and keeps none."""

    def __new__(cls, *_: object) -> "NotATensor":
        return super().__new__(cls)

    def __setstate__(self, _: object) -> None:
        pass


def read_tensor_file(path: Path) -> tuple[Mapping[Any, Any], Mapping[str, str]]:
    """The content of a `.safetensors` file or PyTorch checkpoint, on the CPU, and its metadata.

    The bytes tell which of the two it is, whatever its name. Pickled code is never run. The tensors
    may be mapped into memory from the file: copy those that outlive it. Their shapes are what the
    file claims, and may take more memory than it has bytes. Raises ModelError, saying what was
    found, for any other file.
    """
    with about(path):
        _check_kind(path)
        try:
            size = path.stat().st_size
            with path.open("rb") as file:
                head = file.read(32)
        except OSError as error:
            raise StorageError(f"cannot be read ({error.strerror})") from error
        if _is_safetensors(head):
            return _read_safetensors(path)
        if kind := name_kind(head):
            raise ModelError(kind)
        if head.startswith(b"PK"):
            _check_archive(path, size)
        return _read_pytorch(path, head, size), {}


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
    if not path.is_file():
        raise ModelError("this is no file, but a pipe or a device: save it as a file first")
    kinds = {".onnx": "an ONNX model", ".engine": "an engine", ".plan": "an engine"}
    if kind := kinds.get(path.suffix.lower()):
        raise ModelError(
            f"this is {kind}, whose weights cannot be read back: give the .pth or .safetensors "
            "file that it was made from"
        )


def _is_safetensors(head: bytes) -> bool:
    """Whether a file begins with the length of a JSON object and that object's beginning."""
    return head[8:9] == b"{" and struct.unpack("<Q", head[:8])[0] < 1 << 32


def _read_safetensors(path: Path) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except MemoryError as error:
        raise OutOfMemoryError("not enough memory to load the file") from error
    # Types that PyTorch lacks raise what they lead it to.
    except Exception as error:
        raise ModelError(
            f"the file cannot be read as safetensors ({error}): fetch it again"
        ) from error


def _check_archive(path: Path, size: int) -> None:
    """Raise ModelError for a zip archive that PyTorch did not write, or not as it is now."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ModelError(
            f"the file is cut short or damaged: its {size:,} bytes begin as a PyTorch checkpoint "
            f"and do not end as one ({error}): fetch it again"
        ) from error
    names = {member.filename.rpartition("/")[2]: member for member in members}
    if {"constants.pkl", "constants.pkl.debug_pkl"} & names.keys() or any(
        "/code/" in member.filename for member in members
    ):
        raise ModelError(
            "this is a TorchScript archive, which holds code: save its state_dict() instead"
        )
    if "data.pkl" not in names:
        inside = [m.filename for m in members if m.filename.endswith((".pth", ".safetensors"))]
        what = f", with {inside[0]!r} inside" if inside else ""
        raise ModelError(
            f"this is a zip archive{what}, and no PyTorch checkpoint: unpack it and give the file "
            "of weights"
        )
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ModelError(
            "the archive is compressed, which PyTorch never does: it was packed again; fetch the "
            "original file"
        )
    if names["data.pkl"].file_size > MAX_PICKLE:
        raise ModelError(
            f"the file holds {names['data.pkl'].file_size:,} bytes of objects beside its tensors, "
            f"and at most {MAX_PICKLE:,} are read: {SAVE_TENSORS}"
        )


def _read_pytorch(path: Path, head: bytes, size: int) -> Mapping[Any, Any]:
    ignored = torch.serialization.safe_globals([(NotATensor, name) for name in IGNORED])
    try:
        with ignored, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's hints about files that are refused below
            # Not mapped: what was written before PyTorch 1.6, and what torch.load would take for
            # safetensors by its name.
            mappable = head.startswith(b"PK") and path.suffix != ".safetensors"
            with path.open("rb") as file:
                content = torch.load(
                    path if mappable else file,
                    map_location="cpu",
                    weights_only=True,
                    mmap=mappable,
                )
    except MemoryError as error:
        raise OutOfMemoryError("not enough memory to load the file") from error
    # PyTorch's reader raises whatever the bytes lead it to, KeyError and OSError included.
    except Exception as error:
        raise ModelError(_fault(str(error), head, size)) from error
    if isinstance(content, Mapping):
        return content
    if isinstance(content, list | tuple) and any(isinstance(each, Mapping) for each in content):
        return dict(enumerate(content))
    raise ModelError(
        f"the file holds a {type(content).__name__}, and tensors by name were expected"
    )


def _fault(reason: str, head: bytes, size: int) -> str:
    if code := re.search(r"GLOBAL (\S+)", reason):
        return (
            f"the file holds pickled code ({code[1]}), such as a whole network that was saved as "
            f"an object, and code in a file is never run: {SAVE_TENSORS}"
        )
    return (
        f"the file is cut short, damaged or no PyTorch checkpoint, with {size:,} bytes that begin "
        f"with {head[:24]!r}: fetch it again"
    )

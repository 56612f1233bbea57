"""Reading PyTorch's checkpoints without running any code in them, or filling the memory."""

import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from sr_runtime.backends.out_of_memory import is_out_of_memory
from sr_runtime.errors import ModelError, OutOfMemoryError

__all__ = ["SAVE_TENSORS", "NotATensor", "read_pytorch"]

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

# Python takes up to a hundred times as much memory as the pickle that describes its objects.
MAX_PICKLE = 1 << 25

# What torch.load calls with arguments from the file and what could fill the memory from a few
# bytes: arrays of any length, and codecs whose output is longer than their input, in a chain.
GROWING = re.compile(
    rb"bytearray|encode.*(?:X.\0{3}|\x8c.|\nV)(?:hex|base.?64|quopri|quoted|uu)",
    re.DOTALL | re.IGNORECASE,
)

# With this number, pickled, begins a file that torch.save wrote before PyTorch 1.6.
LEGACY = bytes.fromhex("6cfc9c46f9206aa85019")

# Files in the archives of torch.jit.save, and of torch.export.save.
CODE = re.compile(
    r"/code/|/constants\.pkl$|/models/[^/]+\.json$|^serialized_exported_program\.json$"
)

SAVE_TENSORS = (
    "save only the tensors, as torch.save({'params': generator.state_dict()}, 'model.pth')"
)


class NotATensor:
    """Stands for an object in the file that is not needed: takes any state and keeps none."""

    def __new__(cls, *_: object) -> "NotATensor":
        return super().__new__(cls)

    def __setstate__(self, _: object) -> None:
        pass


def read_pytorch(path: Path, head: bytes) -> Mapping[Any, Any]:
    """The content of a checkpoint that begins with `head`, the tensors mapped where they can be.

    Raises ModelError, saying what was found, for any other file.
    """
    archived = head.startswith(b"PK")  # since PyTorch 1.6
    if archived:
        _check_pickle(_pickle_in_archive(path))
    elif LEGACY in head:
        with path.open("rb") as file:
            _check_pickle(file.read(MAX_PICKLE))
    else:
        raise ModelError(_damaged(path, head))
    ignored = torch.serialization.safe_globals([(NotATensor, name) for name in IGNORED])
    # By its name torch.load takes a file for safetensors.
    mapped = archived and path.suffix != ".safetensors"
    try:
        with ignored, warnings.catch_warnings(), path.open("rb") as file:
            warnings.simplefilter("ignore")  # PyTorch's hints about files that are refused below
            content = torch.load(
                path if mapped else file, map_location="cpu", weights_only=True, mmap=mapped
            )
    # PyTorch's reader raises whatever the bytes lead it to, KeyError and OSError included.
    except Exception as error:
        if is_out_of_memory(error):
            raise OutOfMemoryError("not enough memory to load the file") from error
        if code := re.search(r"GLOBAL (\S+)", str(error)):
            raise ModelError(
                f"the file holds pickled code ({code[1]:.100}), such as a whole network that was "
                f"saved as an object, and code in a file is never run: {SAVE_TENSORS}"
            ) from error
        raise ModelError(_damaged(path, head)) from error
    if isinstance(content, Mapping):
        return content
    if isinstance(content, list | tuple) and any(isinstance(each, Mapping) for each in content):
        return dict(enumerate(content))
    raise ModelError(
        f"the file holds a {type(content).__name__}, and tensors by name were expected"
    )


def _pickle_in_archive(path: Path) -> bytes:
    """The description of all objects; ModelError for an archive that torch.save did not write."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            names = [member.filename for member in members]
            if any(CODE.search(name) for name in names):
                raise ModelError(
                    "this is a program of TorchScript or torch.export, which holds code: save its "
                    "state_dict() instead"
                )
            described = next((m for m in members if m.filename.endswith("/data.pkl")), None)
            if described is None:
                weights = (n for n in names if n.lower().endswith((".pth", ".pt", ".safetensors")))
                inside = f" with {found!r:.100} inside" if (found := next(weights, None)) else ""
                raise ModelError(
                    f"this is a zip archive{inside}, and no checkpoint of PyTorch: unpack it and "
                    "give the file of weights"
                )
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                raise ModelError(
                    "the archive is compressed, which PyTorch never does: something packed it "
                    "again, fetch the original file"
                )
            if described.file_size > MAX_PICKLE:
                raise ModelError(
                    f"the file describes objects beside its tensors in {described.file_size:,} "
                    f"bytes, and at most {MAX_PICKLE:,} are read: {SAVE_TENSORS}"
                )
            return archive.read(described)
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"the file is cut short or damaged: its {path.stat().st_size:,} bytes begin as a "
            f"PyTorch checkpoint and do not end as one ({error}): fetch it again"
        ) from error


def _check_pickle(pickle: bytes) -> None:
    if GROWING.search(pickle):
        raise ModelError(
            f"the file holds bytes that are made while it is read, of any length: {SAVE_TENSORS}"
        )


def _damaged(path: Path, head: bytes) -> str:
    pickled = head.startswith(b"\x80") and LEGACY not in head
    what = "a pickle that torch.save did not write" if pickled else "damaged"
    return (
        f"the file is cut short, {what} or no PyTorch checkpoint, with {path.stat().st_size:,} "
        f"bytes that begin with {head[:24]!r}: fetch it again"
    )

"""Files that people give as a model and that are none: told by their first bytes, with advice."""

from collections.abc import Callable
from pathlib import Path

from sr_runtime.errors import ModelError

__all__ = ["refuse_other_formats"]

HEAD = 512
LARGEST_HEADER = 100 << 20
"""Bytes of the header of a safetensors file, as its own library has it."""

ONNX = b"\x08"
"""How an ONNX file begins: with the number of its format."""

EXPORT = "export it first, with `python -m sr_export onnx {path} -o {onnx}`"
ORIGINAL = "give the ONNX file or the checkpoint that it was made from"

# What a file is, how it begins, and what to do about it; the first row that fits counts.
BY_CONTENT: tuple[tuple[str, Callable[[bytes], bool], str], ...] = (
    ("a PyTorch checkpoint", lambda head: head[:2] == b"PK" and b"data.pkl" in head, EXPORT),
    ("a PyTorch checkpoint", lambda head: head[:1] == b"\x80" and head[1:2] <= b"\x05", EXPORT),
    ("a safetensors checkpoint", lambda head: _is_safetensors(head), EXPORT),
    ("a model of ncnn", lambda head: head.startswith(b"7767517"), ORIGINAL),
    ("a model of TensorFlow Lite", lambda head: head[4:8] == b"TFL3", ORIGINAL),
    ("a model of Keras", lambda head: head.startswith(b"\x89HDF"), ORIGINAL),
    ("a model of llama.cpp", lambda head: head.startswith(b"GGUF"), ORIGINAL),
    (
        "a TensorRT engine",
        lambda head: head[1:4] == b"trt",
        "name it NAME.engine, and its facts NAME.engine.json",
    ),
    (
        "a pointer of Git LFS",
        lambda head: head.startswith(b"version https://git-lfs"),
        "fetch the file itself with `git lfs pull`",
    ),
    (
        "a web page",
        lambda head: head.lstrip()[:5].lower() in (b"<!doc", b"<html"),
        "download the file itself",
    ),
    ("a model of OpenVINO", lambda head: head.lstrip()[:5] in (b"<?xml", b"<net "), ORIGINAL),
    (
        "a picture",
        lambda head: head[:4] in (b"\x89PNG", b"RIFF", b"GIF8") or head[:3] == b"\xff\xd8\xff",
        "name a model with -m, and pictures without it",
    ),
    (
        "an archive",
        lambda head: head[:2] in (b"PK", b"\x1f\x8b", b"7z") or head[:3] == b"Rar",
        "unpack it first",
    ),
)

# Told by their names alone.
BY_SUFFIX = {
    ".bin": ("weights without a network, as those of ncnn and OpenVINO are", ORIGINAL),
    ".param": ("a model of ncnn", ORIGINAL),
    ".json": ("no model but facts about one", "name the model that it stands beside"),
}


def refuse_other_formats(path: Path) -> None:
    """Raise ModelError if `path`, an existing file, is a known kind of file but no model to run."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise ModelError(f"cannot be read ({error.strerror})", path=path) from error
    if not head:
        raise ModelError("is empty: download or export it again", path=path)
    what, advice = "", ""
    if not head.startswith(ONNX):
        what, advice = BY_SUFFIX.get(path.suffix.lower(), ("", ""))
    for kind, fits, remedy in BY_CONTENT:
        if fits(head):
            what, advice = kind, remedy
            break
    if what:
        onnx = path.with_suffix(".onnx").name
        onnx = onnx if onnx != path.name else f"exported_{onnx}"
        raise ModelError(f"is {what}: {advice.format(path=path, onnx=onnx)}", path=path)


def _is_safetensors(head: bytes) -> bool:
    """Eight bytes with the length of a JSON object, and the object."""
    return 2 <= int.from_bytes(head[:8], "little") <= LARGEST_HEADER and head[8:9] == b"{"

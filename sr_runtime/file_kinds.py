"""What a file is, told by its first bytes: a video, or what people give as a model and is none."""

import re
from pathlib import Path

from sr_runtime.errors import ModelError

__all__ = ["HEAD", "VIDEO_SUFFIXES", "begins_as_video", "is_video", "kind_of", "refuse_other_kinds"]

HEAD = 512
"""How many bytes of a file tell what it is."""

LARGEST_HEADER = 100 << 20
"""Bytes of the header of a safetensors file, as its own library has it."""

AGAIN = "download it again"

# fmt: off
VIDEO_SUFFIXES = frozenset({
    ".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts",
    ".ogv", ".ts", ".vob", ".webm", ".wmv",
})
# fmt: on
"""How videos are usually named."""

# Pictures in the container of MP4: AVIF, HEIF, JPEG XL and Canon's raw files.
PICTURES = rb"(?:avi[fs]|hei[cxms]|hev[cxms]|mif1|msf1|jxl |crx )"

# MP4 and QuickTime, Matroska and WebM, AVI, FLV, Ogg, WMV, MPEG, and MPEG's transport stream, which
# has a mark every 188 bytes, or 192 with times.
VIDEO = (
    rb".{4}ftyp(?!" + PICTURES + rb")|.{4}(?:moov|mdat|wide|free|skip)|\x1a\x45\xdf\xa3|"
    rb"RIFF.{4}AVI |FLV\x01|OggS|\x30\x26\xb2\x75\x8e\x66\xcf\x11|\0\0\x01[\xba\xb3]|"
    rb"\x47.{187}\x47|.{4}\x47.{191}\x47"
)

# How a file begins, what it is, and what to do about it; None: that depends on what was wanted.
KINDS: tuple[tuple[bytes, str, str | None], ...] = (
    (rb"$", "an empty file", AGAIN),
    (
        rb"version https://git-lfs",
        "a pointer of Git LFS, which stands for the file",
        "fetch it with `git lfs pull`, or download the file itself",
    ),
    (
        rb"(?i)\s*<(?:!doctype|html|head|body)",
        "a web page, which a server sent instead of the file (a login or an error, for instance)",
        "open the link in a browser and download the file itself",
    ),
    (
        rb"\s*<\?xml|\s*<net ",
        "an XML file, such as a model of OpenVINO or an error of a server",
        "give the model in the form that it was made from, or download it again",
    ),
    (
        rb'\s*[{\[]\s*["\[{]',
        "a JSON file, such as the facts of an engine or an error of a server",
        "name the model itself, or download it again",
    ),
    (rb"\x08[\x01-\x20][\x12\x1a\x22\x2a\x32\x3a\x42]", "an ONNX model", None),
    (rb"[fpv]trt|ftrx", "an engine of TensorRT", None),
    (rb"7767517\s|\x47\x6b\x30\x01", "a model of ncnn", None),
    (rb"GGUF|lmgg|ggml", "a GGUF file, a model of another kind", None),
    (rb"\x89HDF", "an HDF5 file, as Keras and TensorFlow write them", None),
    (rb".{4}TFL3", "a TensorFlow Lite model", None),
    (rb"\x93NUMPY", "an array of NumPy", "save the tensors with torch.save"),
    (
        rb"\x1f\x8b|\xfd7zXZ|7z\xbc\xaf|Rar!|BZh|\x28\xb5\x2f\xfd",
        "a compressed archive",
        "unpack it and give the file inside",
    ),
    (rb".{257}ustar", "a tar archive", "unpack it and give the file inside"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8|RIFF.{4}WEBP|BM.{4}\0{4}", "an image, no model", "name a model"),
    (VIDEO, "a video, no model", "name a model"),
    (rb"\0{16}", "a file that begins with zeros: its download or its disk failed half-way", AGAIN),
)

EXPORT = "export it first, with `python -m sr_export onnx {path} -o {onnx}`"
ORIGINAL = "give the ONNX file or the checkpoint that it was made from"


def kind_of(head: bytes) -> tuple[str, str | None] | None:
    """What a file is that begins with `head`, and what to do about it; None if it is not known."""
    for start, what, remedy in KINDS:
        if re.match(start, head, re.DOTALL):
            return what, remedy
    return None


def is_video(path: Path) -> bool:
    """Whether a file is a video, and no picture; False if it cannot be read."""
    try:
        with path.open("rb") as file:
            return begins_as_video(file.read(HEAD))
    except OSError:
        return False


def begins_as_video(head: bytes) -> bool:
    """Whether these first bytes are those of a video."""
    return bool(re.match(VIDEO, head, re.DOTALL))


def refuse_other_kinds(path: Path) -> None:
    """Raise ModelError if `path`, an existing file that is no engine, is known to be no ONNX model.

    That is told by the content. Weights of ncnn and OpenVINO have no mark but their names, and a
    Core ML model begins as ONNX does.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise ModelError(f"cannot be read ({error.strerror})", path=path) from error
    what, remedy = kind_of(head) or ("", None)
    if path.suffix.lower() == ".mlmodel":
        what, remedy = "a Core ML model", None
    if what == "an ONNX model":
        return
    if what == "an engine of TensorRT":
        remedy = "name it NAME.engine, and its facts NAME.engine.json"
    elif head[:1] == b"\x80" or (head[:2] == b"PK" and b"data.pkl" in head):
        what, remedy = "a PyTorch checkpoint", EXPORT
    elif 2 <= int.from_bytes(head[:8], "little") <= LARGEST_HEADER and head[8:9] == b"{":
        what, remedy = "a safetensors checkpoint", EXPORT
    elif head[:2] == b"PK":
        what, remedy = "a zip archive", "unpack it and give the file inside"
    elif not what and not head.startswith(b"\x08") and path.suffix.lower() in (".bin", ".param"):
        what = "a file of weights without a network, as ncnn and OpenVINO write them"
    if what:
        onnx = path.with_suffix(".onnx").name
        onnx = onnx if onnx != path.name else f"exported_{onnx}"
        remedy = (remedy or ORIGINAL).format(path=path, onnx=onnx)
        raise ModelError(f"this is {what}: {remedy}", path=path)

"""Says what a file is that holds no weights of PyTorch, by its first bytes."""

import re

__all__ = ["name_kind"]

KINDS = (
    (rb"$", "the file is empty: fetch it again"),
    (
        rb"version https://git-lfs",
        "this is a pointer of Git LFS, which stands for the weights: fetch them with `git lfs "
        "pull`, or download the file itself",
    ),
    (
        rb"(?i)\s*<(?:!doctype|html|head|body)",
        "this is a web page, which a server sent instead of the file (a login or an error, for "
        "instance): open the link in a browser and download the file itself",
    ),
    (rb"\s*<\?xml", "this is an XML file, such as an error of a server: download the file again"),
    (rb'\s*[{\[]\s*["\[{]', "this is a JSON file, such as an error of a server: download it again"),
    (
        rb"\x08[\x01-\x20][\x12\x1a\x22\x2a\x32\x3a\x42]",
        "this is an ONNX model, whose weights cannot be read back: give the .pth or .safetensors "
        "file that it was exported from, or run it with `python -m sr_runtime upscale -m`",
    ),
    (
        rb"[fp]trt|ftrx",
        "this is an engine of TensorRT, whose weights cannot be read back: give the checkpoint "
        "that it was built from, or run it with `python -m sr_runtime upscale -m`",
    ),
    (
        rb"7767517\s|\x47\x6b\x30\x01",
        "this is a model of ncnn, whose weights cannot be read back: give the .pth or .safetensors "
        "file that it was converted from",
    ),
    (rb"GGUF|lmgg|ggml", "this is a GGUF file, a model of another kind"),
    (
        rb"\x89HDF",
        "this is an HDF5 file, as Keras and TensorFlow write them: only PyTorch's are read",
    ),
    (rb".{4}TFL3", "this is a TensorFlow Lite model: only checkpoints of PyTorch are read"),
    (rb"\x93NUMPY", "this is an array of NumPy: save the tensors with torch.save"),
    (
        rb"\x1f\x8b|\xfd7zXZ|7z\xbc\xaf|Rar!|BZh|\x28\xb5\x2f\xfd",
        "this is a compressed archive: unpack it and give the file inside",
    ),
    (rb"\x89PNG|\xff\xd8\xff|GIF8|RIFF.{4}WEBP|BM.{4}\0{4}", "this is an image, no checkpoint"),
    (
        rb"\0{16}",
        "the file begins with zeros: its download or its disk failed half-way, fetch it again",
    ),
)


def name_kind(head: bytes) -> str | None:
    """The sentence for a file of another kind that begins with `head`; None if it is not known."""
    return next((said for kind, said in KINDS if re.match(kind, head, re.DOTALL)), None)

"""Files given as a model that are none, whatever they are called; and arguments of other types."""

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from safetensors.torch import save

import sr_runtime
from sr_runtime import ArgumentError, ModelError
from sr_runtime.embedded import EMBEDDED
from sr_runtime.file_kinds import is_video
from sr_runtime.printable import listed


def checkpoint(**options: bool) -> bytes:
    file = io.BytesIO()
    torch.save({"weight": torch.zeros(2)}, file, **options)
    return file.getvalue()


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        opened.writestr("model.onnx", b"")
    return file.getvalue()


def picture(format: str) -> bytes:
    file = io.BytesIO()
    PIL.Image.new("RGB", (4, 4)).save(file, format)
    return file.getvalue()


CONTENTS: dict[str, tuple[Callable[[], bytes], str]] = {
    "a zipped checkpoint": (checkpoint, "PyTorch checkpoint: export it first"),
    "a pickled checkpoint": (
        lambda: checkpoint(_use_new_zipfile_serialization=False),
        "PyTorch checkpoint: export it first",
    ),
    "safetensors": (lambda: save({"weight": torch.zeros(2)}), "safetensors checkpoint: export"),
    "ncnn": (lambda: b"7767517\n133 153\nInput data 0 1 data\n", "ncnn"),
    "an engine": (lambda: b"ftrt" + bytes(60), "NAME.engine.json"),
    "a page": (lambda: b"\n<!DOCTYPE html><html>Not found</html>", "web page"),
    "a pointer": (lambda: b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
    "IR": (lambda: b'<?xml version="1.0"?>\n<net name="m" version="11">', "OpenVINO"),
    "PNG": (lambda: picture("PNG"), "an image"),
    "JPEG": (lambda: picture("JPEG"), "an image"),
    "WebP": (lambda: picture("WEBP"), "an image"),
    "MP4": (lambda: b"\0\0\0 ftypisom" + bytes(64), "a video"),
    "Matroska": (lambda: b"\x1a\x45\xdf\xa3\x93" + bytes(64), "a video"),
    "a transport stream": (lambda: (b"G" + bytes(187)) * 3, "a video"),
    "a zip": (archive, "unpack it"),
    "Lite": (lambda: struct.pack("<I4s", 28, b"TFL3") + bytes(40), "TensorFlow Lite"),
    "nothing": (lambda: b"", "an empty file"),
}


@pytest.mark.parametrize("name", ["model.onnx", "model.pth", "model"])
@pytest.mark.parametrize("content", CONTENTS)
def test_a_file_is_known_by_its_content_whatever_its_name(content, name, tmp_path: Path) -> None:
    write, says = CONTENTS[content]
    (tmp_path / name).write_bytes(write())
    with pytest.raises(ModelError) as caught:
        sr_runtime.load(tmp_path / name)
    assert says in str(caught.value)
    assert caught.value.path == tmp_path / name
    assert f"-o {name}" not in str(caught.value).split()  # which would replace the checkpoint


@pytest.mark.parametrize(("name", "says"), [("m.bin", "ncnn"), ("m.param", "ncnn")])
def test_a_file_without_a_mark_is_known_by_its_name(name, says, tmp_path, tiny_onnx) -> None:
    (tmp_path / name).write_bytes(b"\x00\x01\x02")
    with pytest.raises(ModelError, match=says):
        sr_runtime.load(tmp_path / name)
    (tmp_path / name).write_bytes(tiny_onnx().read_bytes())  # an ONNX file may have any name
    sr_runtime.load(tmp_path / name).close()


@pytest.mark.parametrize("model", [None, 0, b"psnr", "", True, ["psnr"]])
def test_a_model_is_a_name_or_a_path(model) -> None:
    with pytest.raises(ArgumentError, match=f"{listed(EMBEDDED, 'or')}, or a path"):
        sr_runtime.load(model)


@pytest.mark.parametrize(
    "options",
    [
        {"backend": None}, {"backend": 1}, {"device": 0}, {"device": None}, {"device": ""},
        {"precision": 16}, {"precision": None}, {"tile": True}, {"tile": None}, {"tile": "512"},
        {"tile": 64.0}, {"halo": True}, {"halo": None}, {"halo": "4"}, {"halo": -1},
        {"tta": "yes"}, {"tta": None},
    ],
)  # fmt: skip
def test_options_of_another_type_are_refused(options, tiny_onnx) -> None:
    with pytest.raises((ArgumentError, sr_runtime.BackendError), match=next(iter(options))):
        sr_runtime.load(tiny_onnx(), **options)


@pytest.mark.parametrize(
    "size",
    [
        {"scale": True}, {"scale": "2"}, {"scale": float("nan")}, {"scale": float("inf")},
        {"scale": 2j}, {"width": True}, {"width": 3.5}, {"width": 10**18},
        {"height": "9"}, {"height": np.nan}, {"height": [9]},
    ],
)  # fmt: skip
def test_sizes_of_another_type_are_refused(size, tiny_onnx) -> None:
    with sr_runtime.load(tiny_onnx()) as upscaler, pytest.raises(ArgumentError, match="range"):
        upscaler.upscale(np.zeros((4, 4, 3), np.uint8), **size)


def test_a_core_ml_model_which_begins_as_onnx_does_is_told_by_its_name(tmp_path: Path) -> None:
    model = tmp_path / "net.mlmodel"
    model.write_bytes(b"\x08\x04\x12\x10" + bytes(40))
    with pytest.raises(ModelError, match="Core ML model: give the ONNX file"):
        sr_runtime.load(model)


@pytest.mark.parametrize(
    ("head", "is_one"),
    [
        (b"\0\0\0 ftypisom", True),
        (b"\0\0\0 ftypqt  ", True),
        (b"\0\0\0\x08wide", True),
        (b"RIFF....AVI LIST", True),
        (b"\0\0\0 ftypavif", False),
        (b"\0\0\0 ftypheic", False),
        (b"\0\0\0 ftypmif1", False),
        (b"RIFF....WEBP", False),
        (b"G is the first letter of a text" + bytes(300), False),
        (b"", False),
    ],
)
def test_videos_are_told_from_pictures_in_the_same_containers(
    head: bytes, is_one: bool, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(head)
    assert is_video(path) == is_one
    assert not is_video(tmp_path / "missing")

"""Valid files of every kind, small ones, from which fuzzing begins."""

import importlib
import io
import json
import tarfile
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image, PngImagePlugin

from sr_export.to_onnx import onnx_from_generator
from sr_runtime.backends.tensorrt.engine_file import EngineInfo, sha256
from sr_runtime.model_info import ModelInfo
from sr_train.checkpoint import save_generator
from sr_train.config.file import config_text, preset
from sr_train.data.build.prepare import prepare
from sr_train.state_file import save_state
from tests.small_generators import small_generators

__all__ = ["PLAN", "SEEDS", "packed"]

PLAN = b"a plan"

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 4), np.uint8)


def images() -> list[bytes]:
    rgba = Image.fromarray(PIXELS)
    rgb, gray = rgba.convert("RGB"), rgba.convert("L")
    deep = Image.fromarray(PIXELS[:, :, 0].astype(np.uint16) * 257)
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", "<x/>", zip=True)
    text.add(b"gAMA", (100000).to_bytes(4, "big"))
    text.add(b"cICP", bytes([9, 2, 0, 1]))
    exif = Image.Exif()
    exif[274] = 6  # orientation
    frames = {"save_all": True, "append_images": [rgba.rotate(90)], "duration": 50, "loop": 0}
    return [
        _saved(rgba, "PNG", pnginfo=text),
        _saved(rgb.quantize(8), "PNG", transparency=1),
        _saved(rgb.convert("1"), "PNG"),
        _saved(deep, "PNG"),
        _saved(rgba, "PNG", **frames),
        _saved(rgb, "JPEG", exif=exif, dpi=(72, 72)),
        _saved(rgb.convert("CMYK"), "JPEG"),
        _saved(rgba, "WEBP", lossless=True),
        _saved(rgba, "WEBP", **frames),
        _saved(rgb, "TIFF", compression="tiff_lzw"),
        _saved(deep, "TIFF"),
        _saved(rgba, "GIF", **frames),
        _saved(rgb, "BMP"),
        _saved(gray, "PPM"),
        _saved(rgb, "JPEG2000"),
        _saved(rgba, "TGA"),
        _saved(rgba, "AVIF"),
        _saved(rgb, "TIFF", save_all=True, append_images=[gray, deep]),
        *_with_plugins(rgba),
    ]


def _with_plugins(image: Image.Image) -> list[bytes]:
    importlib.import_module("pillow_heif").register_heif_opener()
    importlib.import_module("pillow_jxl")
    return [_saved(image, "HEIF"), _saved(image, "JXL", lossless=True)]


def videos() -> list[bytes]:
    from tests.runtime.video_files import Clip  # skips the tests where PyAV is not installed

    kinds = [
        (".mp4", {"codec": "libx264", "pixels": "yuv420p", "sound": "aac", "rotation": 90}),
        (".mkv", {"codec": "ffv1", "pixels": "yuv422p"}),
        (".mkv", {"codec": "libx264", "pixels": "yuv420p", "options": {"x264-params": "tff=1"}}),
        (".avi", {"codec": "mpeg4", "pixels": "yuv420p"}),
        (".ts", {"codec": "libx265", "pixels": "yuv420p10le",
                 "options": {"x265-params": "log-level=none"}}),
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        return [
            Clip(frames=[PIXELS[:, :, :3].repeat(8, axis=0).repeat(4, axis=1)] * 2, **options)
            .write(Path(folder, f"seed{suffix}"))
            .read_bytes()
            for suffix, options in kinds
        ]


def models() -> list[bytes]:
    network = small_generators()[-1]
    return [onnx_from_generator(network, precision="fp16", halo=8).SerializeToString()]


def engine_facts() -> list[bytes]:
    model = ModelInfo(
        arch="RRDBNet", scale=4, in_channels=3, out_channels=3, io="float32",
        weights_dtype="float16",
    )  # fmt: skip
    info = EngineInfo(
        model=model, tensorrt="10.16.1.11", gpu="A card", compute_capability="8.9",
        onnx_sha256=sha256(b""), plan_sha256=sha256(PLAN),
    )  # fmt: skip
    return [info.to_json().encode()]


def pytorch_files() -> list[bytes]:
    return [_saved_generator(i, "weights.pth") for i in range(len(small_generators()))]


def safetensors_files() -> list[bytes]:
    return [_saved_generator(i, "weights.safetensors") for i in range(len(small_generators()))]


def states() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "state.pt")
        save_state({"generator": {"weight": torch.ones(2)}, "epoch": 3, "names": ["a"]}, path)
        return [path.read_bytes()]


def configurations() -> list[bytes]:
    text = config_text(preset("tiny"))
    return [text.encode(), b"batch_size: 4\npretraining: {lr: 1e-4, num_epoch: 2}\n"]


@cache
def packed() -> dict[str, bytes]:
    """The files of a prepared split of two images, by name."""
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder, "photos")
        photos.mkdir()
        for i in range(2):
            photo = Image.fromarray(PIXELS[:, :, i : i + 3]).resize((40, 36))
            photo.save(photos / f"{i}.png")
        prepare(photos, root=Path(folder, "root"), report=lambda _: None)
        split = Path(folder, "root", "photos", "all")
        return {path.name: path.read_bytes() for path in split.iterdir() if path.is_file()}


def indexes() -> list[bytes]:
    return [packed()["x4.json"], json.dumps(json.loads(packed()["x4.json"])).encode()]


def archives() -> list[bytes]:
    image = images()[0]
    archives = []
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", compression) as content:
            content.writestr("images/0.png", image)
        archives.append(b"\0" + file.getvalue())
    for kind, mode in ((b"\1", "w:gz"), (b"\2", "w")):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode=mode) as content:
            member = tarfile.TarInfo("images/0.png")
            member.size = len(image)
            content.addfile(member, io.BytesIO(image))
        archives.append(kind + file.getvalue())
    return archives


def arguments() -> list[bytes]:
    lines = [
        ["upscale", "photo.png", "-o", "large.webp", "--width", "3840", "--tile", "256"],
        [
            "upscale",
            "photo.png",
            "-m",
            "psnr",
            "--scale",
            "2.5",
            "--quality",
            "90",
            "--halo",
            "exact",
        ],
        ["fit", "--preset", "tiny", "--pretraining.lr", "1e-4", "--print_config"],
        ["fit", "--preset", "paper", "--batch_size", "4", "--training.betas", "[0.9, 0.99]"],
        ["engine", "a.onnx", "-o", "a.engine", "--for", "rtx", "--sm", "75", "--max", "8x512x512"],
    ]
    return ["\0".join(line).encode() for line in lines]


def _saved(image: Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def _saved_generator(number: int, name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        save_generator(small_generators()[number], path)
        return path.read_bytes()


SEEDS = {
    "image": images,
    "video": videos,
    "model": models,
    "header": models,
    "engine": engine_facts,
    "pytorch": pytorch_files,
    "safetensors": safetensors_files,
    "state": states,
    "configuration": configurations,
    "index": indexes,
    "archive": archives,
    "arguments": arguments,
}
"""What makes the seeds of each target."""

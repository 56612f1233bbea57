"""Files that are read by rows have the pixels and metadata that they have when read whole."""

import os
import struct
import subprocess
import sys
import zlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from sr_runtime import ImageError, StorageError
from sr_runtime.image import Picture, read, write
from sr_runtime.image.header import read_header
from sr_runtime.large.output import LargeOutput
from sr_runtime.large.source import LargeFile

vips = pytest.importorskip("pyvips", exc_type=ImportError)
RNG = np.random.default_rng(5)


def pixels(channels: int, dtype: type[np.integer] = np.uint8) -> np.ndarray:
    """Smooth, so that JPEG changes little, and different in every place."""
    steps = np.arange(600 * 70 * channels).reshape(600, 70, channels)
    wave = np.sin(steps / 997) * 0.4 + 0.5 + RNG.normal(0, 0.02, steps.shape)
    return (wave.clip(0, 1) * np.iinfo(dtype).max).astype(dtype)


def check_same(path: Path) -> None:
    whole = read(path)
    large = LargeFile(path)

    assert (large.shape, large.dtype) == (whole.frames[0].shape, whole.frames[0].dtype)
    height = large.shape[0]
    starts = [0, 1, 130, 300, height // 2 + 200, height]
    rows = np.concatenate([large.read(a, b) for a, b in pairwise(starts) if a < b <= height])
    np.testing.assert_array_equal(rows, whole.frames[0][: len(rows)])
    for name in ("icc_profile", "exif", "dpi", "xmp", "iptc", "png_text"):
        assert getattr(large.picture, name) == getattr(whole, name), name


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_kind_of_pixels(
    channels: int, dtype: type[np.integer], suffix: str, tmp_path: Path
) -> None:
    if (channels, dtype, suffix) == (2, np.uint16, ".tif"):
        pytest.skip("the writer refuses it")
    path = tmp_path / f"a{suffix}"
    dpi = (300.0, 300.0)
    write(Picture(frames=(pixels(channels, dtype),), dpi=dpi, xmp=b"<x:xmpmeta/>"), path)

    check_same(path)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "TIFF", "PNG"])
def test_turned_files_are_upright(format: str, orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / "a"
    Image.fromarray(pixels(3)).save(path, format, exif=exif, dpi=(200, 100))

    check_same(path)
    dpi = read(path).dpi
    assert dpi is not None
    assert tuple(map(round, dpi)) == ((200, 100) if orientation < 5 else (100, 200))


@pytest.mark.parametrize("format", ["JPEG", "TIFF", "PNG"])
def test_files_that_only_xmp_turns_are_upright_too(format: str, tmp_path: Path) -> None:
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    )
    path, options = tmp_path / "a", {"xmp": xmp}
    if format == "PNG":
        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xmp.decode())
        options = {"pnginfo": text}
    if format == "TIFF":
        options = {"tiffinfo": {700: xmp}}
    Image.fromarray(pixels(3)).save(path, format, **options)
    assert read(path).frames[0].shape[:2] == (70, 600)
    check_same(path)
    assert (read_header(path).height, read_header(path).width) == (70, 600)


@pytest.mark.skipif(sys.platform != "linux", reason="names are text there")
def test_names_that_are_no_text_are_told_before_the_work(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png"))
    write(Picture(frames=(pixels(3),)), path)
    with pytest.raises(StorageError, match="a name in UTF-8"):
        LargeFile(path)
    output = LargeOutput(path)
    with pytest.raises(StorageError, match="a name in UTF-8"):
        output.check(Picture(frames=(pixels(3)[:1, :1],)), tmp_path / "a", height=9, width=9)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no file's size")
def test_a_full_folder_for_temporary_files_is_no_damage(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(pixels(3)).save(tmp_path / "a.png", exif=exif)
    # In a process of its own: libvips reads the variable once, and keeps small images in memory.
    code = (
        "import resource, sys; from sr_runtime.large.source import LargeFile\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "LargeFile(sys.argv[1]).read(0, 70)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "a.png"],
        env={**os.environ, "VIPS_DISC_THRESHOLD": "1k", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert "StorageError: " in ended.stderr
    assert "the folder for temporary files cannot hold the unpacked image" in ended.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no open files")
def test_an_error_of_the_system_while_reading_is_no_damage_and_no_full_disk(tmp_path: Path) -> None:
    Image.fromarray(pixels(3)).save(tmp_path / "a.png")
    code = (
        "import os, resource, sys; from sr_runtime.large.source import LargeFile\n"
        "LargeFile(sys.argv[1])\n"
        "free = os.dup(0) + 1\n"  # for Pillow, and none for libvips
        "resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, free + 1))\n"
        "LargeFile(sys.argv[1])"
    )
    command = [sys.executable, "-c", code, tmp_path / "a.png"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert "ImageError: " in ended.stderr
    assert "a.png: Too many open files" in ended.stderr


def test_colors_become_those_that_reading_whole_gives(tmp_path: Path) -> None:
    linear = tmp_path / "linear.png"
    gamma = PngInfo()
    gamma.add(b"gAMA", struct.pack(">I", 100_000))  # linear light
    Image.fromarray(pixels(3)).save(linear, pnginfo=gamma)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    managed = tmp_path / "managed.jpg"
    Image.fromarray(pixels(3)).save(managed, icc_profile=profile)

    check_same(linear)
    check_same(managed)


def test_tiled_and_big_tiffs_of_other_programs(tmp_path: Path) -> None:
    path, content = tmp_path / "a.tif", np.ascontiguousarray(pixels(3, np.uint16))
    image = vips.Image.new_from_array(content, interpretation="rgb16")
    for options in (
        {"tile": True, "bigtiff": True, "compression": "deflate", "predictor": "horizontal"},
        {"compression": "lzw"},
    ):
        image.tiffsave(str(path), **options)
        check_same(path)


@pytest.mark.parametrize(
    ("reason", "save"),
    [
        ("2 frames or pages", {"format": "TIFF", "save_all": True, "append": 1}),
        ("is a WEBP", {"format": "WEBP"}),
        ("pixels are P of", {"format": "PNG", "mode": "P"}),
        ("pixels are CMYK of", {"format": "JPEG", "mode": "CMYK"}),
        ("transparency by a colour", {"format": "PNG", "transparency": (1, 2, 3)}),
    ],
)
def test_other_kinds_are_refused_with_the_reason(
    reason: str, save: dict[str, Any], tmp_path: Path
) -> None:
    image = Image.fromarray(pixels(3)).convert(save.pop("mode", "RGB"))
    if save.pop("append", 0):
        save["append_images"] = [image]
    image.save(tmp_path / "a", **save)

    with pytest.raises(ImageError, match=f"read by rows, and this one is not.*{reason}"):
        LargeFile(tmp_path / "a")


def test_premultiplied_colors_of_8_bits_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    vips.Image.new_from_array(pixels(4), interpretation="srgb").tiffsave(
        str(path), premultiply=True
    )

    with pytest.raises(ImageError, match="premultiplied"):
        LargeFile(path)


def test_damage_is_an_error_of_the_rows_where_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write(Picture(frames=(pixels(3),)), path)
    content = bytearray(path.read_bytes())
    path.write_bytes(content[: len(content) * 2 // 3])

    large = LargeFile(path)
    large.read(0, 100)
    with pytest.raises(ImageError, match="damaged"):
        large.read(100, 600)


def test_a_small_file_that_claims_gigapixels_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    path = tmp_path / "a.png"

    def chunk(name: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check

    header = struct.pack(">IIBBBBB", 100_000, 1_000_000, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(300_001 * 300))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data))

    large = LargeFile(path)
    assert large.shape == (1_000_000, 100_000, 3)
    assert large.read(0, 256).sum() == 0

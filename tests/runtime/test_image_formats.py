"""HEIC, JPEG XL, AVIF, lossless WebP: what the extra `formats` reads, and what is written."""

import os
import struct
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sr_runtime.errors import ArgumentError, ImageError
from sr_runtime.image import (
    IMAGE_SUFFIXES,
    LEFT_OUT,
    Output,
    Picture,
    Quality,
    from_bgr,
    read,
    read_header,
    to_bgr,
    write,
)
from sr_runtime.image.formats import formats_for

Y, X = np.mgrid[:40, :60]
SMOOTH = np.dstack([4 * X, 6 * Y, 2 * (X + Y), 255 - 4 * X]).astype(np.uint8)
NOISE = np.random.default_rng(0).integers(0, 256, (40, 60, 4), np.uint8)
ORIENTATION = 0x0112


@pytest.fixture
def heif() -> Any:
    plugin = pytest.importorskip("pillow_heif")
    plugin.register_heif_opener()
    return plugin


@pytest.fixture
def jxl() -> Any:
    return pytest.importorskip("pillow_jxl")


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_heic_is_read(tmp_path: Path, heif: Any, channels: int) -> None:
    frame = SMOOTH[:, :, :channels]
    stored = Image.fromarray(frame[:, :, 0] if channels == 1 else frame)
    stored.save(tmp_path / "a.heic", quality=95)

    picture, header = read(tmp_path / "a.heic"), read_header(tmp_path / "a.heic")

    assert picture.frames[0].shape == frame.shape == (header.height, header.width, channels)
    assert np.abs(picture.frames[0][:, :, :3].astype(int) - frame[:, :, :3]).mean() < 2


def test_the_main_picture_of_a_heic_is_read_upright(tmp_path: Path, heif: Any) -> None:
    exif = Image.Exif()
    exif[ORIENTATION], exif[0x010F] = 6, "camera"
    burst = Image.new("RGB", (16, 16), "blue")
    Image.fromarray(SMOOTH[:, :, :3]).save(
        tmp_path / "a.heic", exif=exif.tobytes(), save_all=True, append_images=[burst]
    )

    picture, header = read(tmp_path / "a.heic"), read_header(tmp_path / "a.heic")

    assert [frame.shape for frame in picture.frames] == [(60, 40, 3)]
    assert (header.height, header.width, header.frames) == (60, 40, 1)
    assert b"camera" in (picture.exif or b"")


def test_ten_bits_of_a_heic_become_sixteen(tmp_path: Path, heif: Any) -> None:
    deep = SMOOTH[:, :, :3].astype(np.uint16) * 257
    heif.from_bytes("RGB;16", (60, 40), deep.tobytes()).save(tmp_path / "a.heic", quality=-1)

    frame = read(tmp_path / "a.heic").frames[0]

    assert frame.dtype == np.uint16
    assert read_header(tmp_path / "a.heic").bits == 10
    assert np.abs(frame.astype(int) - deep).mean() < 400
    assert frame.max() == 65535 or deep.max() < 65535


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_lossless_jpeg_xl_comes_back_as_it_went(tmp_path: Path, jxl: Any, channels: int) -> None:
    frame = NOISE[:, :, :channels]

    write(Picture(frames=(frame,)), tmp_path / "a.jxl", quality="lossless")

    np.testing.assert_array_equal(read(tmp_path / "a.jxl").frames[0], frame)
    header = read_header(tmp_path / "a.jxl")
    assert (header.height, header.width, header.frames, header.bits) == (40, 60, 1, 8)


def test_the_orientation_in_a_jpeg_xl_counts_once(tmp_path: Path, jxl: Any) -> None:
    exif = Image.Exif()
    exif[ORIENTATION], exif[0x010F] = 6, "camera"
    image = Image.fromarray(SMOOTH[:, :, :3])
    image.save(tmp_path / "a.jxl", exif=exif.tobytes())  # the codestream says upright
    assert read(tmp_path / "a.jxl").frames[0].shape == (40, 60, 3)
    image.save(tmp_path / "a.jpg", exif=exif.tobytes())
    with Image.open(tmp_path / "a.jpg") as photo:
        photo.save(tmp_path / "b.jxl", lossless_jpeg=True)
    assert read(tmp_path / "b.jxl").frames[0].shape == (60, 40, 3)


def test_a_jpeg_xl_is_refused_by_its_header(tmp_path: Path, jxl: Any) -> None:
    Image.fromarray(NOISE).save(tmp_path / "a.jxl")
    with pytest.raises(ImageError, match=r"60 × 40 pixels.*2399.*--max-pixels .*max_pixels"):
        read(tmp_path / "a.jxl", max_pixels=2399)
    assert read(tmp_path / "a.jxl", max_pixels=2400).frames[0].shape == (40, 60, 4)
    for bits in (
        # width 8 (small), height 8, ratio 1; not all usual; no extra fields; 16 bits
        "1 00000 100 0 0 0 11 111100",
        # the same with extra fields: no orientation, an animation
        "1 00000 100 0 1 000 0 0 1",
    ):
        number = sum(1 << place for place, bit in enumerate(bits.replace(" ", "")) if bit == "1")
        (tmp_path / "b.jxl").write_bytes(b"\xff\x0a" + number.to_bytes(64, "little"))
        with pytest.raises(ImageError, match=r"16 bits|animated"):
            read(tmp_path / "b.jxl")
    Image.fromarray(NOISE[:, :, 0].astype(np.uint16)).save(tmp_path / "c.jxl", lossless=True)
    with pytest.raises(ImageError, match="16 bits"):
        read(tmp_path / "c.jxl")


@pytest.mark.parametrize("suffix", ["avif", "jxl"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_avif_and_jpeg_xl_come_close(tmp_path: Path, suffix: str, channels: int) -> None:
    if suffix == "jxl":
        pytest.importorskip("pillow_jxl")
    frame = SMOOTH[:, :, :channels]

    write(Picture(frames=(frame,)), tmp_path / f"a.{suffix}")

    again = read(tmp_path / f"a.{suffix}").frames[0]
    assert again.shape[:2] == frame.shape[:2]  # Pillow reads a gray AVIF as RGB
    assert np.abs(again.astype(int) - frame).mean() < 3


@pytest.mark.parametrize("suffix", ["avif", "jxl"])
def test_avif_and_jpeg_xl_say_beforehand_what_they_do_not_hold(tmp_path: Path, suffix: str) -> None:
    output = Output(tmp_path / f"a.{suffix}")
    moving = Picture(frames=(SMOOTH, SMOOTH[::-1]), durations=(10, 10))
    with pytest.raises(ImageError, match="animation"):
        output.check(moving, height=40, width=60)
    with pytest.raises(ImageError, match="16"):
        output.check(Picture(frames=(SMOOTH.astype(np.uint16),)), height=40, width=60)
    if suffix == "avif":
        for height, width in ((10, 32769), (20_000, 20_000)):
            with pytest.raises(ImageError, match="limit of avif"):
                output.check(Picture(frames=(SMOOTH,)), height=height, width=width)


def test_lossless_webp_keeps_every_value_under_transparency_too(tmp_path: Path) -> None:
    NOISE[:10, :, 3] = 0
    write(Picture(frames=(NOISE,)), tmp_path / "a.webp", quality="lossless")
    np.testing.assert_array_equal(read(tmp_path / "a.webp").frames[0], NOISE)


@pytest.mark.parametrize(
    ("suffix", "quality"),
    [("jpg", "lossless"), ("avif", "lossless"), ("gif", "lossless"), ("webp", "best"),
     ("jpg", 0), ("webp", True), ("jxl", 101), ("tif", 90), ("png", 90)],
)  # fmt: skip
def test_a_quality_without_meaning_is_refused(
    tmp_path: Path, suffix: str, quality: Quality
) -> None:
    with pytest.raises(ArgumentError, match=r"lossless|quality"):
        Output(tmp_path / f"a.{suffix}", quality=quality)


@pytest.mark.parametrize(
    ("start", "module"),
    [
        (b"\xff\x0a" + bytes(62), "pillow_jxl"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(52), "pillow_jxl"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40), "pillow_heif"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heix" + bytes(40), "pillow_heif"),
    ],
)
def test_without_the_plug_in_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: bytes, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / "photo.jpg").write_bytes(start)
    for attempt in (read, read_header):
        with pytest.raises(ImageError, match=rf"{module} .*sr-toolkit\[formats\]") as caught:
            attempt(tmp_path / "photo.jpg")
        assert caught.value.path == tmp_path / "photo.jpg"


def test_a_jpeg_xl_that_cannot_be_written_is_known_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    with pytest.raises(ImageError, match=r"sr-toolkit\[formats\]"):
        Output(tmp_path / "a.jxl")


def test_an_avif_is_no_heic() -> None:
    for brands in (b"avif\0\0\0\0mif1", b"mif1\0\0\0\0avif"):
        start = struct.pack(">I4s", 20, b"ftyp") + brands
        assert "AVIF" in formats_for(start + bytes(44))


def test_a_box_without_end_is_looked_through_at_once() -> None:
    assert "TIFF" in formats_for(b"II*\0ftyp" + bytes(56))


def test_every_suffix_is_read_or_left_out_with_advice() -> None:
    assert not IMAGE_SUFFIXES & LEFT_OUT.keys()
    assert {".jpg", ".heic", ".jxl", ".dng", ".psd"} <= IMAGE_SUFFIXES | LEFT_OUT.keys()
    assert "develop" in LEFT_OUT[".cr2"]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_opencv_s_order_is_exchanged_both_ways(channels: int) -> None:
    bgr = NOISE[:, :, :channels]
    rgb = from_bgr(bgr)
    assert rgb.flags.c_contiguous or channels == 1
    np.testing.assert_array_equal(to_bgr(rgb), bgr)
    assert from_bgr(bgr[:, :, 0]).shape == (40, 60)
    if channels > 2:
        np.testing.assert_array_equal(rgb[:, :, 0], bgr[:, :, 2])
        np.testing.assert_array_equal(rgb[:, :, 3:], bgr[:, :, 3:])


@pytest.mark.parametrize("frame", [SMOOTH, SMOOTH[:, :, [0, 3]]], ids=["RGBA", "LA"])
def test_opaque_alpha_is_dropped_for_a_jpeg(tmp_path: Path, frame: np.ndarray) -> None:
    opaque = frame.copy()
    opaque[:, :, -1] = 255

    write(Picture(frames=(opaque,)), tmp_path / "a.jpg")

    color = opaque[:, :, :-1].astype(int)
    assert np.abs(read(tmp_path / "a.jpg").frames[0] - color).mean() < 2
    opaque[3, 4, -1] = 254
    with pytest.raises(ImageError, match="transparency"):
        Output(tmp_path / "b.jpg").check(Picture(frames=(opaque,)), height=40, width=60)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    Image.fromarray(NOISE).save(tmp_path / "a.png")
    os.mkfifo(tmp_path / "pipe")
    content = (tmp_path / "a.png").read_bytes()
    threading.Thread(target=(tmp_path / "pipe").write_bytes, args=[content], daemon=True).start()

    np.testing.assert_array_equal(read(tmp_path / "pipe").frames[0], NOISE)

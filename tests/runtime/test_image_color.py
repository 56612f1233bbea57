"""Colours that a file states elsewhere than in an ICC profile are shown as the file means them."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from sr_runtime.errors import ImageError
from sr_runtime.image import from_pil, read, to_pil, write
from tests.managed_color import shown_in_srgb
from tests.runtime.image_files import SRGB, png_of, strips, tiff_of

Y, X = np.mgrid[:16, :24]
RGB = np.dstack([10 * X, 16 * Y, 5 * (X + Y)]).astype(np.uint8)
GRAY = RGB[:, :, :1]
BT709 = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
ADOBE = (31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)
# Linear RGB to XYZ under D65, of Adobe RGB (1998) and of IEC 61966-2-1.
ADOBE_TO_XYZ = np.array(
    [[0.57667, 0.18556, 0.18823], [0.29734, 0.62736, 0.07529], [0.02703, 0.07069, 0.99134]]
)
SRGB_TO_XYZ = np.array(
    [[0.41246, 0.35758, 0.18044], [0.21267, 0.71515, 0.07218], [0.01933, 0.11919, 0.95030]]
)


def gama(value: int) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", value)


def chrm(values: tuple[int, ...]) -> tuple[bytes, bytes]:
    return b"cHRM", struct.pack(">8I", *values)


def cicp(primaries: int, transfer: int, full_range: int = 1) -> tuple[bytes, bytes]:
    return b"cICP", bytes([primaries, transfer, 0, full_range])


def encoded(light: np.ndarray) -> np.ndarray:
    """Light in [0, 1] as sRGB in [0, 255]."""
    light = np.clip(light, 0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def shown(path: Path) -> np.ndarray:
    """What a viewer that manages colour shows, in sRGB."""
    with Image.open(path) as image:
        profile = image.info.get("icc_profile")
        image = image if image.mode == "L" and profile else image.convert("RGB")
        return shown_in_srgb(image, profile).astype(float)


def copied(tmp_path: Path, png: bytes, suffix: str = "png") -> np.ndarray:
    (tmp_path / "in.png").write_bytes(png)
    write(read(tmp_path / "in.png"), tmp_path / f"out.{suffix}")
    return shown(tmp_path / f"out.{suffix}")


def adobe(pixels: np.ndarray) -> np.ndarray:
    light = (pixels / 255) ** (563 / 256) @ ADOBE_TO_XYZ.T @ np.linalg.inv(SRGB_TO_XYZ).T
    return encoded(light)


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("pixels", [RGB, GRAY], ids=["RGB", "gray"])
def test_linear_light_is_shown_as_light(tmp_path: Path, suffix: str, pixels: np.ndarray) -> None:
    seen = copied(tmp_path, png_of(pixels, gama(100000)), suffix)

    assert np.abs(seen - encoded(pixels / 255)).max() < 1.5


@pytest.mark.parametrize("pixels", [RGB, RGB.astype(np.uint16) * 257], ids=["8", "16"])
def test_the_models_see_linear_light_as_the_srgb_they_know(
    tmp_path: Path, pixels: np.ndarray
) -> None:
    pytest.importorskip("pyvips", exc_type=ImportError)
    most = np.iinfo(pixels.dtype).max
    opaque = np.dstack([pixels, np.full(pixels.shape[:2], 77, pixels.dtype)])
    (tmp_path / "a.png").write_bytes(png_of(opaque, gama(100000)))

    picture = read(tmp_path / "a.png")

    seen = picture.frames[0] / most * 255
    assert picture.icc_profile is None
    assert np.abs(seen[:, :, :3] - encoded(pixels / most)).max() <= 0.51
    assert (picture.frames[0][:, :, 3] == 77).all()


@pytest.mark.parametrize("suffix", ["png", "gif", "jxl"])
def test_primaries_of_adobe_rgb_are_shown_as_such(tmp_path: Path, suffix: str) -> None:
    if suffix == "jxl":
        pytest.importorskip("pillow_jxl")
    seen = copied(tmp_path, png_of(RGB, gama(45455), chrm(ADOBE)), suffix)

    assert np.abs(seen - adobe(RGB)).mean() < {"png": 0.5, "gif": 6, "jxl": 3}[suffix]


def test_gray_with_a_profile_is_converted_for_webp_which_holds_none_of_gray(tmp_path: Path) -> None:
    seen = copied(tmp_path, png_of(GRAY, gama(100000)), "webp")

    assert np.abs(seen - encoded(GRAY / 255)).mean() < 2


@pytest.mark.parametrize(
    ("chunks", "means_srgb"),
    [
        ([cicp(1, 13), gama(100000)], True),
        ([cicp(12, 13), (b"sRGB", b"\0")], False),
        ([cicp(1, 8), (b"iCCP", b"x\0\0" + zlib.compress(SRGB))], False),
        ([cicp(2, 2), (b"sRGB", b"\0"), gama(100000)], True),
        ([(b"sRGB", b"\0"), gama(100000)], True),
        ([gama(45455), chrm(BT709)], True),
        ([gama(45455)], True),
        ([chrm(ADOBE)], False),
        ([gama(0)], True),
        ([chrm((0,) * 8)], True),
        ([chrm((31270, 1, *ADOBE[2:]))], True),
        ([(b"gAMA", b"\0\1"), (b"cHRM", b""), (b"sRGB", b""), (b"pHYs", b"\0")], True),
    ],
)
def test_the_first_of_png_s_four_places_counts(
    tmp_path: Path, chunks: list[tuple[bytes, bytes]], means_srgb: bool
) -> None:
    seen = copied(tmp_path, png_of(RGB, *chunks))

    assert (np.abs(seen - RGB).max() == 0) == means_srgb


def test_a_profile_comes_before_gamma(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png", icc_profile=SRGB)
    png = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(png[:33] + png_of(RGB, gama(100000))[33:49] + png[33:])

    assert read(tmp_path / "a.png").icc_profile == SRGB


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_high_dynamic_range_is_refused(tmp_path: Path, transfer: int, name: str) -> None:
    (tmp_path / "hdr.png").write_bytes(png_of(RGB, cicp(9, transfer)))
    with pytest.raises(ImageError, match=rf"high dynamic range \({name}\)"):
        read(tmp_path / "hdr.png")
    Image.fromarray(RGB).save(tmp_path / "a.avif", quality=90)
    avif = bytearray((tmp_path / "a.avif").read_bytes())
    struct.pack_into(">HH", avif, avif.index(b"colrnclx") + 8, 9, transfer)
    (tmp_path / "hdr.avif").write_bytes(avif)
    with pytest.raises(ImageError, match=name):
        read(tmp_path / "hdr.avif")


def test_a_profile_of_high_dynamic_range_is_refused(tmp_path: Path) -> None:
    # A profile whose only tag of interest is the H.273 numbers, as libjxl writes it for PQ.
    numbers = b"cicp" + bytes(4) + bytes([9, 16, 0, 1])
    profile = bytearray(SRGB[:128] + struct.pack(">I4sII", 1, b"cicp", 144, 12) + numbers)
    profile[:4] = len(profile).to_bytes(4)
    Image.fromarray(RGB).save(tmp_path / "a.jpg", icc_profile=bytes(profile))
    with pytest.raises(ImageError, match="PQ"):
        read(tmp_path / "a.jpg")


def test_the_range_of_video_and_logarithms_are_refused(tmp_path: Path) -> None:
    for chunk in (cicp(1, 13, full_range=0), cicp(1, 9)):
        (tmp_path / "a.png").write_bytes(png_of(RGB, chunk))
        with pytest.raises(ImageError, match="convert it to sRGB"):
            read(tmp_path / "a.png")


def test_an_avif_states_display_p3_by_numbers(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.avif", quality=90)
    avif = bytearray((tmp_path / "a.avif").read_bytes())
    struct.pack_into(">HH", avif, avif.index(b"colrnclx") + 8, 12, 13)
    (tmp_path / "p3.avif").write_bytes(avif)

    picture = read(tmp_path / "p3.avif")

    assert picture.icc_profile is not None
    profile = ImageCms.ImageCmsProfile(io.BytesIO(picture.icc_profile)).profile
    assert profile.red_primary[1][:2] == pytest.approx((0.680, 0.320), abs=0.005)


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_a_camera_s_mark_of_adobe_rgb_becomes_a_profile(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x8769] = {0xA001: 65535, 0xA005: {1: "R03"}}
    Image.fromarray(RGB).save(tmp_path / f"photo.{suffix}", exif=exif.tobytes(), quality=100)

    write(read(tmp_path / f"photo.{suffix}"), tmp_path / "out.png")

    assert np.abs(shown(tmp_path / "out.png") - adobe(RGB)).mean() < 6
    assert np.abs(shown(tmp_path / "out.png") - RGB).mean() > 6


@pytest.mark.parametrize("pixels", [RGB, GRAY], ids=["RGB", "gray"])
def test_a_tiff_s_transfer_function_and_primaries_become_a_profile(
    tmp_path: Path, pixels: np.ndarray
) -> None:
    linear = [257 * value for value in range(256)]
    directory = strips(*pixels.shape) | {301: (3, linear)}
    (tmp_path / "linear.tif").write_bytes(tiff_of(directory, data=pixels.tobytes()))
    write(read(tmp_path / "linear.tif"), tmp_path / "out.png")
    assert np.abs(shown(tmp_path / "out.png") - encoded(pixels / 255)).max() < 1.5

    directory = strips(*pixels.shape) | {301: (3, linear[::-1])}
    (tmp_path / "falling.tif").write_bytes(tiff_of(directory, data=pixels.tobytes()))
    np.testing.assert_array_equal(read(tmp_path / "falling.tif").frames[0], pixels)

    fractions = [part for value in ADOBE for part in (value, 100000)]
    directory = strips(*pixels.shape) | {318: (5, fractions[:4]), 319: (5, fractions[4:])}
    (tmp_path / "adobe.tif").write_bytes(tiff_of(directory, data=pixels.tobytes()))
    assert (read(tmp_path / "adobe.tif").icc_profile is not None) == (pixels is RGB)


@pytest.mark.parametrize("tag", [301, 318, 319])
def test_colours_that_a_tiff_states_by_text_count_for_nothing(tmp_path: Path, tag: int) -> None:
    directory = strips(*RGB.shape) | {tag: (2, b"standard\0")}
    (tmp_path / "a.tif").write_bytes(tiff_of(directory, data=RGB.tobytes()))

    picture = read(tmp_path / "a.tif")

    assert picture.icc_profile is None
    np.testing.assert_array_equal(picture.frames[0], RGB)


def test_the_profile_of_a_jpeg_2000_is_kept(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.jp2")
    data = (tmp_path / "a.jp2").read_bytes()
    old = data[data.index(b"colr") - 4 :][: int.from_bytes(data[data.index(b"colr") - 4 :][:4])]
    box = struct.pack(">I4sBBB", 11 + len(SRGB), b"colr", 2, 0, 0) + SRGB
    place = data.index(b"jp2h") - 4
    size = int.from_bytes(data[place : place + 4]) + len(box) - len(old)
    data = data.replace(old, box)
    (tmp_path / "a.jp2").write_bytes(data[:place] + size.to_bytes(4) + data[place + 4 :])

    picture = read(tmp_path / "a.jp2")

    assert picture.icc_profile == SRGB
    assert picture.frames[0].shape == RGB.shape


def test_the_profile_inside_a_bmp_is_kept(tmp_path: Path) -> None:
    header = struct.pack("<IiiHHIIiiII", 124, 24, 16, 1, 24, 0, 0, 0, 0, 0, 0)
    header += (
        bytes(16) + b"DEBM" + bytes(48) + struct.pack("<IIII", 4, 124 + RGB.nbytes, len(SRGB), 0)
    )
    pixels = RGB[::-1, :, ::-1].tobytes()
    file = struct.pack("<2sIHHI", b"BM", 138 + len(pixels) + len(SRGB), 0, 0, 138)
    (tmp_path / "a.bmp").write_bytes(file + header + pixels + SRGB)

    picture = read(tmp_path / "a.bmp")

    assert picture.icc_profile == SRGB
    np.testing.assert_array_equal(picture.frames[0], RGB)


def test_an_image_that_pillow_opened_has_its_colours_too(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png_of(RGB, gama(100000)))
    with Image.open(tmp_path / "a.png") as image:
        to_pil(from_pil(image)).save(tmp_path / "b.png")

    assert np.abs(shown(tmp_path / "b.png") - encoded(RGB / 255)).max() < 1.5

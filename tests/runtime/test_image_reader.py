"""What each kind of image file becomes."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from sr_runtime.errors import ImageError
from sr_runtime.image import from_pil, read, write
from sr_runtime.image.header import read_header
from tests.runtime.image_files import SIGNATURE, SRGB, chunk, strips, tiff_of

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (6, 5, 3), np.uint8)
GRAY = RGB[:, :, 0]
GRAY16 = RNG.integers(0, 65536, (6, 5), np.uint16)
ALPHA = np.where(RNG.random((6, 5)) < 0.5, 0, 200).astype(np.uint8)
ORIENTATION = 0x0112


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def keyed_png(depth: int, kind: int, row: bytes, key: bytes) -> bytes:
    """A PNG of one row of 4 pixels with a transparent colour, which Pillow cannot write."""
    header = struct.pack(">IIBBBBB", 4, 1, depth, kind, 0, 0, 0)
    parts = {b"IHDR": header, b"tRNS": key, b"IDAT": zlib.compress(b"\0" + row), b"IEND": b""}
    return SIGNATURE + b"".join(chunk(*part) for part in parts.items())


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.fromarray(GRAY), GRAY[:, :, None]),
        (Image.fromarray(GRAY > 99), np.where(GRAY > 99, 255, 0)[:, :, None]),
        (Image.fromarray(GRAY16), GRAY16[:, :, None]),
        (Image.fromarray(RGB), RGB),
        (Image.fromarray(np.dstack([GRAY, ALPHA])), np.dstack([GRAY, ALPHA])),
        (Image.fromarray(np.dstack([RGB, ALPHA])), np.dstack([RGB, ALPHA])),
        (Image.fromarray(RGB).quantize(256, 0), RGB),
    ],
    ids=["L", "1", "I;16", "RGB", "LA", "RGBA", "P"],
)
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_modes_become_their_channels_without_loss(
    tmp_path: Path, image: Image.Image, expected: np.ndarray, suffix: str
) -> None:
    picture = read(saved(tmp_path / f"image.{suffix}", image))

    frame = picture.frames[0]
    assert frame.dtype == (np.uint16 if image.mode == "I;16" else np.uint8)
    np.testing.assert_array_equal(frame, expected)
    assert (picture.durations, picture.loop) == ((), None)


def test_a_palette_with_transparency_keeps_it(tmp_path: Path) -> None:
    image = Image.fromarray(RGB).quantize(200, 0)
    path = saved(tmp_path / "image.png", image, transparency=image.getpixel((2, 3)))

    frame = read(path).frames[0]

    assert frame.shape == (6, 5, 4)
    assert frame[3, 2, 3] == 0
    assert (frame[:, :, 3] == 255).sum() == 29


@pytest.mark.parametrize(
    ("depth", "kind", "row", "key", "alpha"),
    [
        (1, 0, b"\x40", b"\0\1", [255, 0, 255, 255]),
        (2, 0, b"\x1b", b"\0\2", [255, 255, 0, 255]),
        (4, 0, b"\x0f\x37", b"\0\x0f", [255, 0, 255, 255]),
        (8, 0, b"\0\7\x0f\xff", b"\0\xff", [255, 255, 255, 0]),
        (16, 0, b"\0\0\1\0\1\1\1\2", b"\1\1", [65535, 65535, 0, 65535]),
        (8, 2, b"abcabdxyzabc", b"\0a\0b\0c", [0, 255, 255, 0]),
    ],
)
def test_a_color_key_becomes_alpha(
    tmp_path: Path, depth: int, kind: int, row: bytes, key: bytes, alpha: list[int]
) -> None:
    path = tmp_path / "keyed.png"
    path.write_bytes(keyed_png(depth, kind, row, key))

    frame = read(path).frames[0]

    assert frame.shape[2] == (4 if kind == 2 else 2)
    assert frame[0, :, -1].tolist() == alpha


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB"])
def test_other_color_spaces_become_rgb(tmp_path: Path, mode: str) -> None:
    colors = Image.new("RGB", (8, 8), (200, 80, 40))
    if mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        stored = ImageCms.profileToProfile(
            colors, ImageCms.createProfile("sRGB"), lab, outputMode=mode
        )
    else:
        stored = colors.convert(mode)

    path = saved(tmp_path / "image.tif", stored, compression="tiff_lzw")
    frame = read(path).frames[0]

    assert np.abs(frame.astype(int) - (200, 80, 40)).max() <= 3


def test_cmyk_goes_through_its_profile_and_leaves_it_behind(tmp_path: Path) -> None:
    # A profile in whose space ink values mean something else than in Pillow's formula.
    profile = cmyk_profile(lab_of_everything=(128, 255, 128))
    path = saved(tmp_path / "i.jpg", Image.new("CMYK", (8, 8), (9, 9, 9, 9)), icc_profile=profile)

    picture = read(path)

    red, green, _ = picture.frames[0][4, 4].astype(int)
    assert red - green > 100  # Pillow's conversion gives gray
    assert picture.icc_profile is None


def cmyk_profile(lab_of_everything: tuple[int, int, int]) -> bytes:
    """An ICC v2 output profile whose A2B0 table maps any ink to one CIELAB colour (ICC.1:2001)."""
    table = struct.pack(">4sI4B", b"mft1", 0, 4, 3, 2, 0)
    table += struct.pack(">9i", *(65536 * int(i % 4 == 0) for i in range(9)))
    table += bytes(range(256)) * 4 + bytes(lab_of_everything) * 16 + bytes(range(256)) * 3
    header = struct.pack(">I4sI4s4s4s", 0, b"lcms", 0x02100000, b"prtr", b"CMYK", b"Lab ")
    header += bytes(12) + b"acsp" + bytes(28)
    header += struct.pack(">3I", 63190, 65536, 54061) + bytes(48)
    profile = header + struct.pack(">I4sII", 1, b"A2B0", 144, len(table)) + table
    return struct.pack(">I", len(profile)) + profile[4:]


def test_a_profile_is_carried_only_where_it_fits_the_pixels(tmp_path: Path) -> None:
    colored = read(saved(tmp_path / "rgb.png", Image.fromarray(RGB), icc_profile=SRGB))
    gray = read(saved(tmp_path / "gray.png", Image.fromarray(GRAY), icc_profile=SRGB))

    assert colored.icc_profile == SRGB
    assert gray.icc_profile is None


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_every_orientation_is_applied_and_removed(
    tmp_path: Path, orientation: int, suffix: str
) -> None:
    pixels = np.zeros((16, 24, 3), np.uint8)
    pixels[:8, :8], pixels[:8, 16:], pixels[8:, :8] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    # What is stored so that `pixels` is seen: the inverse of what each orientation asks for.
    turn = Image.Transpose
    inverse = [
        None, turn.FLIP_LEFT_RIGHT, turn.ROTATE_180, turn.FLIP_TOP_BOTTOM,
        turn.TRANSPOSE, turn.ROTATE_90, turn.TRANSVERSE, turn.ROTATE_270,
    ][orientation - 1]  # fmt: skip
    stored = Image.fromarray(pixels)
    stored = stored.transpose(inverse) if inverse is not None else stored
    exif = Image.Exif()
    exif[ORIENTATION], exif[0x010F] = orientation, "camera"

    picture = read(saved(tmp_path / f"photo.{suffix}", stored, exif=exif.tobytes()))

    assert picture.frames[0].shape == pixels.shape
    np.testing.assert_array_equal(picture.frames[0] > 127, pixels > 127)
    assert picture.exif is not None
    kept = Image.Exif()
    kept.load(picture.exif)
    assert dict(kept) == {0x010F: "camera"}


def test_dpi_is_read_and_nonsense_is_not(tmp_path: Path) -> None:
    assert read(saved(tmp_path / "a.jpg", Image.fromarray(RGB), dpi=(300, 150))).dpi == (300, 150)
    assert read(saved(tmp_path / "b.tif", Image.fromarray(RGB), dpi=(0.1, 1e6))).dpi is None
    assert read(saved(tmp_path / "c.png", Image.fromarray(RGB))).dpi is None
    assert read(saved(tmp_path / "d.tif", Image.fromarray(RGB))).dpi is None


def test_the_photo_is_read_from_a_phones_two_pictures(tmp_path: Path) -> None:
    photo, depth = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (4, 4), "blue")
    path = saved(tmp_path / "phone.jpg", photo, format="MPO", save_all=True, append_images=[depth])

    picture = read(path)

    assert [frame.shape for frame in picture.frames] == [(8, 8, 3)]
    assert picture.frames[0][4, 4, 0] > 250


@pytest.mark.parametrize("mode", ["F", "I"])
def test_samples_without_a_stated_range_are_refused(tmp_path: Path, mode: str) -> None:
    path = saved(tmp_path / "data.tif", Image.new(mode, (4, 4), 70000))

    with pytest.raises(ImageError, match="32 bits"):
        read(path)


def test_non_ascii_paths_work(tmp_path: Path) -> None:
    path = saved(tmp_path / "žluťoučký 画像[1].png", Image.fromarray(RGB))

    np.testing.assert_array_equal(read(path).frames[0], RGB)


def test_sideways_photos_have_their_resolution_turned_too(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 4)).save(tmp_path / "scan.png", exif=exif, dpi=(72, 144))
    picture = read(tmp_path / "scan.png")
    assert picture.frames[0].shape == (8, 4, 3)
    assert picture.dpi == pytest.approx((144, 72), abs=0.1)


@pytest.mark.parametrize("suffix", ["jpg", "tiff", "webp"])
def test_text_in_exif_keeps_its_bytes(suffix: str, tmp_path: Path) -> None:
    text = "© Jürgen 日本".encode()
    exif = Image.Exif()
    exif[0x8298] = text
    Image.new("RGB", (8, 4)).save(tmp_path / "photo.jpg", exif=exif)
    write(read(tmp_path / "photo.jpg"), tmp_path / f"copy.{suffix}")
    assert text in (tmp_path / f"copy.{suffix}").read_bytes()


@pytest.mark.parametrize("image", [Image.new("RGB", (0, 5)), Image.new("L", (3, 0))])
def test_a_pillow_image_without_pixels_is_refused(image: Image.Image) -> None:
    with pytest.raises(ImageError, match="no pixels"):
        from_pil(image)


def test_a_pillow_image_of_a_cut_file_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "photo.jpg").read_bytes()[:2000])
    with Image.open(tmp_path / "cut.jpg") as image, pytest.raises(ImageError, match="truncated"):
        from_pil(image)


def test_a_tiff_s_palette_of_8_bits_is_not_taken_for_16(tmp_path: Path) -> None:
    indices = np.arange(256, dtype=np.uint8).reshape(16, 16)
    colors = np.random.default_rng(0).integers(0, 256, (3, 256))
    directory = strips(16, 16, 1) | {262: (3, [3]), 320: (3, [*map(int, colors.ravel())])}
    (tmp_path / "a.tif").write_bytes(tiff_of(directory, data=indices.tobytes()))

    np.testing.assert_array_equal(read(tmp_path / "a.tif").frames[0], colors.T[indices])


def test_a_color_key_of_few_bits_has_its_other_bits_ignored(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(keyed_png(4, 0, b"\x01\x23", b"\xff\xf2"))
    np.testing.assert_array_equal(
        read(tmp_path / "a.png").frames[0], [[[0, 255], [17, 255], [34, 0], [51, 255]]]
    )


@pytest.mark.parametrize("bits", [1, 4])
def test_a_jpeg_2000_of_few_bits_is_not_read_too_dark(tmp_path: Path, bits: int) -> None:
    Image.fromarray(np.full((16, 16), 255, np.uint8)).save(tmp_path / "a.jp2")
    file = bytearray((tmp_path / "a.jp2").read_bytes())
    file[file.index(b"\xff\x4f\xff\x51") + 42] = bits - 1
    (tmp_path / "a.jp2").write_bytes(file)
    with pytest.raises(ImageError, match=f"{bits}-bit values.*8 bits"):
        read(tmp_path / "a.jp2")


def test_a_pillow_image_of_16_bits_that_begins_with_white_is_turned_around(tmp_path: Path) -> None:
    gray = np.arange(48, dtype=np.uint16).reshape(6, 8) * 1000
    directory = strips(6, 8, 1) | {258: (3, [16]), 262: (3, [0]), 279: (4, [96])}
    (tmp_path / "a.tif").write_bytes(tiff_of(directory, data=gray.tobytes()))

    with Image.open(tmp_path / "a.tif") as image:
        np.testing.assert_array_equal(from_pil(image).frames[0][:, :, 0], 65535 - gray)


@pytest.mark.parametrize("mode", ["L", "I;16", "I"])
def test_the_header_of_a_gray_image_says_so_whatever_its_bits(mode: str, tmp_path: Path) -> None:
    Image.new(mode, (4, 3)).save(tmp_path / "a.tif")
    assert read_header(tmp_path / "a.tif").gray

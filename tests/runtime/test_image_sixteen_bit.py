"""16 bits per channel stay 16 bits or are refused; they are never cut silently."""

import base64
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from sr_runtime.errors import ImageError
from sr_runtime.image import Output, Picture, from_pil, read, write
from tests.runtime.image_files import SRGB

PIXELS = np.random.default_rng(0).integers(0, 65536, (6, 5, 4), np.uint16)
CAMERA, WIDTH, HEIGHT = 0x8769, 0xA002, 0xA003
# 2 × 2 pixels of 10 bits, written by OpenCV; Pillow writes 8 bits only.
TEN_BIT_AVIF = base64.b85decode(
    b"0000WW^{RQVRmU|00000VRmU|ZE0pPZE0a<O+hh20002%ZDn*}000000000XXk=`10000000000aA{+700000000"
    b"0000000000004sdC7Z2$lO000310016oY;R)#0000)000310RR910RR926951J9smFUC~0YKW&i*H00031000_kZ"
    b"f0cy000000RRADb}%tRZ)|UJ00000YH4tCZ~y=ROKEUpZvX%Q6lrsCWdHyG000000ssI20ssI25O8UDX#fBK00Rm"
    b"N3IG5A3}JRLLxBKH000006Ju{|a&BX6cmM$a4FCp!0000NX>e^}0000000001009I60)qqq001U!WMOm?015~g05"
    b"+%yXfz-)5E(~@h9QZjnr4DP0FXbL`~"
)


@pytest.fixture
def vips() -> Any:
    return pytest.importorskip("pyvips", exc_type=ImportError)


@pytest.fixture
def no_vips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvips", None)


def tiff(path: Path, pixels: np.ndarray, **tags: object) -> Path:
    """An uncompressed TIFF with any tags, by number; separate planes where 284 is 2."""
    height, width, channels = pixels.shape
    planes = [pixels] if tags.get("tag284", 1) == 1 else np.moveaxis(pixels, 2, 0)
    data = [np.ascontiguousarray(plane).tobytes() for plane in planes]
    directory = ImageFileDirectory_v2(prefix=b"II")
    bits = 8 * pixels.itemsize
    facts = {256: width, 257: height, 258: (bits,) * channels, 262: 2 if channels > 2 else 1}
    facts |= {277: channels, 278: height, 279: tuple(map(len, data))}
    facts |= {273: tuple(len(data[0]) * number for number in range(len(data)))}
    for tag, value in (facts | {int(name[3:]): value for name, value in tags.items()}).items():
        directory[tag] = value
    with path.open("wb") as file:
        directory.save(file)
        file.write(b"".join(data))
    return path


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_come_back_as_they_went(
    tmp_path: Path, vips: Any, suffix: str, channels: int
) -> None:
    path = tmp_path / f"tiefe Töne [16].{suffix}"
    frame = PIXELS[:, :, :channels]

    write(Picture(frames=(frame,)), path)

    again = read(path).frames[0]
    assert again.dtype == np.uint16
    np.testing.assert_array_equal(again, frame)


def test_gray_with_alpha_comes_back_from_png(tmp_path: Path, vips: Any) -> None:
    write(Picture(frames=(PIXELS[:, :, :2],)), tmp_path / "a.png")

    np.testing.assert_array_equal(read(tmp_path / "a.png").frames[0], PIXELS[:, :, :2])


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_metadata_are_kept_at_sixteen_bits(tmp_path: Path, vips: Any, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[CAMERA] = "camera", {WIDTH: 999, HEIGHT: 999, 0x9003: "2020:01:01 00:00:00"}
    picture = Picture(
        frames=(PIXELS[:, :, :3],), icc_profile=SRGB, exif=exif.tobytes(), dpi=(300, 150)
    )

    write(picture, tmp_path / f"a.{suffix}")
    again = read(tmp_path / f"a.{suffix}")

    assert again.icc_profile == SRGB
    assert again.dpi == pytest.approx((300, 150), abs=0.1)
    assert again.exif is not None
    kept = Image.Exif()
    kept.load(again.exif)
    assert kept[0x010F] == "camera"
    camera = kept.get_ifd(CAMERA)
    assert (camera[WIDTH], camera[HEIGHT], camera[0x9003]) == (5, 6, "2020:01:01 00:00:00")


def test_orientation_is_applied_at_sixteen_bits(tmp_path: Path, vips: Any) -> None:
    path = tiff(tmp_path / "a.tif", PIXELS[:, :, :3], tag274=6)

    picture = read(path)

    np.testing.assert_array_equal(picture.frames[0], np.rot90(PIXELS[:, :, :3], -1))


@pytest.mark.parametrize(
    "options", [{"compression": "lzw"}, {"compression": "deflate"}, {"tile": True}]
)
def test_other_layouts_of_tiff_are_read_whole(
    tmp_path: Path, vips: Any, options: dict[str, object]
) -> None:
    image = vips.Image.new_from_array(PIXELS[:, :, :3]).copy(interpretation="rgb16")
    image.tiffsave(str(tmp_path / "a.tif"), **options)

    np.testing.assert_array_equal(read(tmp_path / "a.tif").frames[0], PIXELS[:, :, :3])


def test_separate_planes_are_read_whole(tmp_path: Path, vips: Any) -> None:
    path = tiff(tmp_path / "a.tif", PIXELS[:, :, :3], tag284=2)

    np.testing.assert_array_equal(read(path).frames[0], PIXELS[:, :, :3])


def test_a_fourth_channel_that_is_no_alpha_is_left_out(tmp_path: Path, vips: Any) -> None:
    path = tiff(tmp_path / "a.tif", PIXELS, tag338=0)

    np.testing.assert_array_equal(read(path).frames[0], PIXELS[:, :, :3])


def test_premultiplied_alpha_is_divided_out(tmp_path: Path, vips: Any) -> None:
    stored = np.array([[[1000, 2000, 3000, 32768], [0, 0, 0, 0]]], np.uint16)
    path = tiff(tmp_path / "a.tif", stored, tag338=1)

    frame = read(path).frames[0].astype(int)

    assert np.abs(frame[0, 0] - (2000, 4000, 6000, 32768)).max() <= 1
    assert frame[0, 1, 3] == 0


def test_white_is_zero_is_turned_around(tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.tif", PIXELS[:, :, :1], tag262=0)

    np.testing.assert_array_equal(read(path).frames[0], 65535 - PIXELS[:, :, :1])


def test_a_truncated_file_is_an_error(tmp_path: Path, vips: Any) -> None:
    for suffix in ("png", "tif"):
        path = tmp_path / f"a.{suffix}"
        write(Picture(frames=(PIXELS[:, :, :3],)), path)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) - 60])
        with pytest.raises(ImageError):
            read(path)


def test_gray_needs_no_vips(tmp_path: Path, no_vips: None) -> None:
    for suffix in ("png", "tif"):
        write(Picture(frames=(PIXELS[:, :, :1],)), tmp_path / f"a.{suffix}")
        np.testing.assert_array_equal(read(tmp_path / f"a.{suffix}").frames[0], PIXELS[:, :, :1])


def test_without_vips_the_error_names_the_extra(tmp_path: Path, no_vips: None) -> None:
    write(Picture(frames=(PIXELS[:, :, :3],)), tmp_path / "a.tif")

    with pytest.raises(ImageError, match=r"sr-toolkit\[vips\]"):
        read(tmp_path / "a.tif")
    with pytest.raises(ImageError, match=r"sr-toolkit\[vips\]"):
        Output(tmp_path / "a.png").check(Picture(frames=(PIXELS[:, :, :3],)), height=1, width=1)


def test_a_pillow_image_that_would_be_cut_is_refused(tmp_path: Path) -> None:
    write(Picture(frames=(PIXELS[:, :, :3],)), tmp_path / "a.tif")

    with Image.open(tmp_path / "a.tif") as image, pytest.raises(ImageError, match="8 bits"):
        from_pil(image)


@pytest.mark.parametrize("name", ["ppm", "jp2", "avif", "cmyk.tif", "12 bits.tif", "signed.tif"])
def test_what_could_only_be_cut_or_guessed_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    match name:
        case "ppm":
            path.write_bytes(b"P6 1 1 65535\n" + bytes(6))
        case "jp2":
            Image.fromarray(PIXELS[:, :, 0]).save(path, "JPEG2000")
        case "avif":
            path.write_bytes(TEN_BIT_AVIF)
        case "cmyk.tif":
            tiff(path, PIXELS, tag262=5)
        case "12 bits.tif":
            tiff(path, PIXELS[:, :, :1], tag258=12)
        case "signed.tif":
            tiff(path, PIXELS[:, :, :1], tag339=2)

    with pytest.raises(ImageError, match="bits"):
        read(path)


def test_eight_bits_of_the_same_formats_are_read(tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 8), (10, 200, 30))
    for suffix in ("ppm", "jp2", "avif"):
        image.save(tmp_path / f"a.{suffix}")
        assert np.abs(read(tmp_path / f"a.{suffix}").frames[0] - (10.0, 200, 30)).max() < 9


def test_importing_the_module_does_not_load_vips() -> None:
    code = "import sys, sr_runtime.image; sys.exit('pyvips' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_16_bit_png_states_only_what_is_known(tmp_path: Path) -> None:
    pixels = np.full((4, 5, 3), 1234, np.uint16)
    write(Picture(frames=(pixels,)), tmp_path / "deep.png")
    with Image.open(tmp_path / "deep.png") as image:
        image.load()
        assert image.info == {}
    np.testing.assert_array_equal(read(tmp_path / "deep.png").frames[0], pixels)

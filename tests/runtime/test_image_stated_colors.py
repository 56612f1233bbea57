"""Colours in the places that Pillow leaves out, and chunks in places where they do not count."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sr_runtime.image import read
from tests.runtime.image_files import SIGNATURE, chunk, png_of

Y, X = np.mgrid[:16, :24]
RGB = np.dstack([10 * X, 16 * Y, 5 * (X + Y)]).astype(np.uint8)
LINEAR = (b"gAMA", struct.pack(">I", 100000))
# XYZ of full red, green and blue of sRGB under D65.
SRGB_ENDPOINTS = (0.41246, 0.21267, 0.01933, 0.35758, 0.71515, 0.11919, 0.18044, 0.07218, 0.9503)


def as_linear_png(path: Path) -> np.ndarray:
    path.write_bytes(png_of(RGB, LINEAR))
    return read(path).frames[0]


def bmp(kind: bytes, endpoints: tuple[float, ...], gamma: float) -> bytes:
    """A BMP with a BITMAPV4HEADER."""
    rows = np.ascontiguousarray(RGB[::-1, :, ::-1]).tobytes()
    header = struct.pack("<IiiHHIIiiII", 108, 24, 16, 1, 24, 0, len(rows), 0, 0, 0, 0)
    header += bytes(16) + kind + struct.pack("<9i", *(round(n * 2**30) for n in endpoints))
    header += struct.pack("<3I", *[round(gamma * 65536)] * 3)
    return struct.pack("<2sIHHI", b"BM", 122 + len(rows), 0, 0, 122) + header + rows


def test_linear_light_of_a_calibrated_bmp_is_converted(tmp_path: Path) -> None:
    (tmp_path / "a.bmp").write_bytes(bmp(bytes(4), SRGB_ENDPOINTS, 1.0))

    picture = read(tmp_path / "a.bmp")

    np.testing.assert_array_equal(picture.frames[0], as_linear_png(tmp_path / "a.png"))
    assert picture.icc_profile is None


def test_primaries_of_a_calibrated_bmp_become_a_profile(tmp_path: Path) -> None:
    adobe = (0.57667, 0.29734, 0.02703, 0.18556, 0.62736, 0.07069, 0.18823, 0.07529, 0.99134)
    (tmp_path / "a.bmp").write_bytes(bmp(bytes(4), adobe, 2.2))

    picture = read(tmp_path / "a.bmp")

    np.testing.assert_array_equal(picture.frames[0], RGB)
    assert picture.icc_profile is not None


@pytest.mark.parametrize(("kind", "gamma"), [(b"BGRs", 1.0), (b" niW", 1.0), (bytes(4), 0.0)])
def test_a_bmp_that_states_srgb_or_nothing_is_srgb(
    tmp_path: Path, kind: bytes, gamma: float
) -> None:
    (tmp_path / "a.bmp").write_bytes(bmp(kind, (0.0,) * 9, gamma))
    picture = read(tmp_path / "a.bmp")
    np.testing.assert_array_equal(picture.frames[0], RGB)
    assert picture.icc_profile is None


@pytest.mark.parametrize("mark", [0, 1])
def test_the_mark_of_linear_light_that_pillow_writes_on_every_qoi_is_not_asked(
    tmp_path: Path, mark: int
) -> None:
    file = io.BytesIO()
    Image.fromarray(RGB).save(file, "QOI")
    qoi = bytearray(file.getvalue())
    qoi[13] = mark
    (tmp_path / "a.qoi").write_bytes(qoi)
    np.testing.assert_array_equal(read(tmp_path / "a.qoi").frames[0], RGB)


def test_colours_behind_the_pixels_or_the_palette_of_a_png_count_for_nothing(
    tmp_path: Path,
) -> None:
    png, late = png_of(RGB), chunk(*LINEAR)
    end = png.index(b"IEND") - 4
    (tmp_path / "a.png").write_bytes(png[:end] + late + png[end:])
    np.testing.assert_array_equal(read(tmp_path / "a.png").frames[0], RGB)

    file = io.BytesIO()
    Image.fromarray(RGB).quantize(64).save(file, "PNG")
    png = file.getvalue()
    (tmp_path / "plain.png").write_bytes(png)
    start = png.index(b"IDAT") - 4
    (tmp_path / "b.png").write_bytes(png[:start] + late + png[start:])
    plain, behind = read(tmp_path / "plain.png"), read(tmp_path / "b.png")
    np.testing.assert_array_equal(behind.frames[0], plain.frames[0])

    first = len(SIGNATURE) + 25
    (tmp_path / "c.png").write_bytes(png[:first] + late + png[first:])
    assert (read(tmp_path / "c.png").frames[0] != plain.frames[0]).any()

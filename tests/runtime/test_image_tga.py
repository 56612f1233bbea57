"""What a TGA states of its alpha."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sr_runtime.image import read

RNG = np.random.default_rng(0)
RGBA = RNG.integers(0, 256, (6, 8, 4), np.uint8)
RGBA[0] = 0


def tga(pixels: np.ndarray, *, alpha_bits: int = 8, attributes: int | None = None) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "TGA")
    data = bytearray(file.getvalue().partition(bytes(8) + b"TRUEVISION-XFILE")[0])
    data[17] = data[17] & 0xF0 | alpha_bits
    if attributes is None:
        return bytes(data)
    extension = struct.pack("<H492xB", 495, attributes)
    return bytes(data) + extension + struct.pack("<II", len(data), 0) + b"TRUEVISION-XFILE.\0"


@pytest.mark.parametrize("attributes", [None, 3])
def test_alpha_is_kept(tmp_path: Path, attributes: int | None) -> None:
    (tmp_path / "a.tga").write_bytes(tga(RGBA, attributes=attributes))
    np.testing.assert_array_equal(read(tmp_path / "a.tga").frames[0], RGBA)


def test_premultiplied_alpha_is_divided_out(tmp_path: Path) -> None:
    alpha = RGBA[:, :, 3:].astype(float)
    stored = RGBA.copy()
    stored[:, :, :3] = np.rint(RGBA[:, :, :3] * alpha / 255)
    (tmp_path / "a.tga").write_bytes(tga(stored, attributes=4))

    frame = read(tmp_path / "a.tga").frames[0]

    np.testing.assert_array_equal(frame[:, :, 3], RGBA[:, :, 3])
    off = np.abs(frame[:, :, :3].astype(float) - RGBA[:, :, :3])
    assert (off <= 0.5 * 255 / alpha.clip(1) + 1)[RGBA[:, :, 3] > 0].all()


def test_an_alpha_of_nothing_that_the_header_does_not_count_is_left_out(tmp_path: Path) -> None:
    clear = RGBA.copy()
    clear[:, :, 3] = 0
    (tmp_path / "a.tga").write_bytes(tga(clear, alpha_bits=0))
    np.testing.assert_array_equal(read(tmp_path / "a.tga").frames[0], RGBA[:, :, :3])
    (tmp_path / "b.tga").write_bytes(tga(clear, alpha_bits=8))
    np.testing.assert_array_equal(read(tmp_path / "b.tga").frames[0], clear)

"""PNGs of our own writing: every pixel, in every kind, with the metadata that Pillow writes."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from sr_runtime import image
from sr_runtime.image import Picture, png_encoder
from sr_runtime.image.encode import encode
from tests.runtime.test_batch import photo


def pixels(height: int, width: int, channels: int, dtype: type) -> np.ndarray:
    top = np.iinfo(dtype).max
    return np.random.default_rng(0).integers(
        0, top, (height, width, channels), dtype, endpoint=True
    )


@pytest.mark.parametrize(
    ("dtype", "channels"),
    [(np.uint8, 1), (np.uint8, 2), (np.uint8, 3), (np.uint8, 4), (np.uint16, 1)],
)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (37, 23)])
def test_what_is_written_is_read(
    size: tuple[int, int],
    channels: int,
    dtype: type,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(png_encoder, "BAND", 200)  # of a few rows
    frame = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (*size, channels), dtype)
    image.write(Picture(frames=(frame,)), tmp_path / "a.png")
    (read,) = image.read(tmp_path / "a.png").frames
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, frame)


def test_strided_pixels_are_written_as_they_look(tmp_path: Path) -> None:
    frame = photo(3)[::-2, ::-1]
    image.write(Picture(frames=(frame,)), tmp_path / "a.png")
    with PIL.Image.open(tmp_path / "a.png") as read:
        read.verify()
    np.testing.assert_array_equal(image.read(tmp_path / "a.png").frames[0], frame)


def test_a_flat_picture_takes_next_to_nothing() -> None:
    file = io.BytesIO()
    encode(Picture(frames=(np.full((1000, 1000, 3), 200, np.uint8),)), file, "png", None)
    assert file.tell() < 10_000


def test_metadata_are_those_that_pillow_writes(tmp_path: Path) -> None:
    described = Picture(
        frames=(photo(0),),
        dpi=(300.0, 300.0),
        png_text=((b"tEXt", b"Author\0somebody"),),
    )
    image.write(described, tmp_path / "a.png")
    read = image.read(tmp_path / "a.png")
    assert read.png_text == described.png_text
    assert read.dpi == pytest.approx(described.dpi, rel=1e-3)
    bare = replace(described, dpi=None, png_text=())
    image.write(bare, tmp_path / "b.png")
    assert image.read(tmp_path / "b.png").dpi is None

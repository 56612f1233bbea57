"""Files whose first directory is a preview are refused, whatever they are called."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sr_runtime.errors import ImageError
from sr_runtime.image import read, read_header
from tests.runtime.image_files import Directory, strips, tiff_of

PREVIEW = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
MAKE = {271: (2, b"Camera & Sons\0")}
REDUCED = {254: (4, [1])}
SENSOR: Directory = strips(40, 60, 1, at=16)


def first(**kind: object) -> Directory:
    return strips(*PREVIEW.shape) | MAKE | {int(tag[3:]): value for tag, value in kind.items()}


RAW_FILES = {
    "DNG": [first(tag254=(4, [1]), tag330=(4, SENSOR), tag50706=(1, [1, 4, 0, 0]))],
    "of Camera & Sons": [first(tag330=(4, SENSOR | {262: (3, [32803])}))],
    "of Camera &": [first(tag330=(4, SENSOR | {259: (3, [34713])}))],
    "of Camera": [first(), SENSOR | {33422: (1, [0, 1, 1, 2])}],
}


@pytest.mark.parametrize(
    ("suffix", "big"), [("dng", False), ("tif", False), ("jpg", False), ("dng", True)]
)
@pytest.mark.parametrize("name", RAW_FILES)
def test_the_preview_of_a_raw_file_is_not_taken_for_the_photo(
    tmp_path: Path, name: str, suffix: str, big: bool
) -> None:
    path = tmp_path / f"photo.{suffix}"
    path.write_bytes(tiff_of(*RAW_FILES[name], data=PREVIEW.tobytes(), big=big))

    for attempt in (read, read_header):
        with pytest.raises(ImageError, match=rf"raw file \({name}") as caught:
            attempt(path)
        assert caught.value.path == path


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"II*\0\x10\0\0\0CR\2\0", "CR2"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1", "CR3"),
        (b"IIRO\x08\0\0\0", "ORF"),
        (b"IIU\0\x18\0\0\0", "RW2"),
        (b"FUJIFILMCCD-RAW 0201", "RAF"),
        (b"II\x1a\0\0\0HEAPCCDR", "CRW"),
    ],
)
def test_raw_files_of_other_kinds_are_named(tmp_path: Path, start: bytes, name: str) -> None:
    (tmp_path / "photo.tif").write_bytes(start + bytes(100))
    with pytest.raises(ImageError, match=rf"raw file \({name} of "):
        read(tmp_path / "photo.tif")


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("directory", [first(tag330=(4, SENSOR)), first(**{"tag254": (4, [1])})])
def test_a_preview_alone_is_not_a_picture(tmp_path: Path, directory: Directory, big: bool) -> None:
    (tmp_path / "a.tif").write_bytes(tiff_of(directory, data=PREVIEW.tobytes(), big=big))
    with pytest.raises(ImageError, match=r"preview.*8×6"):
        read(tmp_path / "a.tif")


def test_smaller_copies_and_masks_are_left_out(tmp_path: Path) -> None:
    small = {254: (4, [1])} | strips(3, 4, 3)
    mask = {254: (4, [4])} | strips(6, 8, 1)
    older = {255: (3, [2])} | strips(3, 4, 3)
    pyramid = strips(*PREVIEW.shape) | {330: (4, strips(3, 4, 3))}
    (tmp_path / "a.tif").write_bytes(tiff_of(small, older, pyramid, mask, data=PREVIEW.tobytes()))

    picture = read(tmp_path / "a.tif")

    assert picture.pages == ()
    np.testing.assert_array_equal(picture.frames[0], PREVIEW)
    assert read_header(tmp_path / "a.tif").frames == 1


def test_one_channel_in_a_plane_of_its_own_is_gray_that_begins_with_white(tmp_path: Path) -> None:
    gray = PREVIEW[:, :, :1]
    directory = strips(*gray.shape) | {262: (3, [0]), 284: (3, [2])}
    (tmp_path / "a.tif").write_bytes(tiff_of(directory, data=gray.tobytes()))

    np.testing.assert_array_equal(read(tmp_path / "a.tif").frames[0], 255 - gray)


def test_a_tiff_of_another_kind_is_called_a_tiff(tmp_path: Path) -> None:
    directory = strips(2, 2, 3) | {258: (3, [32] * 3), 339: (3, [3] * 3)}
    (tmp_path / "a.tif").write_bytes(tiff_of(directory, data=bytes(48)))

    with pytest.raises(ImageError, match=r"begins as a TIFF.*8 or 16 bits"):
        read(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("number", "name"), [(33005, "JPEG 2000"), (34887, "LERC"), (50001, "WebP"), (52546, "JPEG XL")]
)
def test_a_compression_that_is_not_read_is_named(tmp_path: Path, number: int, name: str) -> None:
    directory = strips(*PREVIEW.shape) | {259: (3, [number])}
    (tmp_path / "a.tif").write_bytes(tiff_of(directory, data=PREVIEW.tobytes()))

    with pytest.raises(ImageError, match=f"its {name} compression.*Deflate"):
        read(tmp_path / "a.tif")


def test_a_layout_that_is_not_read_is_not_called_damage(tmp_path: Path) -> None:
    planes = strips(*PREVIEW.shape[:2], 2) | {284: (3, [2]), 338: (3, [2]), 278: (4, [6])}
    planes |= {273: (4, [16, 64]), 279: (4, [48, 48])}
    (tmp_path / "a.tif").write_bytes(tiff_of(planes, data=PREVIEW.tobytes()))

    with pytest.raises(ImageError, match=r"cannot be read here.*PNG") as caught:
        read(tmp_path / "a.tif")
    assert "damaged" not in str(caught.value)


def test_directories_that_lead_in_circles_end(tmp_path: Path) -> None:
    file = bytearray(tiff_of(first(tag330=(4, [8, 8, 8])), data=PREVIEW.tobytes()))
    file[-4:] = file[4:8]  # the directory follows itself
    (tmp_path / "a.tif").write_bytes(file)

    np.testing.assert_array_equal(read(tmp_path / "a.tif").frames[0], PREVIEW)


def test_the_header_of_a_sideways_tiff_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PREVIEW).save(tmp_path / "a.tif", exif=exif)

    header = read_header(tmp_path / "a.tif")

    assert (header.height, header.width) == read(tmp_path / "a.tif").frames[0].shape[:2] == (8, 6)

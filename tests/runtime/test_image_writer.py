"""What each format keeps of a picture, and what is refused before the work begins."""

import errno
import os
import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sr_runtime.errors import ImageError, OutOfMemoryError, SRError, StorageError
from sr_runtime.image import Format, Output, Picture, from_pil, read, to_pil, write
from sr_runtime.storage.atomic import check_target
from tests.runtime.image_files import SRGB

RNG = np.random.default_rng(0)
Y, X = np.mgrid[:40, :60]
SMOOTH = np.dstack([4 * X, 6 * Y, 2 * (X + Y), 255 - 4 * X]).astype(np.uint8)
WIDTH, HEIGHT = 0xA002, 0xA003


def pixels(channels: int, dtype: type = np.uint8) -> np.ndarray:
    return RNG.integers(0, np.iinfo(dtype).max, (7, 9, channels), dtype, endpoint=True)


def camera_exif() -> bytes:
    exif = Image.Exif()
    exif[0x010F] = "camera"
    exif[0x8769] = {WIDTH: 4000, HEIGHT: 3000, 0x9003: "2020:01:01 00:00:00", 0x927C: b"private"}
    exif[0x8825] = {1: "N", 2: (1.0, 2.0, 3.0)}
    return exif.tobytes()


@pytest.mark.parametrize("format", ["png", "tiff"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_lossless_formats_keep_every_pixel(tmp_path: Path, format: str, channels: int) -> None:
    picture = Picture(frames=(pixels(channels),))

    write(picture, tmp_path / f"image.{format}")

    written = read(tmp_path / f"image.{format}").frames[0]
    assert written.dtype == np.uint8
    np.testing.assert_array_equal(written, picture.frames[0])


@pytest.mark.parametrize("suffix", ["jpg", "webp", "gif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_lossy_formats_come_close(tmp_path: Path, suffix: str, channels: int) -> None:
    frame = SMOOTH[:, :, :channels]

    write(Picture(frames=(frame,)), tmp_path / f"image.{suffix}")

    written = read(tmp_path / f"image.{suffix}").frames[0].astype(int)
    assert np.abs(written - frame).mean() < (6 if suffix == "gif" else 2)


@pytest.mark.parametrize("format", ["png", "jpg", "webp", "tiff"])
def test_metadata_are_kept_and_the_sizes_in_them_corrected(tmp_path: Path, format: str) -> None:
    picture = Picture(
        frames=(SMOOTH[:, :, :3],), icc_profile=SRGB, exif=camera_exif(), dpi=(300.0, 150.0)
    )

    write(picture, tmp_path / f"image.{format}")

    with Image.open(tmp_path / f"image.{format}") as image:
        assert image.info["icc_profile"] == SRGB
        exif = image.getexif()
        assert exif[0x010F] == "camera"
        camera = exif.get_ifd(0x8769)
        assert (camera[WIDTH], camera[HEIGHT]) == (60, 40)
        assert (camera[0x9003], camera[0x927C]) == ("2020:01:01 00:00:00", b"private")
        assert exif.get_ifd(0x8825) == {1: "N", 2: (1.0, 2.0, 3.0)}
        if format != "webp":  # which has no place for it
            assert image.info["dpi"] == pytest.approx((300, 150), abs=0.1)


def test_a_tiff_leaves_its_storage_tags_behind(tmp_path: Path) -> None:
    Image.fromarray(SMOOTH[:, :, :3]).save(
        tmp_path / "in.tif", compression="tiff_lzw", description="words", dpi=(72, 72)
    )
    picture = read(tmp_path / "in.tif")

    for name in ("out.jpg", "out.tif"):
        write(picture, tmp_path / name)
        with Image.open(tmp_path / name) as image:
            assert image.getexif()[0x010E] == "words"
            assert image.mode == "RGB"
            image.load()
    with Image.open(tmp_path / "out.jpg") as image:
        assert not set(image.getexif()) & {256, 257, 258, 259, 262, 273, 277, 278, 279, 284}


def test_a_jpeg_is_written_without_exif_that_is_too_large_for_it(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x8769] = {0x927C: bytes(70_000)}
    picture = Picture(frames=(pixels(3),), exif=exif.tobytes())

    write(picture, tmp_path / "image.jpg")
    write(picture, tmp_path / "image.png")

    assert read(tmp_path / "image.jpg").exif is None
    assert read(tmp_path / "image.png").exif == exif.tobytes()


def test_a_profile_of_another_color_space_is_not_written(tmp_path: Path) -> None:
    write(Picture(frames=(pixels(1),), icc_profile=SRGB), tmp_path / "gray.png")

    with Image.open(tmp_path / "gray.png") as image:
        assert "icc_profile" not in image.info


def test_jpeg_keeps_full_color_resolution(tmp_path: Path) -> None:
    write(Picture(frames=(SMOOTH[:, :, :3],)), tmp_path / "image.jpg")

    with Image.open(tmp_path / "image.jpg") as image:
        assert {layer[1:3] for layer in image.layer} == {(1, 1)}


@pytest.mark.parametrize("format", ["jpg", "webp"])
def test_quality_trades_size(tmp_path: Path, format: str) -> None:
    sizes = []
    for quality in (20, None, 100):
        write(Picture(frames=(pixels(3),)), tmp_path / f"image.{format}", quality=quality)
        sizes.append((tmp_path / f"image.{format}").stat().st_size)

    assert sizes[0] < sizes[1] < sizes[2]


def test_a_gif_of_few_colors_is_exact_and_cuts_alpha_at_a_half(tmp_path: Path) -> None:
    palette = RNG.integers(0, 256, (200, 3), np.uint8)
    frame = np.dstack([palette[RNG.integers(0, 200, (40, 60))], SMOOTH[:, :, 3]])

    write(Picture(frames=(frame,)), tmp_path / "image.gif")

    written = read(tmp_path / "image.gif").frames[0]
    visible = frame[:, :, 3] >= 128
    np.testing.assert_array_equal(written[:, :, 3], np.where(visible, 255, 0))
    np.testing.assert_array_equal(written[visible][:, :3], frame[visible][:, :3])


def test_partial_transparency_that_a_gif_rounds_is_told_before_the_work(tmp_path: Path) -> None:
    soft, hard = SMOOTH.copy(), SMOOTH.copy()
    hard[:, :, 3] = np.where(hard[:, :, 3] < 128, 0, 255)
    output = Output(tmp_path / "a.gif")

    with pytest.warns(RuntimeWarning, match=r"a\.gif: .*partial transparency.*png or webp"):
        output.check(Picture(frames=(hard, soft), durations=(10, 10)), height=80, width=120)
    for told in (output, Output(tmp_path / "a.png")):
        with warnings.catch_warnings(action="error"):
            told.check(Picture(frames=(hard,)), height=80, width=120)


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.png", "png"),
        ("a.JPEG", "jpg"),
        ("a.b.tif", "tiff"),
        ("é.webp", "webp"),
        ("a.gif", "gif"),
    ],
)
def test_the_suffix_chooses_the_format(name: str, format: Format) -> None:
    assert Output(Path("folder.x") / name).format == format


@pytest.mark.parametrize("name", ["a.psd", "a", ".png", "a.png.txt"])
def test_an_unknown_suffix_is_refused_with_a_list(name: str) -> None:
    with pytest.raises(ImageError, match=r"\.png, .*\.gif"):
        Output(name)


def test_a_place_that_cannot_be_written_is_known_beforehand(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").touch()

    for name in ("folder.png", "missing/a.png", "file/a.png", "n" * 300 + ".png"):
        for attempt in (check_target, partial(write, Picture(frames=(pixels(1),)))):
            with pytest.raises(SRError) as caught:
                attempt(tmp_path / name)
            assert caught.value.path == tmp_path / name
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder.png"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_known_beforehand(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="Permission denied"):
        check_target(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["png", "tif", "gif"])
def test_a_failed_write_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    target = tmp_path / f"image.{suffix}"
    target.write_text("old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StorageError, match="No space left") as caught:
        write(Picture(frames=(pixels(3),)), target)

    assert caught.value.path == target
    assert list(tmp_path.iterdir()) == [target]
    assert target.read_text() == "old"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no file's size")
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "gif", "avif"])
def test_a_disk_that_is_full_within_a_file_leaves_no_part_of_it(
    suffix: str, tmp_path: Path
) -> None:
    import resource

    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    write(Picture(frames=(noise,)), tmp_path / f"whole.{suffix}")
    room = (tmp_path / f"whole.{suffix}").stat().st_size - 3000
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        with pytest.raises(StorageError):
            write(Picture(frames=(noise,)), tmp_path / f"a.{suffix}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path.name for path in tmp_path.iterdir()] == [f"whole.{suffix}"]


def test_float_pixels_are_refused_in_words(tmp_path: Path) -> None:
    floats = Picture(frames=(np.ones((4, 4, 4), np.float32),))
    with pytest.raises(ImageError, match="floating-point"):
        write(floats, tmp_path / "x.jpg")


def test_a_pillow_image_states_its_own_size_in_exif() -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({0xA002: 6, 0xA003: 4})  # of the image before it was enlarged
    image = to_pil(Picture(frames=(np.zeros((16, 24, 3), np.uint8),), exif=exif.tobytes()))
    kept = Image.Exif()
    kept.load(image.info["exif"])
    assert dict(kept.get_ifd(0x8769)) == {0xA002: 24, 0xA003: 16}


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError("out of memory error when writing image file"),
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
        ValueError("encoding error 1"),
    ],
)
def test_an_encoder_that_runs_out_of_memory_says_how_much_the_pixels_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def without_memory(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Image.Image, "save", without_memory)
    picture = Picture(frames=(np.zeros((1000, 2000, 3), np.uint8),))
    with pytest.raises(OutOfMemoryError, match=r"2000 × 1000 pixels.*6 MB\): .*smaller") as caught:
        write(picture, tmp_path / "a.webp")
    assert caught.value.path == tmp_path / "a.webp"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_a_pillow_image_goes_in_and_out_unchanged(mode: str) -> None:
    frame = {"L": pixels(1)[:, :, 0], "I;16": pixels(1, np.uint16)[:, :, 0]}
    image = Image.fromarray(frame.get(mode, pixels(len(mode))))
    profile = SRGB if "RGB" in mode else None
    # Pixels are taken as they lie, so the orientation still holds for them.
    exif = Image.Exif()
    exif[0x0112] = 6
    image.info = {"icc_profile": profile, "exif": exif.tobytes(), "dpi": (72.0, 96.0)}

    result = to_pil(from_pil(image))

    assert (result.mode, result.size) == (mode, image.size)
    assert result.tobytes() == image.tobytes()
    assert result.getexif()[0x0112] == 6
    assert result.info.get("icc_profile") == profile
    assert result.info["dpi"] == (72, 96)


@pytest.mark.parametrize("mode", ["1", "P", "CMYK", "YCbCr", "HSV", "I", "I;16B", "RGBX"])
def test_pillow_images_of_other_modes_go_in(mode: str) -> None:
    image = Image.new(mode, (3, 2), 1 if mode in ("1", "I", "I;16B", "P") else 0)
    if mode == "P":
        image.putpalette([0, 0, 0, 70, 80, 90])
    channels = 1 if mode in ("1", "I", "I;16B") else 3

    frame = from_pil(image).frames[0]

    assert frame.shape == (2, 3, channels)
    assert frame.dtype == (np.uint16 if mode.startswith("I") else np.uint8)
    expected = {"1": 255, "P": 70, "CMYK": 255, "I": 1, "I;16B": 1}
    assert frame[0, 0, 0] == expected.get(mode, 0)


@pytest.mark.parametrize("image", [Image.new("F", (2, 2)), Image.new("I", (2, 2), 65536)])
def test_pillow_images_beyond_16_bits_are_refused(image: Image.Image) -> None:
    with pytest.raises(ImageError, match="first"):
        from_pil(image)

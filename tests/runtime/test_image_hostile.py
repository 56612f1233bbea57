"""Files that are too large, damaged, truncated or not images: one sentence each, and no crash."""

import contextlib
import io
import itertools
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from sr_runtime.errors import ArgumentError, ImageError, OutOfMemoryError
from sr_runtime.image import Picture, from_pil, read, read_header, write
from tests.runtime.image_files import SRGB

# Pillow warns of damage; whether to show that is up to the application.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::Warning:PIL")

KINDS = [
    "PNG", "JPEG", "WEBP", "TIFF", "TIFF compressed", "BMP", "GIF", "GIF animated",
    "PNG animated", "WEBP animated", "JPEG2000", "PPM", "TGA",
]  # fmt: skip
RGB = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def test_a_chunk_that_claims_gigabytes_takes_no_memory(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(RGB))
    png = path.read_bytes()
    for name in (b"IDAT", b"tEXt"):
        path.write_bytes(png[:33] + b"\xff\xff\xff\xff" + name + png[41:])
        tracemalloc.start()
        with contextlib.suppress(ImageError):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 10**8
        tracemalloc.stop()


def test_an_image_above_the_limit_is_refused_by_its_header(tmp_path: Path) -> None:
    path = saved(tmp_path / "large.png", Image.new("L", (100, 50)))

    with pytest.raises(ImageError, match=r"100 × 50 .*4999.*--max-pixels .*max_pixels"):
        read(path, max_pixels=4999)
    assert read(path, max_pixels=5000).frames[0].shape == (50, 100, 1)


def test_all_frames_of_an_animation_count_for_the_limit(tmp_path: Path) -> None:
    frames = [Image.new("L", (10, 10), shade) for shade in (0, 100, 200)]
    path = saved(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:])

    with pytest.raises(ImageError, match="10 × 10 pixels × 3 frames"):
        read(path, max_pixels=299)
    assert len(read(path, max_pixels=300).frames) == 3


def test_pillows_own_limit_is_reported_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "large.png", Image.new("L", (100, 50)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)

    with pytest.raises(ImageError, match=r"5000 pixels.*--max-pixels"):
        read(path)


@pytest.mark.parametrize(
    "error", [MemoryError(), OSError("out of memory error when reading image file")]
)
def test_running_out_of_memory_for_pixels_is_not_reported_as_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    path = saved(tmp_path / "large.png", Image.new("RGB", (2000, 1000)))

    def without_memory(*_: object) -> None:
        raise error

    monkeypatch.setattr(ImageFile.ImageFile, "load", without_memory)
    with pytest.raises(OutOfMemoryError, match=r"2000 × 1000 pixels.*6 MB\): .*smaller") as caught:
        read(path)
    assert caught.value.path == path
    with Image.open(path) as image, pytest.raises(OutOfMemoryError, match="6 MB"):
        from_pil(image)


def test_libvips_running_out_of_memory_is_not_reported_as_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vips = pytest.importorskip("pyvips", exc_type=ImportError)
    path = tmp_path / "deep.tif"
    write(Picture(frames=(np.zeros((1000, 2000, 3), np.uint16),)), path)

    def without_memory(*_: object) -> None:
        raise vips.Error("", "vips_tracked: out of memory --- size == 11MB\n")

    monkeypatch.setattr(vips.Image, "write_to_memory", without_memory)
    with pytest.raises(OutOfMemoryError, match=r"2000 × 1000 pixels.*12 MB\): ") as caught:
        read(path)
    assert caught.value.path == path


def test_running_out_of_memory_for_a_header_is_reported_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "large.webp", Image.new("RGB", (20, 10)))

    def without_memory(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image, "open", without_memory)
    monkeypatch.setattr("sr_runtime.image.header.open_header", without_memory)
    for attempt in (read, read_header):
        with pytest.raises(OutOfMemoryError, match="smaller image") as caught:
            attempt(path)
        assert caught.value.path == path


def test_a_file_that_is_not_an_image_is_named_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "empty.png").touch()

    for name in ("text.png", "empty.png", "missing.png", "", "nul\0byte"):
        with pytest.raises(ImageError) as caught:
            read(f"{tmp_path}/{name}")
        assert caught.value.path == Path(f"{tmp_path}/{name}")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"8BPS\0\1", "Photoshop"),
        (b"\n<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\xff\xd8\xff\xc3\0\x0b\x10\0\1\0\1\1\1\x11\0", "JPEG"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "PNG"),
        (b"\0\0\0\x1cftypavif", "AVIF"),
        (b"", "empty"),
    ],
)
def test_a_file_that_is_not_opened_is_called_what_it_is(
    tmp_path: Path, start: bytes, kind: str
) -> None:
    (tmp_path / "a.png").write_bytes(start)
    for attempt in (read, read_header):
        with pytest.raises(ImageError, match=kind):
            attempt(tmp_path / "a.png")


def test_postscript_is_never_run(tmp_path: Path) -> None:
    path = saved(tmp_path / "program.eps", Image.fromarray(RGB))

    with pytest.raises(ImageError, match="not an image"):
        read(path)


def test_a_palette_image_without_a_palette_is_damaged(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(RGB).quantize(16))
    png = path.read_bytes()
    start = png.index(b"PLTE") - 4
    path.write_bytes(png[:start] + png[start + 12 + int.from_bytes(png[start : start + 4]) :])

    for attempt in (read, read_header):
        with pytest.raises(ImageError, match="damaged"):
            attempt(path)
    with Image.open(path) as image, pytest.raises(ImageError, match="cannot be read"):
        from_pil(image)


@pytest.mark.parametrize("offset", [2**45, 2**63 - 1, 2**64 - 1])
def test_a_tiff_whose_pages_lie_beyond_any_end_is_damaged(tmp_path: Path, offset: int) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"II+\0\x08\0\0\0" + offset.to_bytes(8, "little") + bytes(100))
    with pytest.raises(ImageError, match="damaged"):
        read(path)


def test_damaged_exif_does_not_spoil_a_photo(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x8769] = "camera", {0x9003: "2020:01:01 00:00:00"}
    whole = exif.tobytes()

    for cut in range(6, len(whole), 5):
        path = saved(tmp_path / "photo.jpg", Image.fromarray(RGB), exif=whole[:cut])
        assert read(path).frames[0].shape == (6, 5, 3)


@pytest.fixture(params=KINDS, scope="module")
def whole(request: pytest.FixtureRequest) -> bytes:
    """A small file of each kind, with all that it can hold."""
    y, x = np.mgrid[:24, :32]
    photo = Image.fromarray(np.dstack([8 * x, 10 * y, 5 * (x ^ y)]).astype(np.uint8))
    turned = [photo.rotate(angle) for angle in (40, 80)]
    exif = Image.Exif()
    exif[0x0112], exif[0x8769] = 6, {0x9003: "2020:01:01 00:00:00"}
    format, *variant = request.param.split()
    options: dict[str, object] = {}
    if variant == ["animated"]:
        options = {"save_all": True, "append_images": turned, "duration": 40, "loop": 2}
    elif variant:
        options = {"compression": "tiff_lzw"}
    elif format in ("PNG", "JPEG", "WEBP", "TIFF"):
        options = {"exif": exif.tobytes(), "icc_profile": SRGB, "dpi": (72, 72)}
    buffer = io.BytesIO()
    photo.save(buffer, format, **options)
    return buffer.getvalue()


def test_damaged_files_raise_image_errors_and_nothing_else(tmp_path: Path, whole: bytes) -> None:
    rng = np.random.default_rng(1)
    path = tmp_path / "damaged"
    for _ in range(60):
        damaged = bytearray(whole)
        for position in rng.integers(0, min(len(whole), 400), rng.integers(1, 6)):
            damaged[position] = rng.integers(0, 256)
        path.write_bytes(damaged)
        with contextlib.suppress(ImageError):
            read(path, max_pixels=10**6)


def test_a_truncated_file_is_an_error_or_shows_the_whole_picture(
    tmp_path: Path, whole: bytes
) -> None:
    path = tmp_path / "truncated"
    path.write_bytes(whole)
    expected = read(path).frames
    refused = 0
    for length in np.linspace(0, len(whole) - 1, 40).astype(int):
        path.write_bytes(whole[:length])
        try:
            frames = read(path).frames
        except ImageError:
            refused += 1
            continue
        assert len(frames) == len(expected)
        assert all(itertools.starmap(np.array_equal, zip(frames, expected, strict=True)))
    assert refused > 15


@pytest.mark.parametrize("max_pixels", [0, -1, None, "9", 1.5])
def test_a_limit_that_is_no_number_of_pixels_is_an_argument_error(
    max_pixels: object, tmp_path: Path
) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "healthy.png")
    with pytest.raises(ArgumentError, match=rf"max_pixels is {max_pixels!r}: .* at least 1"):
        read(tmp_path / "healthy.png", max_pixels=max_pixels)


@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"quality": 30}])
def test_a_jpeg_that_lacks_its_end_mark_alone_is_whole(
    tmp_path: Path, options: dict[str, int]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
    path = saved(tmp_path / "a.jpg", Image.fromarray(noise), **options)
    whole, data = read(path).frames[0], path.read_bytes()

    for missing in (1, 2):
        path.write_bytes(data[:-missing])
        np.testing.assert_array_equal(read(path).frames[0], whole)
    for missing in (5, 9, 50, 500):
        path.write_bytes(data[:-missing])
        with pytest.raises(ImageError, match="truncated"):
            read(path)


def test_a_progressive_jpeg_that_lacks_its_last_scan_is_an_error(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
    path = saved(tmp_path / "a.jpg", Image.fromarray(noise), progressive=True)
    data = path.read_bytes()
    path.write_bytes(data[: data.rfind(b"\xff\xda")])
    with pytest.raises(ImageError, match="truncated"):
        read(path)


def test_a_name_that_no_file_can_have_is_not_damage() -> None:
    for attempt in (read, read_header):
        with pytest.raises(ImageError, match="zero byte"):
            attempt("a\0b.png")

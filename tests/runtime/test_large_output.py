"""Results that are written from kept rows: the pixels, the metadata, and nothing half written."""

import errno
import json
import os
import re
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.ExifTags import IFD

from sr_runtime import ArgumentError, ImageError, StorageError
from sr_runtime.image import Picture, read
from sr_runtime.large import output
from sr_runtime.large.kept_rows import KeptRows
from sr_runtime.large.output import LargeOutput, _errors_of_vips, _rows_of

vips = pytest.importorskip("pyvips", exc_type=ImportError)
RNG = np.random.default_rng(9)
SOURCE = Path("elsewhere.png")
EXIF = Image.Exif()
EXIF[0x010F] = "a camera"
EXIF[0x9C9C] = bytes(range(256)) * 300  # XPComment, too long for a JPEG


def written(target: Path, pixels: np.ndarray, **metadata: object) -> Picture:
    picture = Picture(frames=(pixels[:1, :1],), **metadata)  # type: ignore[arg-type]
    output = LargeOutput(target)
    with KeptRows(target, {}) as kept:
        kept.start(pixels.shape, pixels.dtype)
        kept.write(pixels[:100])
        kept.write(pixels[100:])
        output.check(picture, SOURCE, height=len(pixels), width=pixels.shape[1])
        output.write(kept, picture)
    return picture


def pixels(channels: int, dtype: type[np.integer] = np.uint8) -> np.ndarray:
    return RNG.integers(0, np.iinfo(dtype).max, (300, 520, channels), dtype, endpoint=True)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_pixels_and_metadata_are_those_that_were_given(
    channels: int, dtype: type[np.integer], suffix: str, tmp_path: Path
) -> None:
    if (channels, dtype, suffix) == (2, np.uint16, ".tif"):
        pytest.skip("it is refused")
    target, content = tmp_path / f"a{suffix}", pixels(channels, dtype)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = written(
        target,
        content,
        dpi=(300.0, 100.0),
        xmp=b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>',
        icc_profile=profile if channels > 2 else None,
        exif=EXIF.tobytes(),
        png_text=((b"tEXt", b"Author\0A. \xc5ngstr\xf6m"),) if suffix == ".png" else (),
    )

    result = read(target)
    np.testing.assert_array_equal(result.frames[0], content)
    assert result.dpi == pytest.approx(picture.dpi, abs=0.1)
    assert result.xmp == picture.xmp
    assert result.png_text == picture.png_text
    assert result.icc_profile == picture.icc_profile
    assert b"a camera" in (result.exif or b"")
    assert bytes(range(256)) * 300 in (result.exif or b"")


def test_a_jpeg_is_close_and_keeps_its_exif_and_its_comment(tmp_path: Path) -> None:
    content = np.full((300, 520, 3), (200, 90, 30), np.uint8)
    picture = written(
        tmp_path / "a.jpg",
        content,
        exif=EXIF.tobytes(),
        png_text=((b"iTXt", b"Comment\0\0\0\0\0Gr\xc3\xbc\xc3\x9fe"),),
    )

    result = read(tmp_path / "a.jpg")
    assert np.abs(result.frames[0].astype(int) - content).max() <= 2
    assert b"a camera" in (result.exif or b"")
    assert result.png_text == picture.png_text
    by_libvips = vips.Image.new_from_file(str(tmp_path / "a.jpg"), fail_on="warning")
    assert abs(by_libvips.avg() - content.mean()) < 2


def test_a_tiff_keeps_all_directories_of_its_exif(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    exif[IFD.Exif] = {0x829A: (1, 250), 0xA002: 130}  # exposure time, width
    exif[IFD.GPSInfo] = {1: "N", 2: (48.0, 8.0, 14.0)}
    written(tmp_path / "a.tif", pixels(3), exif=exif.tobytes())

    result = Image.Exif()
    result.load(read(tmp_path / "a.tif").exif or b"")
    assert result[0x010F] == "a camera"
    assert result.get_ifd(IFD.Exif) == {0x829A: (1, 250), 0xA002: 520}
    assert result.get_ifd(IFD.GPSInfo) == {1: "N", 2: (48.0, 8.0, 14.0)}
    by_libvips = vips.Image.new_from_file(str(tmp_path / "a.tif"), fail_on="warning")
    assert by_libvips.height == 300


def test_a_tiff_is_a_tiled_bigtiff(tmp_path: Path) -> None:
    written(tmp_path / "a.tif", pixels(3))

    assert (tmp_path / "a.tif").read_bytes()[:4] == b"II+\0"
    with Image.open(tmp_path / "a.tif") as image:
        assert image.tag_v2[322] == 256  # type: ignore[attr-defined]


def test_deep_zoom_is_a_file_and_its_tiles(tmp_path: Path) -> None:
    content = np.full((300, 520, 3), 77, np.uint8)
    written(tmp_path / "scan.dzi", content)

    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix != ".part") == [
        "scan.dzi",
        "scan_files",
    ]
    assert 'Width="520"' in (tmp_path / "scan.dzi").read_text()
    levels = tmp_path / "scan_files"
    assert {int(level.name) for level in levels.iterdir() if level.is_dir()} == {*range(11)}
    tile = np.asarray(Image.open(levels / "10" / "0_0.jpg"))
    assert np.abs(tile.astype(int) - 77).max() <= 1
    with pytest.raises(ArgumentError, match="scan_files, which Deep Zoom has"):
        LargeOutput(tmp_path / "scan.dzi").check(
            Picture(frames=(content[:1, :1],)), SOURCE, height=300, width=520
        )


@pytest.mark.parametrize(("channels", "dtype"), [(4, np.uint8), (3, np.uint16)])
def test_what_a_jpeg_cannot_hold_makes_tiles_of_png(
    channels: int, dtype: type[np.integer], tmp_path: Path
) -> None:
    content = np.full((300, 520, channels), np.iinfo(dtype).max // 3, dtype)
    written(tmp_path / "scan.dzi", content)

    tile = read(tmp_path / "scan_files" / "10" / "0_0.png").frames[0]
    np.testing.assert_array_equal(tile, content[: tile.shape[0], : tile.shape[1]])


def test_what_no_format_holds_is_refused_before_the_work(tmp_path: Path) -> None:
    picture = Picture(frames=(np.zeros((1, 1, 3), np.uint8),))
    with pytest.raises(ImageError, match="not written as webp: use png"):
        LargeOutput(tmp_path / "a.webp")
    with pytest.raises(ImageError, match="65500 pixels per side"):
        LargeOutput(tmp_path / "a.jpg").check(picture, SOURCE, height=70_000, width=10)
    deep = Picture(frames=(np.zeros((1, 1, 2), np.uint16),))
    with pytest.raises(ImageError, match="16-bit gray with alpha"):
        LargeOutput(tmp_path / "a.tif").check(deep, SOURCE, height=10, width=10)
    with pytest.raises(ArgumentError, match="does not exist"):
        LargeOutput(tmp_path / "missing" / "a.png").check(picture, SOURCE, height=10, width=10)


def test_a_failing_disk_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "a.tif"
    target.write_bytes(b"earlier")
    content = pixels(3)
    with KeptRows(target, {}) as kept:
        kept.start(content.shape, content.dtype)
        kept.write(content[:100])  # libvips reads beyond the end
        with pytest.raises(StorageError, match=r"a\.tif: cannot be written"):
            LargeOutput(target).write(kept, Picture(frames=(content[:1, :1],)))

    assert target.read_bytes() == b"earlier"
    assert json.loads((tmp_path / "a.tif.part" / "journal.json").read_text())["bands"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_said_and_known_as_that_of_other_results() -> None:
    with pytest.raises(StorageError) as caught, _errors_of_vips():
        vips.Image.black(300, 300).pngsave("/dev/full")

    assert caught.value.args[0] == "cannot be written (No space left on device)"
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ENOSPC


@pytest.mark.skipif(sys.platform == "win32", reason="os.kill ends the process")
def test_ctrl_c_ends_the_encoding(tmp_path: Path) -> None:
    target, content = tmp_path / "a.png", RNG.integers(0, 256, (4000, 3000, 3), np.uint8)

    def interrupt() -> None:
        begun = False
        while not begun:
            time.sleep(0.001)
            with suppress(FileNotFoundError):  # it gets its name between two looks
                begun = any(path.stat().st_size for path in tmp_path.glob(".sr-*"))
        os.kill(os.getpid(), signal.SIGINT)

    with KeptRows(target, {}) as kept:
        kept.start(content.shape, content.dtype)
        kept.write(content)
        interrupting = threading.Thread(target=interrupt)
        interrupting.start()
        with pytest.raises(KeyboardInterrupt):
            LargeOutput(target).write(kept, Picture(frames=(content[:1, :1],)))
        interrupting.join()

    assert [path.name for path in tmp_path.iterdir()] == ["a.png.part"]


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg", "a.dzi"])
def test_writing_tells_how_far_it_is_and_can_be_ended(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "EVERY", 0.001)
    content = RNG.integers(0, 256, (3000, 2000, 3), np.uint8)
    picture = Picture(frames=(content[:1, :1],))
    seen: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        if done > 20:
            raise InterruptedError

    with KeptRows(tmp_path / name, {}) as kept:
        kept.start(content.shape, content.dtype)
        kept.write(content)
        with pytest.raises(InterruptedError):
            LargeOutput(tmp_path / name).write(kept, picture, stop)
        assert [path.name for path in tmp_path.iterdir()] == [f"{name}.part"]
        LargeOutput(tmp_path / name).write(kept, picture, lambda *args: seen.append(args))

    assert {total for _, total in seen} == {100}
    parts = [done for done, _ in seen]
    assert parts == sorted(parts)
    assert len(set(parts)) > 3


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/smaps")
def test_rows_that_are_encoded_do_not_stay_in_memory(tmp_path: Path) -> None:
    rows = np.zeros((4000, 2000, 3), np.uint8)
    with KeptRows(tmp_path / "a.jpg", {}) as kept:
        kept.start(rows.shape, rows.dtype)
        kept.write(rows)
        with _rows_of(kept) as made:
            made.image.jpegsave(str(tmp_path / "a.jpg"))

            mapping = Path("/proc/self/smaps").read_text().partition(str(kept.file))[2]

    resident = re.search(r"^Rss: +(\d+) kB", mapping, re.MULTILINE)
    assert resident is not None
    assert int(resident[1]) * 1024 < rows.nbytes / 4

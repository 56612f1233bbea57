"""A TIFF of several pages is read, upscaled and written page by page."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sr_runtime import Upscaler
from sr_runtime.backends.base import Limits
from sr_runtime.errors import ImageError
from sr_runtime.image import Output, Picture, read, read_header, read_still, write
from tests.runtime.image_files import SRGB
from tests.runtime.known_network import KnownNetwork

RNG = np.random.default_rng(0)


def pixels(height: int, width: int, channels: int, dtype: type = np.uint8) -> np.ndarray:
    return RNG.integers(0, np.iinfo(dtype).max, (height, width, channels), dtype, endpoint=True)


def exif_of(text: str) -> bytes:
    exif = Image.Exif()
    exif[0x010E] = text
    return exif.tobytes()


def test_pages_of_any_kind_come_back_as_they_went(tmp_path: Path) -> None:
    pytest.importorskip("pyvips", exc_type=ImportError)
    first = Picture(
        frames=(pixels(7, 9, 3),), icc_profile=SRGB, dpi=(300, 150), exif=exif_of("one")
    )
    others = (
        Picture(frames=(pixels(8, 5, 1),), xmp=b"<a/>"),
        Picture(frames=(pixels(3, 4, 3, np.uint16),), exif=exif_of("three")),
        Picture(frames=(pixels(1, 1, 4),), dpi=(72, 72)),
    )

    write(Picture(**(vars(first) | {"pages": others})), tmp_path / "a.tif")
    again = read(tmp_path / "a.tif")

    assert read_header(tmp_path / "a.tif").frames == 4
    for page, expected in zip((again, *again.pages), (first, *others), strict=True):
        np.testing.assert_array_equal(page.frames[0], expected.frames[0])
        assert page.frames[0].dtype == expected.frames[0].dtype
        assert (page.icc_profile, page.xmp) == (expected.icc_profile, expected.xmp)
        for text in (b"one", b"three"):
            assert (text in (page.exif or b"")) == (text in (expected.exif or b""))
        assert page.dpi == (expected.dpi and pytest.approx(expected.dpi))


def test_other_programs_see_the_same_pages(tmp_path: Path) -> None:
    vips = pytest.importorskip("pyvips", exc_type=ImportError).Image
    second = Picture(frames=(pixels(8, 5, 1),))
    write(Picture(frames=(pixels(7, 9, 3),), pages=(second, second)), tmp_path / "a.tif")

    seen = vips.tiffload(str(tmp_path / "a.tif"), page=2)

    assert vips.tiffload(str(tmp_path / "a.tif")).get("n-pages") == 3
    np.testing.assert_array_equal(seen.numpy().reshape(8, 5, 1), second.frames[0])


def test_all_pages_count_for_the_limit(tmp_path: Path) -> None:
    pages = [Image.new("L", (10, 10)), Image.new("L", (10, 5))]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])

    with pytest.raises(ImageError, match=r"2 pages of 150 pixels .*149.*--max-pixels .*max_pixels"):
        read(tmp_path / "a.tif", max_pixels=149)
    assert len(read(tmp_path / "a.tif", max_pixels=150).pages) == 1


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif"])
def test_pages_are_not_lost_silently(tmp_path: Path, suffix: str) -> None:
    picture = Picture(frames=(pixels(4, 4, 1),), pages=(Picture(frames=(pixels(4, 4, 1),)),))
    with pytest.raises(ImageError, match=f"{suffix} cannot hold 2 pages"):
        Output(tmp_path / f"a.{suffix}").check(picture, height=8, width=8)


def test_one_picture_is_not_taken_from_several(tmp_path: Path) -> None:
    write(
        Picture(frames=(pixels(4, 4, 1),), pages=(Picture(frames=(pixels(4, 4, 1),)),)),
        tmp_path / "a.tif",
    )
    write(Picture(frames=(pixels(4, 4, 1), pixels(4, 4, 1)), durations=(9, 9)), tmp_path / "a.gif")
    for name in ("a.tif", "a.gif"):
        with pytest.raises(ImageError, match="2 frames or pages") as caught:
            read_still(tmp_path / name)
        assert caught.value.path == tmp_path / name


def test_every_page_is_upscaled_as_many_times_as_the_first(tmp_path: Path) -> None:
    pages = (Picture(frames=(pixels(20, 10, 1),)), Picture(frames=(pixels(12, 16, 3),)))
    picture = Picture(frames=(pixels(12, 16, 3),), pages=pages)
    network = KnownNetwork(radius=1, limits=Limits(depth=1))
    done: list[tuple[int, int]] = []

    with Upscaler(network) as upscaler:
        result = upscaler.upscale_picture(
            picture, width=24, progress=lambda *tiles: done.append(tiles)
        )
        alone = upscaler.upscale_picture(pages[0], scale=1.5)

    assert result.nbytes == 18 * 24 * 3 + 30 * 15 + 18 * 24 * 3
    shapes = [page.frames[0].shape for page in (result, *result.pages)]
    assert shapes == [(18, 24, 3), (30, 15, 1), (18, 24, 3)]
    np.testing.assert_array_equal(result.pages[0].frames[0], alone.frames[0])
    assert done[-1][0] == done[-1][1] == len(done)
    assert [count for count, _ in done] == sorted(count for count, _ in done)

"""Animations keep the frames that a viewer shows, and how long it shows them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sr_runtime.image import Picture, read, write
from sr_runtime.image.picture import rounded_durations

SQUARES = np.zeros((4, 16, 20, 4), np.uint8)
for number, square in enumerate(SQUARES):
    square[4:12, 4 * number : 4 * number + 6] = (60 * number, 255 - 60 * number, 128, 255)
OPAQUE = np.where(SQUARES[..., 3:] > 0, SQUARES[..., :3], (9, 90, 200)).astype(np.uint8)


def assert_seen_alike(frame: np.ndarray, expected: np.ndarray, mean_error: float = 0) -> None:
    assert frame.shape == expected.shape
    visible = np.ones(expected.shape[:2], bool)
    if expected.shape[2] == 4:
        visible = expected[:, :, 3] > 0
        np.testing.assert_array_equal(frame[:, :, 3], expected[:, :, 3])
    difference = frame[visible][:, :3].astype(int) - expected[visible][:, :3]
    assert np.abs(difference).mean() <= mean_error


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
@pytest.mark.parametrize("frames", [SQUARES, OPAQUE], ids=["transparent", "opaque"])
@pytest.mark.parametrize("loop", [None, 0, 1, 3])
def test_frames_durations_and_loop_survive(
    tmp_path: Path, suffix: str, frames: np.ndarray, loop: int | None
) -> None:
    picture = Picture(frames=tuple(frames), durations=(40, 100, 10, 250), loop=loop)

    write(picture, tmp_path / f"a.{suffix}")
    again = read(tmp_path / f"a.{suffix}")

    assert again.durations == picture.durations
    once = None if suffix == "gif" else 1
    assert again.loop == (once if loop in (None, 1) else loop)
    for frame, expected in zip(again.frames, frames, strict=True):
        assert_seen_alike(frame, expected, 12 if suffix == "webp" else 0)


def test_libvips_sees_the_same_gif(tmp_path: Path) -> None:
    vips = pytest.importorskip("pyvips").Image
    write(Picture(frames=tuple(SQUARES), durations=(40, 100, 10, 250), loop=3), tmp_path / "a.gif")

    seen = vips.gifload(str(tmp_path / "a.gif"), n=-1)

    assert (seen.get("delay"), seen.get("loop")) == ([40, 100, 10, 250], 3)
    for frame, expected in zip(np.split(seen.numpy(), 4), SQUARES, strict=True):
        assert_seen_alike(frame, expected)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_repeated_frames_keep_the_total_time(tmp_path: Path, suffix: str) -> None:
    frames = (OPAQUE[0], OPAQUE[0], OPAQUE[1], OPAQUE[1])

    write(Picture(frames=frames, durations=(40, 60, 70, 30)), tmp_path / f"a.{suffix}")

    assert sum(read(tmp_path / f"a.{suffix}").durations) == 200


def test_gif_frames_are_read_as_a_viewer_shows_them(tmp_path: Path) -> None:
    # A red square on transparency, which stays; a blue one, stored with a rectangle that holds both
    # squares and is cleared afterwards; a green one.
    red, blue, green = (Image.new("P", size) for size in ((8, 8), (8, 8), (8, 8)))
    for image, color, box in (
        (red, (255, 0, 0), (0, 0, 4, 4)),
        (blue, (0, 0, 255), (2, 2, 6, 6)),
        (green, (0, 255, 0), (6, 6, 8, 8)),
    ):
        image.putpalette([1, 2, 3, *color])
        image.paste(1, box)
    red.save(
        tmp_path / "a.gif",
        save_all=True,
        append_images=[blue, green],
        transparency=0,
        disposal=[1, 2, 1],
        duration=[50, 0, 70],
    )

    places = (0, 0), (5, 5), (7, 7)

    picture = read(tmp_path / "a.gif")

    assert picture.durations == (50, 0, 70)
    assert picture.loop is None
    assert all(frame.shape == (8, 8, 4) for frame in picture.frames)
    seen = [
        [tuple(frame[place].tolist()) if frame[place][3] else None for place in places]
        for frame in picture.frames
    ]
    assert seen[0] == [(255, 0, 0, 255), None, None]
    assert seen[1] == [(255, 0, 0, 255), (0, 0, 255, 255), None]
    assert seen[2] == [None, None, (0, 255, 0, 255)]


def test_the_still_before_an_animated_png_is_not_a_frame(tmp_path: Path) -> None:
    still, *frames = (Image.fromarray(frame) for frame in OPAQUE)
    still.save(
        tmp_path / "a.png", save_all=True, append_images=frames, default_image=True, duration=33.3
    )

    picture = read(tmp_path / "a.png")

    assert len(picture.frames) == 3
    np.testing.assert_array_equal(picture.frames[0], OPAQUE[1])


def test_a_gif_of_one_frame_is_a_still(tmp_path: Path) -> None:
    Image.fromarray(OPAQUE[0]).save(tmp_path / "a.gif", duration=50, loop=0)

    picture = read(tmp_path / "a.gif")

    assert (len(picture.frames), picture.durations, picture.loop) == (1, (), None)


@pytest.mark.parametrize("step", [1, 10])
def test_rounded_durations_do_not_drift(step: int) -> None:
    exact = [1000 / 30] * 90

    rounded = rounded_durations(exact, step)

    assert all(duration % step == 0 for duration in rounded)
    assert np.abs(np.cumsum(rounded) - np.cumsum(exact)).max() <= step / 2 + 1e-6

"""Colours of videos: every matrix, range and depth, against the equations of H.273."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sr_runtime.video.color import FrameFromRgb, RgbFromFrame
from sr_runtime.video.facts import VideoFacts, read_facts
from sr_runtime.video.upscale import upscale_video
from tests.runtime.video_files import (
    Clip,
    frame_of_planes,
    frames_of,
    nearest_upscaler,
    pattern,
    planes_of,
)

# Weights of red and blue, by the matrix's number in H.273.
WEIGHTS = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114),
           7: (0.212, 0.087), 9: (0.2627, 0.0593)}  # fmt: skip
COLORS = [[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 1, 1], [1, 0, 1],
          [0.5, 0.5, 0.5], [0.75, 0.25, 0.1]]  # fmt: skip


def rgb_colors() -> NDArray[np.float64]:
    """Pure colours and random ones, `(32, 32, 3)` in [0, 1]."""
    rgb = np.random.default_rng(0).random((32, 32, 3))
    rgb[0, : len(COLORS)] = COLORS
    return rgb


def samples_of(rgb: NDArray[Any], matrix: int, full: bool, depth: int) -> NDArray[np.float64]:
    """Y, Cb and Cr of H.273, equations 38 to 40 and 26 to 31, not rounded."""
    red, blue = WEIGHTS[matrix]
    luma = red * rgb[..., 0] + (1 - red - blue) * rgb[..., 1] + blue * rgb[..., 2]
    chroma = [(rgb[..., 2] - luma) / (2 - 2 * blue), (rgb[..., 0] - luma) / (2 - 2 * red)]
    step, most = 2 ** (depth - 8), 2**depth - 1
    if full:
        return np.stack([most * luma, *(most * each + 128 * step for each in chroma)])
    return step * np.stack([16 + 219 * luma, *(128 + 224 * each for each in chroma)])


def rgb_of(samples: NDArray[Any], matrix: int, full: bool, depth: int) -> NDArray[np.float64]:
    """The inverse of `samples_of`."""
    red, blue = WEIGHTS[matrix]
    step, most = 2 ** (depth - 8), 2**depth - 1
    scales = (most, most) if full else (219 * step, 224 * step)
    luma = (samples[0] - (0 if full else 16 * step)) / scales[0]
    chroma = [(plane - 128.0 * step) / scales[1] for plane in samples[1:]]
    b, r = luma + (2 - 2 * blue) * chroma[0], luma + (2 - 2 * red) * chroma[1]
    return np.stack([r, (luma - red * r - blue * b) / (1 - red - blue), b], axis=-1)


def facts(matrix: int, full: bool, depth: int, tmp_path: Path) -> VideoFacts:
    clip = Clip(
        codec="ffv1", pixels="yuv444p" if depth == 8 else f"yuv444p{depth}le",
        frames=[pattern(0)], context={"colorspace": matrix, "color_range": 1 + full},
    )  # fmt: skip
    return read_facts(clip.write(tmp_path / "facts.mkv"))


@pytest.mark.parametrize("depth", [8, 10, 12])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", WEIGHTS)
def test_colours_are_those_of_the_matrix_and_the_range(
    matrix: int, full: bool, depth: int, tmp_path: Path
) -> None:
    told = facts(matrix, full, depth, tmp_path)
    assert (told.matrix, told.full_range, told.depth) == (matrix, full, depth)
    pixels = "yuv444p" if depth == 8 else f"yuv444p{depth}le"
    white = 255 if depth == 8 else 65535
    dtype = np.uint8 if depth == 8 else np.uint16
    rgb = (rgb_colors() * white).round().astype(dtype)
    exact = samples_of(rgb / white, matrix, full, depth)
    back = FrameFromRgb(told, pixels)(rgb)
    samples = np.stack(planes_of(back))
    assert np.abs(samples - exact.clip(0, 2**depth - 1)).max() < 0.501  # rounded, and no more
    seen = RgbFromFrame(told)(back)
    assert seen.dtype == dtype
    expected = rgb_of(samples, matrix, full, depth).clip(0, 1) * white
    assert np.abs(seen - expected).max() < 0.51
    assert back.colorspace == matrix
    assert back.color_range == 1 + full


@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("full", [False, True])
def test_a_video_keeps_its_colours_from_file_to_file(
    full: bool, depth: int, tmp_path: Path
) -> None:
    samples = samples_of(rgb_colors(), 1, full, depth).round().clip(0, 2**depth - 1)
    dtype, pixels = (np.uint8, "yuv444p") if depth == 8 else (np.uint16, "yuv444p10le")
    planes = list(samples.astype(dtype))
    context = {"colorspace": 1, "color_range": 1 + full, "color_primaries": 1, "color_trc": 1}
    clip = Clip(frames=[frame_of_planes(planes, pixels)], pixels=pixels, context=context)
    source, target = clip.write(tmp_path / "a.mkv"), tmp_path / "b.mkv"
    upscale_video(nearest_upscaler(), source, target, codec="ffv1")
    (result,) = frames_of(target)
    assert (result.format.name, result.colorspace, result.color_range) == (pixels, 1, 1 + full)
    assert (result.color_primaries, result.color_trc) == (1, 1)
    for before, after in zip(planes, planes_of(result), strict=True):
        wide = before.repeat(2, axis=0).repeat(2, axis=1).astype(int)
        assert np.abs(wide - after).max() <= 1


@pytest.mark.parametrize("codec", ["h264", "hevc", "ffv1"])
def test_subsampled_colour_stays_where_it_is(codec: Any, tmp_path: Path) -> None:
    ramp = np.tile(np.arange(96, 160, 2, dtype=np.uint8), (16, 1))
    flat = np.full((32, 64), 128, np.uint8)
    frame = frame_of_planes([flat, ramp, np.full_like(ramp, 128)], "yuv420p")
    clip = Clip(frames=[frame], codec="libx264", pixels="yuv420p", options={"qp": "0"})
    source, target = clip.write(tmp_path / "a.mp4"), tmp_path / "b.mkv"
    crf = None if codec == "ffv1" else 1
    upscale_video(nearest_upscaler(scale=1), source, target, codec=codec, crf=crf)
    (before,), (after,) = frames_of(source), frames_of(target)
    difference = planes_of(after)[1].astype(int) - planes_of(before)[1]
    assert abs(difference[:, 4:-4].mean()) < 0.2  # half a pixel would be 0.5


@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("full", [False, True])
def test_gray_has_the_range_that_the_file_states(full: bool, depth: int, tmp_path: Path) -> None:
    most, step = 2**depth - 1, 2 ** (depth - 8)
    pixels, dtype = ("gray", np.uint8) if depth == 8 else ("gray10le", np.uint16)
    low, high = (0, most) if full else (16 * step, 235 * step)
    luma = np.linspace(low, high, 24 * 32).round().reshape(24, 32).astype(dtype)
    clip = Clip(frames=[frame_of_planes([luma], pixels)], pixels=pixels, codec="ffv1",
                context={"color_range": 1 + full})  # fmt: skip
    source, target = clip.write(tmp_path / "a.mkv"), tmp_path / "b.mkv"
    told = read_facts(source)
    rgb = RgbFromFrame(told)(frames_of(source)[0])
    white = 255 if depth == 8 else 65535
    expected = (luma.astype(float) - low) / (high - low) * white
    assert np.abs(rgb - expected[:, :, None]).max() < 0.51
    upscale_video(nearest_upscaler(), source, target, codec="ffv1")
    (result,) = frames_of(target)
    assert result.color_range == 1 + full
    assert np.abs(planes_of(result)[0][::2, ::2].astype(int) - luma).max() <= 1


@pytest.mark.parametrize(("height", "width", "matrix"), [(480, 640, 6), (720, 960, 1)])
def test_without_a_stated_matrix_the_result_states_what_players_assume(
    height: int, width: int, matrix: int, tmp_path: Path
) -> None:
    gray = np.full((height, width, 3), 90, np.uint8)
    clip = Clip(frames=[gray], context={"colorspace": 2, "color_range": 0})
    source = clip.write(tmp_path / "a.mkv")
    assert frames_of(source)[0].colorspace == 2
    target = tmp_path / "b.mkv"
    upscale_video(nearest_upscaler(), source, target, codec="ffv1")
    assert frames_of(target)[0].colorspace == matrix


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_keeps_its_signal_its_tags_and_its_ten_bits(transfer: int, tmp_path: Path) -> None:
    context = {"colorspace": 9, "color_range": 1, "color_primaries": 9, "color_trc": transfer}
    flat = [np.full(shape, value, np.uint16)
            for shape, value in (((24, 32), 700), ((12, 16), 480), ((12, 16), 560))]  # fmt: skip
    frames = [frame_of_planes(flat, "yuv420p10le") for _ in range(3)]
    clip = Clip(frames=frames, pixels="yuv420p10le", context=context)
    source, target = clip.write(tmp_path / "a.mkv"), tmp_path / "b.mp4"
    done = upscale_video(nearest_upscaler(), source, target, crf=4)
    assert done.codec == "hevc"
    result = frames_of(target)[0]
    assert result.format.name == "yuv420p10le"
    assert (result.colorspace, result.color_primaries, result.color_trc) == (9, 9, transfer)
    for plane, value in zip(planes_of(result), (700, 480, 560), strict=True):
        assert np.abs(plane.astype(int) - value).max() <= 2

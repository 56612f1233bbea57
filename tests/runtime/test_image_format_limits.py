"""What a format cannot hold is known before the work begins."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sr_runtime.errors import ImageError
from sr_runtime.image import Format, Output, Picture, read, write
from sr_runtime.image.format_limits import LONGEST_FRAME
from tests.runtime.image_files import SRGB

RNG = np.random.default_rng(0)


def pixels(channels: int, dtype: type = np.uint8) -> np.ndarray:
    return RNG.integers(0, np.iinfo(dtype).max, (7, 9, channels), dtype, endpoint=True)


@pytest.mark.parametrize(
    ("format", "changes", "message"),
    [
        ("jpg", {"channels": 4}, "transparency"),
        ("jpg", {"width": 65501}, "65500"),
        ("webp", {"height": 16384}, "16383"),
        ("webp", {"height": 12000, "width": 16000}, "134217728"),
        ("gif", {"height": 65536}, "65535"),
        ("tiff", {"height": 60000, "width": 30000}, r"5\.4 GB.*4 GiB"),
        ("jpg", {"frames": 2}, "animation"),
        ("tiff", {"frames": 2}, "animation"),
        ("webp", {"dtype": np.uint16}, "8 bits"),
        ("png", {"dtype": np.uint16, "frames": 2}, "16 bits"),
        ("tiff", {"dtype": np.uint16, "channels": 2}, "gray with alpha"),
    ],
)
def test_what_a_format_cannot_hold_is_known_beforehand(
    tmp_path: Path, format: Format, changes: dict[str, Any], message: str
) -> None:
    def check(height: int = 10, width: int = 10, frames: int = 1, **kind: Any) -> None:
        picture = Picture(frames=(pixels(**({"channels": 3} | kind)),) * frames)
        Output(tmp_path / f"image.{format}").check(picture, height=height, width=width)

    check()
    with pytest.raises(ImageError, match=message) as caught:
        check(**changes)
    assert caught.value.path == tmp_path / f"image.{format}"
    assert "\n" not in str(caught.value)


def test_webp_without_losses_is_limited_by_its_sides_alone(tmp_path: Path) -> None:
    picture = Picture(frames=(pixels(3),))
    Output(tmp_path / "a.webp", quality="lossless").check(picture, height=16383, width=16383)


def test_a_picture_that_the_format_cannot_hold_is_never_written(tmp_path: Path) -> None:
    moving = Picture(frames=(pixels(3), pixels(3)), durations=(10, 10))
    with pytest.raises(ImageError, match="animation"):
        write(moving, tmp_path / "a.jpg")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("suffix", "durations"),
    [
        ("gif", (655_351, 10)),
        ("png", (10, 65_536)),
        ("png", (40_000, 40_000)),  # equal frames are stored as one
        ("webp", (2**24, 10)),
        ("webp", (10, -1)),
        ("png", (10,)),
    ],
)
def test_times_that_a_format_cannot_state_are_known_beforehand(
    tmp_path: Path, suffix: str, durations: tuple[int, ...]
) -> None:
    frame = pixels(3)
    moving = Picture(frames=(frame, frame), durations=durations)
    with pytest.raises(ImageError) as caught:
        Output(tmp_path / f"a.{suffix}").check(moving, height=28, width=36)
    assert caught.value.path == tmp_path / f"a.{suffix}"


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
def test_the_longest_frame_that_a_format_can_state_is_written(tmp_path: Path, suffix: str) -> None:
    durations = (LONGEST_FRAME[suffix], 10)
    write(Picture(frames=(pixels(3), pixels(3)), durations=durations), tmp_path / f"a.{suffix}")
    assert read(tmp_path / f"a.{suffix}").durations == durations


def test_a_profile_that_a_jpeg_cannot_number_is_known_beforehand(tmp_path: Path) -> None:
    large = Picture(frames=(pixels(3),), icc_profile=SRGB + bytes(2**24))
    with pytest.raises(ImageError, match=r"17 MB.*16\.7 MB of jpg"):
        Output(tmp_path / "a.jpg").check(large, height=28, width=36)

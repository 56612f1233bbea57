"""Frames that change a part of the canvas are drawn as browsers draw them."""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from sr_runtime.errors import ImageError
from sr_runtime.image import read
from tests.runtime.image_files import SIGNATURE, chunk

RED, GREEN, CLEAR = (255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 0, 0)
HALF_GREEN = (0, 255, 0, 128)
KEEP, BACKGROUND, PREVIOUS = 0, 1, 2  # of PNG; those of GIF are one more
SOURCE, OVER = 0, 1
Frame = tuple[tuple[int, ...], tuple[int, int, int, int], int, int]
"""Colour, (left, top, width, height), disposal, blending."""


def apng(frames: Sequence[Frame], *, hidden: bool = False) -> bytes:
    """An animated PNG of 4 × 2 pixels; `hidden` puts a still before it."""

    def packed(color: tuple[int, ...], width: int, height: int) -> bytes:
        return zlib.compress((b"\0" + bytes(color) * width) * height)

    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 2, 8, 6, 0, 0, 0))]
    parts.append(chunk(b"acTL", struct.pack(">II", len(frames), 0)))
    if hidden:
        parts.append(chunk(b"IDAT", packed((9, 9, 9, 255), 4, 2)))
    number = 0
    for color, (left, top, width, height), disposal, blend in frames:
        control = (number, width, height, left, top, 1, 20, disposal, blend)
        parts.append(chunk(b"fcTL", struct.pack(">5I2H2B", *control)))
        pixels = packed(color, width, height)
        if number == 0 and not hidden:
            parts.append(chunk(b"IDAT", pixels))
        else:
            number += 1
            parts.append(chunk(b"fdAT", struct.pack(">I", number) + pixels))
        number += 1
    return SIGNATURE + b"".join(parts) + chunk(b"IEND", b"")


def gif(frames: Sequence[Frame]) -> bytes:
    """A GIF of 4 × 2 pixels, whose palette is red, green and blue and whose background is red."""
    palette = bytes([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    parts = [b"GIF89a" + struct.pack("<HHBBB", 4, 2, 0b10000001, 0, 0) + palette]
    for color, (left, top, width, height), disposal, _ in frames:
        # Codes of 4 bits; 8 keeps them so.
        codes = [8, (RED, GREEN).index(color)] * (width * height) + [9]
        halves = [a | b << 4 for a, b in zip(codes[::2], [*codes[1::2], 0], strict=False)]
        parts.append(b"!\xf9\4" + struct.pack("<BHBB", (disposal + 1) << 2, 5, 0, 0))
        parts.append(b"," + struct.pack("<4HB", left, top, width, height, 0))
        parts.append(bytes([3, len(halves), *halves, 0]))
    return b"".join(parts) + b";"


def rows(path: Path) -> list[list[list[tuple[int, ...]]]]:
    picture = read(path)
    frames = picture.frames
    opaque = np.full((*frames[0].shape[:2], 1), 255, np.uint8)
    full = [frame if frame.shape[2] == 4 else np.dstack([frame, opaque]) for frame in frames]
    return [[[tuple(map(int, pixel)) for pixel in row] for row in frame] for frame in full]


WHOLE, LEFT = (0, 0, 4, 2), (0, 0, 1, 2)


@pytest.mark.parametrize(
    ("disposal", "second"), [(KEEP, RED), (BACKGROUND, CLEAR), (PREVIOUS, CLEAR)]
)
@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_what_a_frame_leaves_behind_is_as_it_says(
    tmp_path: Path, suffix: str, disposal: int, second: tuple[int, ...]
) -> None:
    frames = [(RED, WHOLE, disposal, SOURCE), (GREEN, LEFT, KEEP, SOURCE)]
    (tmp_path / f"a.{suffix}").write_bytes((apng if suffix == "png" else gif)(frames))

    seen = rows(tmp_path / f"a.{suffix}")

    assert seen == [[[RED] * 4] * 2, [[GREEN, *[second] * 3]] * 2]
    assert read(tmp_path / f"a.{suffix}").durations == (50, 50)


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_a_frame_is_taken_back_to_what_was_there_before(tmp_path: Path, suffix: str) -> None:
    frames = [(RED, WHOLE, KEEP, SOURCE), (GREEN, LEFT, PREVIOUS, SOURCE)]
    frames.append((GREEN, (3, 0, 1, 1), KEEP, SOURCE))
    (tmp_path / f"a.{suffix}").write_bytes((apng if suffix == "png" else gif)(frames))

    assert rows(tmp_path / f"a.{suffix}")[2] == [[RED, RED, RED, GREEN], [RED] * 4]


@pytest.mark.parametrize(
    ("below", "blend", "result"),
    [
        (RED, OVER, (127, 128, 0, 255)),
        (CLEAR, OVER, HALF_GREEN),
        (RED, SOURCE, HALF_GREEN),
        (HALF_GREEN, OVER, (0, 255, 0, 192)),
    ],
)
def test_partial_alpha_is_drawn_over_what_is_there(
    tmp_path: Path, below: tuple[int, ...], blend: int, result: tuple[int, ...]
) -> None:
    frames = [(below, WHOLE, KEEP, SOURCE), (HALF_GREEN, LEFT, KEEP, blend)]
    (tmp_path / "a.png").write_bytes(apng(frames))

    assert rows(tmp_path / "a.png")[1] == [[result, below, below, below]] * 2


@pytest.mark.parametrize("count", [1, 2])
def test_a_gif_is_clear_where_its_first_frame_does_not_reach(tmp_path: Path, count: int) -> None:
    (tmp_path / "a.gif").write_bytes(gif([(GREEN, (1, 1, 2, 1), KEEP, SOURCE)] * count))

    picture = read(tmp_path / "a.gif")

    assert rows(tmp_path / "a.gif")[0] == [[CLEAR] * 4, [CLEAR, GREEN, GREEN, CLEAR]]
    assert len(picture.durations) == (0 if count == 1 else 2)


def test_the_only_frame_of_a_png_counts_and_not_the_still_before_it(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(apng([(GREEN, WHOLE, KEEP, SOURCE)], hidden=True))
    assert rows(tmp_path / "a.png") == [[[GREEN] * 4] * 2]


def test_the_only_frame_of_a_png_is_not_cut_to_8_bits(tmp_path: Path) -> None:
    file = apng([(GREEN, WHOLE, KEEP, SOURCE)], hidden=True)
    deep = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 2, 16, 6, 0, 0, 0))
    (tmp_path / "a.png").write_bytes(SIGNATURE + deep + file[len(SIGNATURE) + len(deep) :])
    with pytest.raises(ImageError, match="16 bits"):
        read(tmp_path / "a.png")


def test_a_frame_beyond_the_canvas_is_cut_off_and_one_beyond_the_limit_is_refused(
    tmp_path: Path,
) -> None:
    moving = gif([(RED, WHOLE, KEEP, SOURCE), (GREEN, (3, 1, 4, 4), KEEP, SOURCE)])
    (tmp_path / "a.gif").write_bytes(moving)

    assert rows(tmp_path / "a.gif")[1] == [[RED] * 4, [RED, RED, RED, GREEN]]
    with pytest.raises(ImageError, match="limit of 20"):
        read(tmp_path / "a.gif", max_pixels=20)


@pytest.mark.parametrize(("suffix", "mark", "rest"), [("png", b"fcTL", 0), ("gif", b"!\xf9", 22)])
def test_frames_that_are_missing_are_damage(
    tmp_path: Path, suffix: str, mark: bytes, rest: int
) -> None:
    file = (apng if suffix == "png" else gif)([(RED, WHOLE, KEEP, SOURCE)] * 3)
    (tmp_path / f"a.{suffix}").write_bytes(file[: file.rindex(mark) + rest])
    with pytest.raises(ImageError, match="damaged"):
        read(tmp_path / f"a.{suffix}")

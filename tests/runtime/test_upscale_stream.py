"""Rows in, rows out: the pixels of the image in memory, each row read once, and bounded memory."""

import time
import tracemalloc
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sr_runtime import ArgumentError, Upscaler
from sr_runtime.backends.base import Limits
from tests.runtime.known_network import KnownNetwork

RNG = np.random.default_rng(7)


class Rows:
    """An array that gives its rows once, in order."""

    def __init__(self, pixels: NDArray[Any]) -> None:
        self.pixels, self.shape, self.dtype = pixels, pixels.shape, pixels.dtype
        self.ranges: list[tuple[int, int]] = []

    def read(self, begin: int, end: int) -> NDArray[Any]:
        assert not self.ranges or begin == self.ranges[-1][1]
        assert begin < end <= len(self.pixels)
        self.ranges.append((begin, end))
        return self.pixels[begin:end]


class Kept:
    """Takes rows behind those that it has already."""

    def __init__(self, there: int = 0) -> None:
        self.there, self.taken = there, []

    def start(self, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> int:
        self.shape, self.dtype = shape, dtype
        return self.there

    def write(self, rows: NDArray[Any]) -> None:
        self.taken.append(rows.copy())

    @property
    def rows(self) -> NDArray[Any]:
        return np.concatenate(self.taken)


def pixels(
    height: int, width: int, channels: int, dtype: type[np.generic] = np.uint8
) -> NDArray[Any]:
    if dtype == np.float32:
        return RNG.random((height, width, channels), np.float32)
    return RNG.integers(0, np.iinfo(dtype).max, (height, width, channels), dtype, endpoint=True)


@pytest.mark.parametrize(
    ("channels", "dtype", "multiple_of", "size"),
    [
        (3, np.uint8, 1, {}),
        (1, np.uint16, 1, {}),
        (3, np.float32, 4, {}),
        (3, np.uint8, 4, {"scale": 3}),
        (1, np.float32, 1, {"scale": 0.7}),
        (3, np.uint16, 1, {"scale": 0.01}),
        (1, np.uint8, 1, {"scale": 4}),
        (3, np.uint8, 1, {"width": 31}),
    ],
)
def test_rows_give_the_pixels_of_the_whole_image(
    channels: int, dtype: type[np.generic], multiple_of: int, size: dict[str, float]
) -> None:
    network = KnownNetwork(radius=2, channels=channels, multiple_of=multiple_of)
    image = pixels(611, 45, channels, dtype)
    writer = Kept()

    with Upscaler(network, tile=64) as upscaler:
        upscaler.upscale_stream(Rows(image), writer, **size)
        whole = upscaler.upscale(image, **size)

    assert (writer.shape, writer.dtype) == (whole.shape, whole.dtype)
    np.testing.assert_array_equal(writer.rows, whole)


def test_alpha_is_that_of_the_whole_image() -> None:
    image = pixels(1900, 20, 4)
    image[:, :, 3] = 255
    image[300:1500, :18, 3] = 0  # further from its rim than colours bleed
    image[700:710, 3:9, 3] = 130
    writer = Kept()

    with Upscaler(KnownNetwork(radius=2), tile=64) as upscaler:
        upscaler.upscale_stream(Rows(image), writer)

        np.testing.assert_array_equal(writer.rows, upscaler.upscale(image))


@pytest.mark.parametrize("there", [0, 1, 55, 56, 57, 500, 1221, 1222])
@pytest.mark.parametrize("size", [{}, {"height": 1222}, {"scale": 1.4}])
def test_rows_that_are_there_are_neither_made_nor_read_again(
    there: int, size: dict[str, float]
) -> None:
    image, network = pixels(611, 40, 3), KnownNetwork(radius=2)
    with Upscaler(network, tile=64) as upscaler:
        whole = upscaler.upscale(image, **size)
        there = min(there, len(whole))
        reader, writer = Rows(image), Kept(there)
        network.batches.clear()
        upscaler.upscale_stream(reader, writer, **size)

    assert there == len(whole) or np.array_equal(writer.rows, whole[there:])
    if there == len(whole):
        assert not writer.taken
        assert not network.batches


@pytest.mark.parametrize(("begin", "end"), [(0, 1), (0, 56), (55, 57), (300, 900), (1100, 1222)])
@pytest.mark.parametrize("size", [{}, {"height": 1222}, {"scale": 1.4}])
def test_a_part_has_the_rows_of_the_whole_and_takes_the_tiles_of_its_own(
    begin: int, end: int, size: dict[str, float]
) -> None:
    image, network = pixels(900, 40, 3), KnownNetwork(radius=2)
    with Upscaler(network, tile=64) as upscaler:
        whole = upscaler.upscale(image, **size)
        tiles = len(network.batches)
        writer = Kept(begin)
        network.batches.clear()
        upscaler.upscale_stream(Rows(image), writer, **size, end=end)

    np.testing.assert_array_equal(writer.rows, whole[begin:end])
    assert len(network.batches) <= tiles * (end - begin) / len(whole) + 7


def test_progress_reaches_the_number_of_tiles_and_cancels() -> None:
    seen: list[tuple[int, int]] = []
    image = pixels(300, 60, 3)
    with Upscaler(KnownNetwork(radius=2), tile=64) as upscaler:
        upscaler.upscale_stream(
            Rows(image), Kept(), scale=4, progress=lambda *args: seen.append(args)
        )
        tiles = len(upscaler.plan(300, 60)) + len(upscaler.plan(600, 120))

        assert [done for done, _ in seen] == sorted(done for done, _ in seen)
        assert seen[-1] == (tiles, tiles)

        def cancel(done: int, total: int) -> None:
            raise InterruptedError

        with pytest.raises(InterruptedError):
            upscaler.upscale_stream(Rows(image), Kept(), progress=cancel)
        upscaler.upscale(image)  # it can be used again


def test_smaller_tiles_follow_when_memory_runs_out() -> None:
    image, writer = pixels(200, 90, 3), Kept()
    with Upscaler(KnownNetwork(radius=2, memory=30 * 30), tile=64) as upscaler:
        with pytest.warns(RuntimeWarning, match="no room"):
            upscaler.upscale_stream(Rows(image), writer)
        np.testing.assert_array_equal(writer.rows, upscaler.upscale(image))


def test_a_failing_writer_ends_the_run() -> None:
    class Full(Kept):
        def write(self, rows: NDArray[Any]) -> None:
            raise OSError("full")

    with (
        Upscaler(KnownNetwork(radius=2), tile=64) as upscaler,
        pytest.raises(OSError, match="full"),
    ):
        upscaler.upscale_stream(Rows(pixels(300, 40, 3)), Full())


def test_a_reader_that_gives_other_rows_than_it_states_is_refused() -> None:
    class Short(Rows):
        def read(self, begin: int, end: int) -> NDArray[Any]:
            return super().read(begin, end)[:-1]

    with (
        Upscaler(KnownNetwork(radius=2), tile=64) as upscaler,
        pytest.raises(ArgumentError, match="rows from 0 to 256"),
    ):
        upscaler.upscale_stream(Short(pixels(300, 40, 3)), Kept())


@pytest.mark.parametrize("end", [-1, 201, 1 << 40])
def test_an_end_beyond_the_result_is_refused(end: int) -> None:
    with (
        Upscaler(KnownNetwork(radius=2), tile=64) as upscaler,
        pytest.raises(ArgumentError, match=rf"end is {end}: give one of the 200 rows"),
    ):
        upscaler.upscale_stream(Rows(pixels(100, 40, 3)), Kept(), end=end)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((9, 9), np.uint8),
        np.zeros((0, 9, 3), np.uint8),
        np.zeros((9, 9, 5), np.uint8),
        np.zeros((9, 9, 3), np.int32),
        np.zeros((9, 9, 3), np.float64),
        np.zeros((9, 9, 3), ">u2"),
    ],
)
def test_a_reader_of_no_image_is_refused(image: NDArray[Any]) -> None:
    with (
        Upscaler(KnownNetwork(radius=2), tile=64) as upscaler,
        pytest.raises(ArgumentError, match=r"the reader states .*: an image is"),
    ):
        upscaler.upscale_stream(Rows(image), Kept())


def test_memory_does_not_grow_with_the_height() -> None:
    class Discarded(Kept):
        def write(self, rows: NDArray[Any]) -> None:
            time.sleep(0.01)  # slower than the rows are made

    def peak(height: int) -> int:
        image = np.broadcast_to(np.uint8(9), (height, 300, 3))
        tracemalloc.start()
        try:
            upscaler.upscale_stream(Rows(image), Discarded())
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    with Upscaler(KnownNetwork(radius=2), tile=64) as upscaler:
        assert peak(1200) < 1.05 * peak(600)


def test_wide_images_get_lower_tiles_in_memory_too() -> None:
    network = KnownNetwork(radius=2, scale=4, limits=Limits())
    with Upscaler(network, tile=512) as upscaler:
        assert upscaler.plan(40_000, 10_000).shape[0] > 500
        assert upscaler.plan(40_000, 60_000).shape[0] < 150

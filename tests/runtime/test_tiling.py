"""The tile plan: complete, inside the image, far enough from cuts, and cheap."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sr_runtime.errors import ArgumentError
from sr_runtime.tiling import IMAGES_PER_SHAPE, TilePlan, plan_tiles

sides = st.integers(1, 700)
plans = st.builds(
    lambda height, width, multiple, phase, halo, room: (
        height, width, multiple, phase, halo, 2 * halo + room,
    ),
    sides,
    sides,
    st.sampled_from([1, 2, 3, 4, 8]),
    st.sampled_from([1, 1, 2, 6, 7, 8, 12, 16]),
    st.integers(0, 40),
    st.integers(64, 200),
)  # fmt: skip


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(plans)
def test_every_pixel_is_written_once_by_a_tile_that_contains_its_surroundings(plan) -> None:
    height, width, multiple, phase, halo, tile = plan
    grid = math.lcm(multiple, phase)
    result = plan_tiles(
        height, width, max_tile=(tile, tile), halo=halo, multiple_of=multiple, phase=phase
    )
    written = np.zeros((height, width), int)
    for part in result:
        for span, side, length in (
            (part.rows, result.shape[0], result.padded[0]),
            (part.cols, result.shape[1], result.padded[1]),
        ):
            assert span.start % grid == 0 == side % multiple
            assert (length - side - span.start) % grid == 0  # the same windows when mirrored
            assert 0 <= span.start <= span.begin < span.end <= span.start + side <= length
            assert span.start == 0 or span.begin - span.start >= halo
            assert span.start + side == length or span.start + side - span.end >= halo
        written[part.rows.begin : part.rows.end, part.cols.begin : part.cols.end] += 1
    assert (written == 1).all()
    assert max(result.shape) <= tile
    roomy = tile // multiple * multiple >= 2 * (halo + grid) + multiple
    for padded, length in zip(result.padded, (height, width), strict=True):
        assert padded - length < (multiple if roomy else multiple + grid)


def test_an_image_that_fits_one_tile_is_one_tile_of_its_own_size() -> None:
    plan = plan_tiles(37, 91, max_tile=(128, 128), halo=32)
    assert plan.shape == (37, 91)
    assert len(plan) == 1


def test_a_short_side_keeps_its_length_while_the_long_one_is_cut() -> None:
    plan = plan_tiles(37, 1000, max_tile=(128, 128), halo=32)
    assert plan.shape[0] == 37
    assert plan.shape[1] <= 128
    assert len(plan.rows) == 1 < len(plan.cols)


@given(length=st.integers(1, 300), phase=st.sampled_from([1, 2, 4, 8, 16]), halo=st.integers(0, 16))
def test_tiles_of_a_fixed_size_keep_to_the_phase_and_pad_less_than_one(
    length: int, phase: int, halo: int
) -> None:
    plan = plan_tiles(length, 64, max_tile=(64, 64), min_tile=(64, 64), halo=halo, phase=phase)
    assert plan.shape == (64, 64)
    assert all(span.start % phase == 0 for span in plan.rows)
    assert plan.padded[0] - max(length, 64) < phase
    assert plan.rows[-1].start + 64 == plan.padded[0]


@pytest.mark.parametrize("size", [(0, 10), (10, -1), (1.5, 3), ("4", 4), (10**12, 10)])
def test_an_image_without_pixels_or_beyond_all_memory_is_refused(size: tuple) -> None:
    with pytest.raises(ArgumentError, match="whole numbers from 1 to"):
        plan_tiles(*size, max_tile=(64, 64), halo=8)


def test_an_image_below_the_smallest_tile_is_padded_to_it() -> None:
    plan = plan_tiles(5, 200, max_tile=(64, 64), min_tile=(64, 64), halo=8)
    assert plan.padded == (64, 200)
    assert plan.shape == (64, 64)
    assert plan.rows[0].end == 5


def test_pixels_between_two_tiles_go_to_the_one_whose_cut_is_farther() -> None:
    plan = plan_tiles(100, 1, max_tile=(64, 64), halo=4)
    for left, right in pairwise(plan.rows):
        from_left, from_right = left.start + plan.shape[0] - left.end, right.begin - right.start
        assert abs(from_left - from_right) <= 1


def test_images_of_many_sizes_share_few_tile_shapes() -> None:
    shapes = {
        plan_tiles(height, height + 77, max_tile=(256, 256), halo=16, tile_step=32).shape
        for height in range(300, 900, 7)
    }
    assert len(shapes) <= 5 * 5


def test_a_smaller_tile_is_used_if_it_saves_more_than_an_images_share_of_its_preparation() -> None:
    def plan(cost: int) -> TilePlan:
        return plan_tiles(400, 400, max_tile=(384, 384), halo=8, shape_cost=cost)

    def pixels(plan: TilePlan) -> int:
        return len(plan) * plan.shape[0] * plan.shape[1]

    saved = pixels(plan(10**9)) - pixels(plan(0))
    assert saved > 0
    assert plan(IMAGES_PER_SHAPE * (saved - 1)).shape < (384, 384)
    assert plan(IMAGES_PER_SHAPE * (saved + 1)).shape == (384, 384)


@pytest.mark.parametrize("multiple", [1, 2, 8])
def test_the_smallest_tile_that_the_error_names_is_the_smallest(multiple: int) -> None:
    def plan(tile: int) -> None:
        plan_tiles(500, 500, max_tile=(tile, tile), halo=13, multiple_of=multiple)

    smallest = -(-(2 * 13 + multiple) // multiple) * multiple
    plan(smallest)
    with pytest.raises(ArgumentError, match=f"at least {smallest}"):
        plan(smallest - 1)

"""Finding the parts of a picture with the most fine detail."""

import numpy as np
import PIL.Image
import pytest
from PIL.Image import Resampling

from sr_runtime.examples.before_after.comparison import DETAIL_HEIGHT, DETAIL_WIDTH, compared
from sr_runtime.examples.before_after.details import around, fine_detail, windows
from sr_runtime.examples.before_after.photo import MAX_PIXELS, MAX_SIDE, part_to_show

RNG = np.random.default_rng(0)


def noise_at(size: tuple[int, int], *boxes: tuple[int, int, int, int]) -> PIL.Image.Image:
    """A smooth picture with noise in some boxes."""
    image = PIL.Image.linear_gradient("L").point(lambda gray: gray // 4).resize(size)
    for box in boxes:
        image.paste(noise(box[2] - box[0], box[3] - box[1]), box)
    return image.convert("RGB")


def noise(width: int, height: int) -> PIL.Image.Image:
    return PIL.Image.fromarray(RNG.integers(64, 192, (height, width), np.uint8))


def overlap(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def test_fine_detail_is_in_the_noise_and_not_in_a_gradient_or_a_flat_surface() -> None:
    detail = fine_detail(noise_at((96, 64), (32, 16, 64, 48)), 16)
    assert detail.shape == (4, 6)
    assert detail[1:3, 2:4].min() > 20
    detail[1:3, 2:4] = 0
    assert detail[:, [0, 5]].max() < 1


def test_the_first_window_has_the_highest_sum_of_all() -> None:
    score = RNG.normal(size=(13, 17))
    ((left, top),) = windows(score, 5, 3, count=1)
    sums = {
        (x, y): score[y : y + 3, x : x + 5].sum()
        for x in range(17 - 5 + 1)
        for y in range(13 - 3 + 1)
    }
    assert sums[left, top] == pytest.approx(max(sums.values()))


def test_windows_do_not_overlap_and_there_are_as_many_as_fit() -> None:
    score = RNG.random((20, 30))
    found = [(left, top, left + 10, top + 8) for left, top in windows(score, 10, 8, count=3)]
    assert len(found) == 3
    assert not any(overlap(a, b) for a in found for b in found if a != b)
    assert windows(np.ones((8, 10)), 10, 8, count=3) == [(0, 0)]
    assert len(windows(np.ones((8, 21)), 10, 8, count=3)) == 2


def test_a_window_that_is_asked_for_comes_first_and_nothing_overlaps_it() -> None:
    score = np.zeros((20, 30))
    score[5, 5] = 1
    found = windows(score, 10, 8, count=3, first=(2, 3))
    assert found[0] == (2, 3)
    assert len(found) == 3
    assert not any(overlap((2, 3, 12, 11), (x, y, x + 10, y + 8)) for x, y in found[1:])


@pytest.mark.parametrize(
    ("middle", "box"),
    [((50, 40), (40, 36, 60, 44)), ((0, 0), (0, 0, 20, 8)), ((99, 79), (80, 72, 100, 80))],
)
def test_a_box_around_a_point_stays_within_the_picture(middle, box) -> None:
    assert around(middle, 20, 8, within=(100, 80)) == box


def test_details_are_where_the_model_adds_to_what_the_photo_has() -> None:
    textures = [(0, 0, 104, 70), (180, 100, 284, 170)]
    smooth = (0, 130, 104, 200)
    photo = noise_at((300, 200), *textures)
    model = photo.resize((1200, 800), Resampling.BICUBIC)
    for left, top, *_ in (textures[1], smooth):
        model.paste(noise(DETAIL_WIDTH, DETAIL_HEIGHT), (4 * left, 4 * top))
    comparison = compared(photo, model)
    assert comparison.details(None)[0] == textures[1]
    assert comparison.details((52, 165)) == [smooth, textures[1]]


def test_of_a_photo_that_fits_all_is_shown() -> None:
    assert part_to_show(PIL.Image.new("RGB", (451, 300)), 4, None) == (0, 0, 451, 300)


def test_of_a_large_photo_the_sharp_part_is_shown_in_its_proportions() -> None:
    photo = noise_at((3000, 2000), (2100, 300, 2500, 600))
    left, top, right, bottom = part_to_show(photo, 4, None)
    assert left <= 2100
    assert top <= 300
    assert right >= 2500
    assert bottom >= 600
    assert (right - left) / (bottom - top) == pytest.approx(1.5, rel=0.01)
    assert 0.99 * MAX_PIXELS < (right - left) * (bottom - top) * 16 <= MAX_PIXELS
    assert part_to_show(photo, 4, (2999, 0))[1:3] == (0, 3000)


@pytest.mark.parametrize("size", [(5000, 1), (1, 5000), (9000, 100)])
def test_no_side_is_longer_than_a_webp_may_be(size) -> None:
    left, top, right, bottom = part_to_show(PIL.Image.new("RGB", size), 4, None)
    assert min(right - left, bottom - top) >= 1
    assert max(right - left, bottom - top) * 4 <= MAX_SIDE

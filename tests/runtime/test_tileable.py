"""Tileable images: moving the picture around in its tile moves the result, and nothing else."""

from dataclasses import replace

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sr_runtime
from sr_runtime import ArgumentError, Upscaler
from sr_runtime.__main__ import main
from sr_runtime.backends.base import Limits
from sr_runtime.frame import bleed
from sr_runtime.image import Picture
from sr_runtime.resize import resize
from sr_runtime.tileable import Wrap
from sr_runtime.wrapped_tiling import extended, plan_wrapped
from tests.runtime.known_network import KnownNetwork
from tests.tolerances import LARGEST_DIFFERENCE

RANDOM = np.random.default_rng(0)


def texture(height: int, width: int, channels: int = 3, dtype: type = np.uint8) -> np.ndarray:
    return RANDOM.integers(0, np.iinfo(dtype).max + 1, (height, width, channels), dtype)


def rolled(image: np.ndarray, down: int, right: int) -> np.ndarray:
    return np.roll(image, (down, right), (0, 1))


def assert_moves(upscaler: Upscaler, image: np.ndarray, down: int, right: int, **size) -> None:
    """The result of the rolled image is the rolled result, bit for bit."""
    result = upscaler.upscale(image, tileable="xy", **size)
    factor = len(result) // len(image)
    np.testing.assert_array_equal(
        upscaler.upscale(rolled(image, down, right), tileable="xy", **size),
        rolled(result, down * factor, right * factor),
    )


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(
    blocks=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    moved=st.tuples(st.integers(0, 20), st.integers(0, 20)),
    radius=st.integers(0, 4),
    scale=st.sampled_from([1, 2, 4]),
    multiple=st.sampled_from([1, 2, 4]),
    spare=st.integers(0, 5),
    room=st.integers(11, 60),
    batch=st.integers(1, 3),
)
def test_a_moved_image_gives_the_moved_result_with_every_tile_plan(
    blocks, moved, radius, scale, multiple, spare, room, batch
) -> None:
    network = KnownNetwork(
        radius=radius, scale=scale, multiple_of=multiple, limits=Limits(batch=batch, depth=2)
    )
    halo = radius * multiple + spare
    image = texture(*(multiple * side for side in blocks))
    upscaler = Upscaler(network, tile=2 * halo + room, halo=halo)
    assert_moves(upscaler, image, *(multiple * side for side in moved))


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(
    length=st.integers(1, 300),
    halo=st.integers(0, 40),
    multiple=st.sampled_from([1, 2, 3, 8]),
    phase=st.sampled_from([1, 4, 8]),
    room=st.integers(48, 99),
)
def test_every_pixel_is_written_once_and_far_from_all_cuts(
    length, halo, multiple, phase, room
) -> None:
    side = 2 * halo + room
    limits = {"halo": halo, "multiple_of": multiple, "phase": phase, "max_tile": (side, side)}
    plan = plan_wrapped(length, 5, Wrap(rows=True), **limits)
    written = np.zeros(length, int)
    for span in plan.rows:
        assert span.start % multiple == span.start % phase == 0
        assert span.start + halo <= span.begin < span.end <= span.start + plan.shape[0] - halo
        written[span.begin : span.end] += 1
    assert (written == 1).all()
    rows = extended(np.arange(length)[:, np.newaxis], plan, Wrap(rows=True))[:, 0]
    first = plan.rows[0].start
    np.testing.assert_array_equal(rows, np.arange(first, first + plan.padded[0]) % length)


@pytest.mark.parametrize("size", [(60, 70), (1, 1), (3, 100), (7, 2)])
@pytest.mark.parametrize("tileable", ["x", "y", "xy"])
def test_the_result_is_that_of_the_middle_of_many_copies(size: tuple[int, int], tileable) -> None:
    copies = 1 if "y" not in tileable else 1 + 2 * -(-3 // size[0])
    beside = 1 if "x" not in tileable else 1 + 2 * -(-3 // size[1])
    image = texture(*size)
    network = KnownNetwork(radius=3)
    whole = network.whole(np.tile(image, (copies, beside, 1)))
    top, left = copies // 2 * 2 * size[0], beside // 2 * 2 * size[1]
    expected = whole[top : top + 2 * size[0], left : left + 2 * size[1]]
    result = Upscaler(network, tile=24).upscale(image, tileable=tileable)
    np.testing.assert_array_equal(result, expected)


def test_an_image_that_is_not_tileable_is_no_other_picture() -> None:
    network, image = KnownNetwork(radius=2), texture(40, 50)
    result = Upscaler(network, tile=20).upscale(image)
    np.testing.assert_array_equal(result, network.whole(image))
    assert (Upscaler(network).upscale(image, tileable="x") != result).any()


@pytest.mark.parametrize("size", [(8, 8), (24, 24), (30, 90)])
def test_a_model_of_fixed_size_wraps_too(size: tuple[int, int]) -> None:
    limits = Limits(min_tile=(24, 24), max_tile=(24, 24), batch=2, fixed_batch=True)
    assert_moves(Upscaler(KnownNetwork(radius=2, limits=limits)), texture(*size), 5, 7)


@pytest.mark.parametrize("options", [{"tta": True}, {"tile": 30}])
def test_the_self_ensemble_and_small_tiles_wrap_too(options: dict[str, object]) -> None:
    assert_moves(Upscaler(KnownNetwork(radius=2), **options), texture(40, 33), 11, 30)


@pytest.mark.parametrize("size", [{"scale": 6}, {"scale": 3}, {"width": 96}, {"scale": 1}])
def test_further_passes_and_resizing_wrap_too(size: dict[str, int]) -> None:
    assert_moves(Upscaler(KnownNetwork(radius=2), tile=25), texture(24, 32), 5, 31, **size)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_kind_of_array_wraps(channels: int, dtype: type) -> None:
    image = texture(24, 32, channels, dtype)
    if channels in (2, 4):
        image[:, :, -1] |= 1  # nothing is hidden, so that no colour is filled in
        image[5:20, 20:, -1] = np.iinfo(dtype).max
    assert_moves(Upscaler(KnownNetwork(radius=2), tile=20), image, 7, 13)


def test_colour_under_transparency_comes_from_the_opposite_side_too() -> None:
    color, alpha = np.zeros((16, 16, 3), np.uint8), np.full((16, 16), 255, np.uint8)
    color[:, :4] = 200
    alpha[:, 10:] = 0
    alone, wrapped = bleed(color, alpha), bleed(color, alpha, Wrap(cols=True))
    assert (alone[:, 15] == 0).all()
    assert (wrapped[:, 15] > 100).all()
    np.testing.assert_array_equal(wrapped[:, :10], color[:, :10])
    np.testing.assert_array_equal(
        bleed(rolled(color, 0, 8), rolled(alpha, 0, 8), Wrap(cols=True)), rolled(wrapped, 0, 8)
    )


@pytest.mark.parametrize("target", [(12, 18), (50, 50), (7, 90), (1, 1)])
def test_a_wrapped_resize_is_that_of_the_middle_of_five_copies(target: tuple[int, int]) -> None:
    (height, width), image = target, texture(12, 18).astype(np.float64)
    across = resize(np.tile(image, (1, 5, 1)), height, 5 * width)[:, 2 * width : 3 * width]
    np.testing.assert_allclose(resize(image, height, width, Wrap(cols=True)), across, atol=1e-9)
    five = resize(np.tile(image, (5, 5, 1)), 5 * height, 5 * width)
    middle = five[2 * height : 3 * height, 2 * width : 3 * width]
    np.testing.assert_allclose(resize(image, height, width, Wrap(True, True)), middle, atol=1e-9)


def test_every_frame_and_its_progress_wrap() -> None:
    frames = tuple(texture(30, 30) for _ in range(2))
    calls: list[tuple[int, int]] = []
    upscaler = Upscaler(KnownNetwork(radius=2), tile=20)
    result = upscaler.upscale_picture(
        Picture(frames=frames), tileable="xy", progress=lambda *call: calls.append(call)
    )
    for frame, large in zip(frames, result.frames, strict=True):
        np.testing.assert_array_equal(upscaler.upscale(frame, tileable="xy"), large)
    total = 2 * len(upscaler.plan(30, 30, tileable="xy"))
    assert calls == [(done, total) for done in range(1, total + 1)]


@pytest.mark.filterwarnings("ignore:no room")
def test_running_out_of_memory_leads_to_the_same_picture() -> None:
    image = texture(60, 50)
    large = Upscaler(KnownNetwork(radius=2), tile=90).upscale(image, tileable="xy")
    small = Upscaler(KnownNetwork(radius=2, memory=40 * 40), tile=90)
    np.testing.assert_array_equal(small.upscale(image, tileable="xy"), large)


@pytest.mark.parametrize("tileable", ["yx", "", "z", True, 1])
def test_another_word_is_refused(tileable: object) -> None:
    with pytest.raises(ArgumentError, match="xy"):
        Upscaler(KnownNetwork(radius=1)).upscale(texture(8, 8), tileable=tileable)


@pytest.mark.parametrize(("multiple", "phase", "grid"), [(2, 1, 2), (1, 8, 8), (4, 6, 12)])
def test_sides_that_leave_a_seam_are_refused(multiple: int, phase: int, grid: int) -> None:
    network = KnownNetwork(radius=1, multiple_of=multiple)
    network.info = replace(network.info, phase=phase)
    upscaler = Upscaler(network)
    for tileable, height, width in (("x", 5, 2 * grid), ("y", grid, 7), ("xy", grid, grid)):
        assert upscaler.upscale(texture(height, width), tileable=tileable).shape[0] == 2 * height
    for tileable, side in (("x", "width"), ("y", "height"), ("xy", "width")):
        image = texture(grid, grid + 1) if side == "width" else texture(grid + 1, grid)
        with pytest.raises(ArgumentError, match=rf"its {side}, {grid + 1}, .* multiple of {grid},"):
            upscaler.upscale(image, tileable=tileable)


def test_a_network_that_looks_further_than_its_halo_tiles_no_texture() -> None:
    network = KnownNetwork(radius=1)
    network.info = replace(network.info, tile_error=40, receptive_radius=None)
    with pytest.raises(ArgumentError, match="do not continue each other"):
        Upscaler(network).upscale(texture(8, 8), tileable="x")
    network.info = replace(network.info, halo=0, receptive_radius=1)
    with pytest.raises(ArgumentError, match=r"further than 0 pixels.*: use --halo exact if tiles"):
        Upscaler(network).upscale(texture(8, 8), tileable="x")
    Upscaler(network, halo="exact").upscale(texture(8, 8), tileable="x")


@pytest.mark.slow
def test_the_embedded_model_has_no_seam_with_its_exact_halo() -> None:
    image = np.kron(RANDOM.integers(60, 200, (8, 9, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    with sr_runtime.load(precision="fp32", halo="exact") as upscaler:
        result = upscaler.upscale(image, tileable="xy")
        moved = upscaler.upscale(rolled(image, 13, 20), tileable="xy")
        alone = upscaler.upscale(rolled(image, 13, 20))
    expected = rolled(result, 52, 80).astype(int)
    assert np.abs(moved - expected).max() <= LARGEST_DIFFERENCE["fp32"]
    assert np.abs(alone - expected).max() > 10


def test_the_command_line_wraps(tmp_path) -> None:
    image = texture(20, 24)
    source, target = tmp_path / "texture.png", tmp_path / "large.png"
    PIL.Image.fromarray(image).save(source)
    assert main(["upscale", str(source), "-o", str(target), "--tileable", "x", "-q"]) == 0
    with sr_runtime.load() as upscaler, PIL.Image.open(target) as large:
        np.testing.assert_array_equal(large, upscaler.upscale(image, tileable="x"))

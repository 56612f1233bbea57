"""Tiles give exactly the whole image, of every kind and size, and errors leave nothing behind."""

import warnings
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sr_runtime import ArgumentError, ModelError, NonFiniteError, OutOfMemoryError, Upscaler
from sr_runtime.backends.base import Limits
from sr_runtime.image import Picture
from tests.runtime.known_network import KnownNetwork


def photo(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    radius=st.integers(0, 4),
    scale=st.sampled_from([1, 2, 3, 4]),
    multiple=st.sampled_from([1, 2, 4]),
    spare=st.integers(0, 5),
    room=st.integers(11, 60),
    batch=st.integers(1, 3),
    depth=st.integers(1, 3),
)
def test_tiles_equal_the_whole_image_bit_for_bit(
    height, width, radius, scale, multiple, spare, room, batch, depth
) -> None:
    network = KnownNetwork(
        radius=radius,
        scale=scale,
        multiple_of=multiple,
        limits=Limits(batch=batch, depth=depth),
    )
    halo = radius * multiple + spare
    image = photo(height, width)
    result = Upscaler(network, tile=2 * halo + room, halo=halo).upscale(image)
    np.testing.assert_array_equal(result, network.whole(image))


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (7, 120), (24, 24), (100, 61)])
def test_a_model_of_fixed_size_gives_exactly_the_whole_image(size: tuple[int, int]) -> None:
    limits = Limits(min_tile=(24, 24), max_tile=(24, 24), batch=2, fixed_batch=True)
    network = KnownNetwork(radius=2, limits=limits)
    image = photo(*size)
    np.testing.assert_array_equal(Upscaler(network).upscale(image), network.whole(image))
    assert {shape[0] for shape in network.batches} == {2}


def test_these_tests_notice_a_halo_that_is_too_small() -> None:
    network = KnownNetwork(radius=3)
    image = photo(80, 80)
    result = Upscaler(network, tile=24, halo=2).upscale(image)
    assert (result != network.whole(image)).any()


def test_gray_goes_through_an_rgb_model_and_comes_back_gray() -> None:
    gray = photo(20, 30, channels=1)
    network = KnownNetwork(radius=1)
    rgb = network.whole(np.repeat(gray, 3, axis=2)).astype(float)
    result = Upscaler(network).upscale(gray)
    assert result.shape == (40, 60, 1)
    np.testing.assert_allclose(result[:, :, 0], rgb @ [0.299, 0.587, 0.114], atol=0.51)
    np.testing.assert_array_equal(Upscaler(network).upscale(gray[:, :, 0]), result[:, :, 0])


def test_a_gray_model_refuses_colour() -> None:
    with pytest.raises(ArgumentError, match=r"takes 1 channel.*3 colour"):
        Upscaler(KnownNetwork(radius=1, channels=1)).upscale(photo(8, 8))


def test_opaque_alpha_stays_opaque_and_costs_no_inference() -> None:
    rgba = np.dstack([photo(20, 30), np.full((20, 30), 255, np.uint8)])
    network = KnownNetwork(radius=1)
    result = Upscaler(network).upscale(rgba)
    assert len(network.batches) == 1
    assert (result[:, :, 3] == 255).all()
    np.testing.assert_array_equal(result[:, :, :3], network.whole(rgba[:, :, :3]))


def test_pil_images_and_their_modes_come_back() -> None:
    upscaler = Upscaler(KnownNetwork(radius=1))
    for mode, back in [
        ("RGB", "RGB"),
        ("L", "L"),
        ("RGBA", "RGBA"),
        ("LA", "LA"),
        ("1", "L"),
        ("P", "RGB"),
    ]:
        source = PIL.Image.fromarray(photo(20, 30)).convert(mode)
        result = upscaler.upscale(source)
        assert (result.mode, result.size) == (back, (60, 40))


def test_tta_undoes_its_eight_views_and_averages_them() -> None:
    network = KnownNetwork(radius=1, scale=1)
    network.answer = np.copy  # whatever changes comes from the views
    image = photo(40, 30)
    upscaler = Upscaler(network, tile=16, halo=1, tta=True)
    np.testing.assert_array_equal(upscaler.upscale(image), image)
    assert len(network.batches) == 8 * len(upscaler.plan(40, 30))

    tilted = KnownNetwork(radius=1, scale=1)
    tilted.answer = lambda batch: batch * np.linspace(0, 1, batch.shape[-1], dtype=np.float32)
    flat = np.full((16, 16, 3), 200, np.uint8)
    result = Upscaler(tilted, tta=True).upscale(flat)
    np.testing.assert_array_equal(result, np.full_like(flat, 100))  # the tilt averages out


@pytest.mark.parametrize(
    ("size", "shape", "runs"),
    [
        ({}, (40, 60), 1),
        ({"scale": 1.5}, (30, 45), 1),
        ({"scale": 4}, (80, 120), 2),
        ({"scale": 5}, (100, 150), 3),
        ({"width": 90}, (60, 90), 2),
        ({"height": 10}, (10, 15), 1),
    ],
)
def test_other_sizes_apply_the_network_until_it_is_large_enough_then_shrink(
    size, shape, runs
) -> None:
    network = KnownNetwork(radius=1)
    assert Upscaler(network).upscale(photo(20, 30), **size).shape[:2] == shape
    assert len(network.batches) == runs


@pytest.mark.parametrize(
    ("size", "says"),
    [
        ({"scale": 0}, "scale 0.*64"),
        ({"scale": 65}, "scale 65.*64"),
        ({"width": 0}, "width 0.*give 1 to"),
        ({"height": -2}, "height -2.*give 1 to"),
        ({"width": 90, "height": 60}, "width and height"),
        ({"width": 3000}, "100 times.*30×20.*64"),
    ],
)
def test_a_size_out_of_range_is_refused_with_its_limit(size: dict[str, int], says: str) -> None:
    network = KnownNetwork(radius=1)
    with pytest.raises(ArgumentError, match=says):
        Upscaler(network).upscale(photo(20, 30), **size)
    assert not network.batches


def test_a_model_of_scale_1_refuses_to_enlarge() -> None:
    with pytest.raises(ArgumentError, match=r"scale 1.*2\.00 times"):
        Upscaler(KnownNetwork(radius=1, scale=1)).upscale(photo(20, 30), scale=2)


def test_progress_counts_every_tile_to_the_end() -> None:
    calls: list[tuple[int, int]] = []
    rgba = photo(60, 60, channels=4)
    upscaler = Upscaler(KnownNetwork(radius=1), tile=24)
    upscaler.upscale(rgba, scale=3, progress=lambda *call: calls.append(call))
    total = calls[-1][1]
    assert calls == [(done, total) for done in range(1, total + 1)]


def test_running_out_of_memory_leads_to_smaller_tiles_and_the_same_picture() -> None:
    network = KnownNetwork(radius=2, memory=40 * 40)
    calls: list[tuple[int, int]] = []
    image = photo(150, 130)
    upscaler = Upscaler(network, tile=120)
    with pytest.warns(RuntimeWarning, match="no room: continuing with tiles of"):
        result = upscaler.upscale(image, progress=lambda *call: calls.append(call))
    np.testing.assert_array_equal(result, network.whole(image))
    assert calls[-1][0] == calls[-1][1] == len(calls)
    network.batches.clear()
    upscaler.upscale(image)
    assert max(shape[2] * shape[3] for shape in network.batches) <= 40 * 40  # it remembers


def test_progress_stays_within_its_total_when_memory_runs_out_in_an_animation() -> None:
    calls: list[tuple[int, int]] = []
    frames = tuple(photo(90, 90, seed=i) for i in range(3))
    upscaler = Upscaler(KnownNetwork(radius=2, memory=40 * 40), tile=80)
    with pytest.warns(RuntimeWarning, match="continuing with"):
        upscaler.upscale_picture(Picture(frames=frames), progress=lambda *call: calls.append(call))
    total = calls[-1][1]
    assert calls == [(done, total) for done in range(1, total + 1)]


def test_it_is_an_error_if_no_tile_fits_into_memory() -> None:
    with pytest.warns(RuntimeWarning), pytest.raises(OutOfMemoryError):
        Upscaler(KnownNetwork(radius=2, memory=1), tile=64).upscale(photo(100, 100))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_an_error_not_a_black_tile(value: float) -> None:
    network = KnownNetwork(radius=1)
    answer = network.answer

    def broken(batch: np.ndarray) -> np.ndarray:
        output = answer(batch)
        output[0, 1, 3, 3] = value
        return output

    network.answer = broken
    with pytest.raises(NonFiniteError, match="weights are damaged"):
        Upscaler(network).upscale(photo(20, 20))


def test_after_an_error_no_batch_is_left_in_flight() -> None:
    class Failing(KnownNetwork):
        def answer(self, batch: np.ndarray) -> np.ndarray:
            return super().answer(batch) * np.float32(np.nan if len(self.batches) == 4 else 1)

    network = Failing(radius=1, limits=Limits(depth=3))
    upscaler = Upscaler(network, tile=16)
    with pytest.raises(NonFiniteError):
        upscaler.upscale(photo(60, 60))
    assert len(network.batches) > 2
    assert network.in_flight == 0


def test_a_progress_callback_cancels_by_raising_and_the_upscaler_goes_on() -> None:
    class CancelledError(BaseException):
        """Not an Exception, as asyncio's own."""

    network = KnownNetwork(radius=1, limits=Limits(depth=3))
    upscaler = Upscaler(network, tile=16)
    error = CancelledError()

    def cancel(done: int, total: int) -> None:
        if done == 5:
            raise error

    with pytest.raises(CancelledError) as raised:
        upscaler.upscale(photo(60, 60), progress=cancel)
    assert raised.value is error
    assert network.in_flight == 0
    np.testing.assert_array_equal(upscaler.upscale(photo(60, 60)), network.whole(photo(60, 60)))


def test_tiles_that_change_the_result_are_warned_of_unless_the_halo_is_exact() -> None:
    network = KnownNetwork(radius=3)
    network.info = replace(network.info, halo=1, receptive_radius=3, tile_error=9)
    with pytest.warns(RuntimeWarning, match="its tiles overlap.* 9/255: .*--halo exact"):
        Upscaler(network, tile=16).upscale(photo(60, 60))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Upscaler(network, tile=16, halo="exact").upscale(photo(60, 60))


@pytest.mark.parametrize("kind", [MemoryError, ModelError, NonFiniteError, RuntimeError])
def test_what_a_callback_raises_is_not_taken_for_an_error_of_the_network(
    kind: type[Exception],
) -> None:
    upscaler, error = Upscaler(KnownNetwork(radius=1), tile=16), kind("can't start new thread")

    def cancel(done: int, total: int) -> None:
        raise error

    with pytest.raises(kind) as raised:
        upscaler.upscale(photo(60, 60), progress=cancel)
    assert raised.value is error
    assert str(error) == "can't start new thread"
    assert upscaler.max_tile == (16, 16)


@pytest.mark.parametrize("tile", [0, -1, 5, "big", 1.5])
def test_an_impossible_tile_is_refused_at_once(tile: object) -> None:
    with pytest.raises(ArgumentError, match="tile"):
        Upscaler(KnownNetwork(radius=3), tile=tile)


@pytest.mark.filterwarnings("ignore:no room")
@pytest.mark.parametrize("halo", [0, 3, 13, 14])
def test_too_little_memory_is_never_reported_as_a_wrong_tile(halo: int) -> None:
    upscaler = Upscaler(KnownNetwork(radius=0, multiple_of=4, memory=1), tile=62, halo=halo)
    with pytest.raises(OutOfMemoryError):
        upscaler.upscale(photo(100, 100))


def test_closing_releases_the_backend_once_and_refuses_more_work() -> None:
    network = KnownNetwork(radius=1)
    with Upscaler(network) as upscaler:
        assert not network.closed
    assert network.closed
    network.closed = False
    upscaler.close()
    assert not network.closed
    with pytest.raises(ArgumentError, match="closed"):
        upscaler.upscale(photo(8, 8))


def test_a_file_is_never_upscaled_onto_itself(tmp_path) -> None:
    path = tmp_path / "photo.png"
    PIL.Image.fromarray(photo(8, 8)).save(path)
    before = path.read_bytes()
    upscaler = Upscaler(KnownNetwork(radius=1))
    with pytest.raises(ArgumentError, match="never overwritten"):
        upscaler.upscale_file(path, path)
    assert path.read_bytes() == before
    upscaler.upscale_file(path, tmp_path / "large.png")
    with PIL.Image.open(tmp_path / "large.png") as large:
        assert large.size == (16, 16)

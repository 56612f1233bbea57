"""Arrays in and out: every type, layout and byte order, or the line of code that converts them."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import sr_runtime
from sr_runtime import ArgumentError, Upscaler
from tests.runtime.in_threads import photo
from tests.runtime.known_network import KnownNetwork

RNG = np.random.default_rng(0)


class ArrayOfAnotherLibrary:
    """What JAX and others have in place of a numpy array."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.uint8]:
        return photo(8, 9)


def copying() -> KnownNetwork:
    """A network of scale 1 that returns what it is given."""
    network = KnownNetwork(radius=1, scale=1)
    network.answer = np.copy  # type: ignore[method-assign]
    return network


def suggested(error: ArgumentError) -> str:
    """The line of code at the end of a message."""
    found = re.search(r"(?:use|convert it with) (\S.*)$", str(error))
    assert found, error
    return found[1]


def test_16_bits_stay_16_bits() -> None:
    image = photo(20, 30).astype(np.uint16) * 257
    network = KnownNetwork(radius=1)
    result = Upscaler(network).upscale(image)
    assert result.dtype == np.uint16
    np.testing.assert_array_equal(result, network.whole((image // 257).astype(np.uint8)) * 257.0)


def test_float32_goes_in_and_comes_out() -> None:
    image = photo(50, 60)
    network = KnownNetwork(radius=1)
    result = Upscaler(network, tile=24).upscale(image / np.float32(255))
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, (network.whole(image) / 255).astype(np.float32))


@pytest.mark.parametrize("shape", [(30, 40), (30, 40, 1), (30, 40, 2), (30, 40, 3), (30, 40, 4)])
def test_floats_keep_their_full_precision_in_every_kind_of_image(shape: tuple[int, ...]) -> None:
    image = RNG.random(shape, np.float32)
    result = Upscaler(copying(), tile=16).upscale(image)
    assert (result.dtype, result.shape) == (np.float32, shape)
    # Gray passes through RGB and back, which costs the last bits.
    np.testing.assert_allclose(result, image, rtol=0, atol=1e-6)
    if shape[2:] == (3,):
        np.testing.assert_array_equal(result, image)


def test_float_alpha_that_is_flat_stays_exactly_so() -> None:
    alpha = np.zeros((16, 24), np.float32)
    alpha[:, 12:] = 1
    image = np.dstack([RNG.random((16, 24, 3), np.float32), alpha])
    result = Upscaler(KnownNetwork(radius=1)).upscale(image)[:, :, 3]
    assert (result[:, :22] == 0).all()
    assert (result[:, 26:] == 1).all()


def test_float_results_are_clamped_after_the_network_and_after_resizing() -> None:
    overshooting = copying()
    overshooting.answer = lambda batch: batch * 3 - 1  # type: ignore[method-assign]
    edge = np.zeros((20, 20, 3), np.float32)
    edge[:, 10:] = 1
    for upscaler, scale in ((Upscaler(overshooting), 1), (Upscaler(copying()), 0.7)):
        result = upscaler.upscale(edge, scale=scale)
        assert (result.min(), result.max()) == (0, 1)


def test_a_uint8_model_refuses_floats_which_it_would_round() -> None:
    network = KnownNetwork(radius=1)
    network.info = replace(network.info, io="uint8")
    with pytest.raises(ArgumentError, match=r"float32.*uint8.*--io float32"):
        Upscaler(network).upscale(np.zeros((8, 8, 3), np.float32))


@pytest.mark.parametrize("dtype", [">u2", ">f4"])
def test_big_endian_arrays_come_back_in_native_order(dtype: str) -> None:
    native = RNG.random((20, 30, 3), np.float32)
    if dtype == ">u2":
        native = (native * 65535).astype(np.uint16)
    upscaler = Upscaler(KnownNetwork(radius=1))
    result = upscaler.upscale(native.astype(dtype))
    assert result.dtype == native.dtype
    assert result.dtype.isnative
    np.testing.assert_array_equal(result, upscaler.upscale(native))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_memory_layout_does_not_matter_and_the_image_is_left_alone(
    channels: int, dtype: type[np.generic]
) -> None:
    large = RNG.integers(0, 256, (60, 80, channels)).astype(dtype)
    if dtype == np.float32:
        large /= 255
    upscaler = Upscaler(KnownNetwork(radius=1), tile=16)
    views = [large[::2, ::2], large[::-1, ::-1], large[:, :, ::-1], large.swapaxes(0, 1)]
    for view in views:
        before = view.copy()
        view.flags.writeable = False
        result = upscaler.upscale(view)
        assert result.flags.writeable
        assert not np.shares_memory(result, large)
        np.testing.assert_array_equal(view, before)
        np.testing.assert_array_equal(result, upscaler.upscale(before))


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_arrays_of_subclasses_give_plain_arrays(tmp_path: Path) -> None:
    image = photo(20, 30)
    mapped = np.memmap(tmp_path / "pixels", np.uint8, "w+", shape=image.shape)
    mapped[:] = image
    upscaler = Upscaler(KnownNetwork(radius=1), tile=16)
    wanted = upscaler.upscale(image)
    for array in (mapped, np.ma.masked_array(image)):
        result = upscaler.upscale(array)
        assert type(result) is np.ndarray
        np.testing.assert_array_equal(result, wanted)
    gray = upscaler.upscale(np.matrix(image[:, :, 0]))
    np.testing.assert_array_equal(gray, upscaler.upscale(image[:, :, 0]))


@pytest.mark.parametrize(
    ("array", "line"),
    [
        (RNG.random((8, 9, 3)), "image.astype(numpy.float32)"),
        (RNG.random((8, 9)).astype(np.float16), "image.astype(numpy.float32)"),
        (photo(8, 9).astype(np.float32), "image / 255"),
        (photo(8, 9).astype(np.float64), "(image / 255).astype(numpy.float32)"),
        (photo(8, 9).astype(np.float32) * 257, "image / 65535"),
        (RNG.random((8, 9, 3), np.float32) * 2 - 0.5, "numpy.clip(image, 0, 1)"),
        (np.full((8, 9, 3), np.inf, np.float32), "numpy.clip(image, 0, 1)"),
        (np.full((8, 9, 4), np.nan, np.float32), "numpy.nan_to_num(image)"),
        (photo(8, 9).astype(np.int64), "numpy.clip(image, 0, 255).astype(numpy.uint8)"),
        (photo(8, 9) > 100, "image.astype(numpy.uint8) * 255"),
        (photo(8, 9).transpose(2, 0, 1), "image.transpose(1, 2, 0)"),
        (photo(8, 9).astype(np.int32) * 257, "numpy.clip(image, 0, 65535).astype(numpy.uint16)"),
        (np.ma.masked_less(photo(8, 9), 100), "image.filled(0)"),
        (photo(8, 9).tolist(), "numpy.asarray(image, numpy.uint8)"),
        (ArrayOfAnotherLibrary(), "numpy.asarray(image)"),
    ],
)
def test_what_is_no_image_yet_is_answered_with_the_line_that_converts_it(
    array: Any, line: str
) -> None:
    upscaler = Upscaler(KnownNetwork(radius=1))
    with pytest.raises(ArgumentError) as raised:
        upscaler.upscale(array)
    assert suggested(raised.value) == line
    converted: NDArray[Any] = eval(line, {"image": array, "numpy": np})
    assert upscaler.upscale(converted).shape[:2] == (16, 18)


@pytest.mark.parametrize(
    ("shape", "line"),
    [
        ((3, 8, 9), "tensor.permute(1, 2, 0).cpu().numpy()"),
        ((8, 9, 3), "tensor.cpu().numpy()"),
        ((8, 9), "tensor.cpu().numpy()"),
    ],
)
def test_a_tensor_is_answered_with_the_line_that_converts_it(
    shape: tuple[int, ...], line: str
) -> None:
    torch = pytest.importorskip("torch")
    upscaler = Upscaler(KnownNetwork(radius=1))
    tensor = torch.from_numpy(RNG.random(shape, np.float32))
    with pytest.raises(ArgumentError, match="Tensor") as raised:
        upscaler.upscale(tensor)
    assert suggested(raised.value) == line
    assert upscaler.upscale(eval(line, {"tensor": tensor})).shape[:2] == (16, 18)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (None, "NoneType"),
        ("photo.jpg", "str.*upscale_file"),
        (np.zeros((4, 4, 5), np.uint8), r"\(4, 4, 5\)"),
        (np.zeros((0, 4, 3), np.uint8), r"\(0, 4, 3\)"),
        (np.zeros(4, np.uint8), r"\(4,\)"),
        (np.array([[1, None]], object), "object: use numbers"),
        (np.zeros((4, 4), [("red", "u1")]), "red.*: use numbers"),
        (np.zeros((4, 4), "M8[s]"), "datetime64.*: use numbers"),
        (np.zeros((4, 4, 3), complex), "complex128: use numbers"),
        (np.zeros((1, 3, 4, 4), np.uint8), r"\(1, 3, 4, 4\).*one by one"),
        (np.full((4, 4, 3), 300, np.float32), "float32 from 300 to 300"),
    ],
)
def test_what_is_no_image_is_refused_with_its_shape_type_or_range(array: Any, says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        Upscaler(KnownNetwork(radius=1)).upscale(array)


@pytest.mark.parametrize(
    "size", [{"scale": "2"}, {"scale": [2]}, {"scale": 2j}, {"width": "64"}, {"height": 1.5}]
)
def test_a_size_that_is_not_a_number_is_refused_with_its_value(size: dict[str, object]) -> None:
    ((name, value),) = size.items()
    with (
        sr_runtime.load() as upscaler,
        pytest.raises(ArgumentError, match=rf"{name} {re.escape(repr(value))} .* give"),
    ):
        upscaler.upscale(np.zeros((8, 8, 3), np.uint8), **size)

"""On a GPU, integer images go in and out as integers, with the picture that floats would give."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto

import sr_runtime
from sr_runtime import NonFiniteError, Upscaler
from tests.runtime.simulated_onnxruntime import simulated_cuda_provider
from tests.runtime.test_backends import doubling, foreign
from tests.simulated_tensorrt import Machine

PHOTO = np.random.default_rng(0).integers(0, 256, (50, 61, 3), np.uint8)
WIDE = np.random.default_rng(1).integers(0, 65536, (50, 61, 3), np.uint16)
PHOTOS = {"uint8": PHOTO, "uint16": WIDE, "gray": PHOTO[:, :, :1], "wide gray": WIDE[:, :, :1]}

every_photo = pytest.mark.parametrize("photo", PHOTOS.values(), ids=PHOTOS)


@pytest.fixture
def machine() -> Iterator[Machine]:
    with simulated_cuda_provider() as machine:
        yield machine
    assert machine.gpu.is_clean


def by_floats(upscaler: Upscaler, photo: NDArray[np.generic]) -> NDArray[np.generic]:
    """The picture of the same engine, whose input and output the host converts."""
    backend = upscaler.backend
    backend.limits, before = replace(backend.limits, pixels=False), backend.limits
    try:
        return Upscaler(backend, tile=max(upscaler.max_tile), halo=upscaler.halo).upscale(photo)
    finally:
        backend.limits = before


@every_photo
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_picture_is_the_one_that_floats_give(
    machine: Machine, photo, precision: str, tiny_onnx: Callable[..., Path]
) -> None:
    with sr_runtime.load(tiny_onnx(precision), device="cuda", tile=40, halo=8) as upscaler:
        result = upscaler.upscale(photo)
        pinned = sum(len(memory) for memory in machine.gpu.pinned.values())
        # The pixels of a tile, those of its result, and a flag: floats never came to the host.
        a_slot = 40 * 40 * photo.shape[2] * photo.itemsize * (1 + 4 * 4) + 1
        assert 0 < pinned <= upscaler.backend.limits.depth * a_slot
        np.testing.assert_array_equal(result, by_floats(upscaler, photo))


@every_photo
@pytest.mark.parametrize("shape", [["n", 3, "h", "w"], [2, 3, 24, 32]])
def test_anyone_elses_half_precision_model_takes_pixels(
    machine: Machine, photo, shape, tmp_path: Path
) -> None:
    model = foreign(tmp_path / "m.onnx", doubling() / 3, shape, TensorProto.FLOAT16)
    with sr_runtime.load(model, device="cuda") as upscaler:
        np.testing.assert_array_equal(upscaler.upscale(photo), by_floats(upscaler, photo))


def test_a_gray_model_takes_gray_pixels(machine: Machine, tmp_path: Path) -> None:
    model = foreign(tmp_path / "m.onnx", doubling(1), ["n", 1, "h", "w"])
    with sr_runtime.load(model, device="cuda") as upscaler:
        gray = WIDE[:, :, :1]
        np.testing.assert_array_equal(upscaler.upscale(gray), gray.repeat(2, 0).repeat(2, 1))


def test_images_of_every_kind_go_through_one_opened_model(
    machine: Machine, tiny_onnx: Callable[..., Path]
) -> None:
    with sr_runtime.load(tiny_onnx(), device="cuda", tile=40, halo=8) as upscaler:
        floats = upscaler.upscale(PHOTO / np.float32(255))
        for photo in (PHOTO, WIDE[:, :, :1], PHOTO[:, :, :1], WIDE, PHOTO):
            result = upscaler.upscale(photo)
            assert result.dtype == photo.dtype
            np.testing.assert_array_equal(result, by_floats(upscaler, photo))
        np.testing.assert_array_equal(np.rint(floats * np.float32(255)), upscaler.upscale(PHOTO))


@every_photo
def test_a_network_that_computes_nan_is_told_from_a_black_picture(
    machine: Machine, photo, tmp_path: Path
) -> None:
    weights = doubling()
    weights[5, 2, 1, 1] = np.nan
    model = foreign(tmp_path / "m.onnx", weights, [1, 3, "h", "w"])
    with (
        sr_runtime.load(model, device="cuda", tile=40, halo=2) as upscaler,
        pytest.raises(NonFiniteError, match="NaN or infinity"),
    ):
        upscaler.upscale(photo)


def test_the_self_ensemble_averages_before_it_rounds(
    machine: Machine, tiny_onnx: Callable[..., Path]
) -> None:
    options = {"tile": 40, "halo": 8, "tta": True}
    with sr_runtime.load(tiny_onnx(), device="cuda", **options) as upscaler:
        result = upscaler.upscale(PHOTO)
        floats = upscaler.upscale(PHOTO / np.float32(255))
    np.testing.assert_array_equal(result, np.rint(floats * np.float32(255)))

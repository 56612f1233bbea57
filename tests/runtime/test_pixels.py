"""On a GPU, integer images go in and out as integers, with the picture that floats would give."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

import sr_runtime
from sr_runtime import NonFiniteError, Upscaler
from tests.runtime.simulated_onnxruntime import simulated_cuda_provider
from tests.runtime.test_backends import doubling, foreign
from tests.runtime.tiny_engine import engine_file, open_engine
from tests.simulated_tensorrt import RUNNERS, Machine, simulated_runner

PHOTO = np.random.default_rng(0).integers(0, 256, (50, 61, 3), np.uint8)
WIDE = np.random.default_rng(1).integers(0, 65536, (50, 61, 3), np.uint16)
PHOTOS = {"uint8": PHOTO, "uint16": WIDE, "gray": PHOTO[:, :, :1], "wide gray": WIDE[:, :, :1]}
TILES = {"tile": 32, "halo": 8}

every_photo = pytest.mark.parametrize("photo", PHOTOS.values(), ids=PHOTOS)


@pytest.fixture
def machine() -> Iterator[Machine]:
    with simulated_cuda_provider() as machine:
        yield machine
    assert machine.gpu.is_clean


class Engines:
    """The engines of one library, on the machine where they run."""

    def __init__(self, library: str, machine: Machine, folder: Path) -> None:
        self._library, self.machine, self._folder = library, machine, folder

    def open(self, model: Path, **options: object) -> Upscaler:
        if self._library == "onnxruntime":
            return sr_runtime.load(model, device="cuda", **options)
        return Upscaler(open_engine(engine_file(model, self._folder)), **options)


@pytest.fixture(params=["onnxruntime", *RUNNERS])
def engines(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engines]:
    ort = request.param == "onnxruntime"
    with simulated_cuda_provider() if ort else simulated_runner(request.param) as machine:
        yield Engines(request.param, machine, tmp_path)
    assert machine.gpu.is_clean


@contextlib.contextmanager
def without_pixels(upscaler: Upscaler) -> Iterator[Upscaler]:
    """The same engine, whose input and output the host converts."""
    backend = upscaler.backend
    backend.limits, before = replace(backend.limits, pixels=False), backend.limits
    yield Upscaler(backend, tile=max(upscaler.max_tile), halo=upscaler.halo)
    backend.limits = before


def by_floats(upscaler: Upscaler, photo: NDArray[np.generic]) -> NDArray[np.generic]:
    with without_pixels(upscaler) as other:
        return other.upscale(photo)


@every_photo
def test_the_picture_is_the_one_that_floats_give(
    engines: Engines, photo, tiny_onnx: Callable[..., Path]
) -> None:
    with engines.open(tiny_onnx("fp16"), **TILES) as upscaler:
        result = upscaler.upscale(photo)
        assert len(upscaler.plan(*photo.shape[:2])) > 2 * upscaler.backend.limits.depth
        pinned = sum(len(memory) for memory in engines.machine.gpu.pinned.values())
        # The pixels of a tile, those of its result, and a flag: floats never came to the host.
        a_slot = 32 * 32 * photo.shape[2] * photo.itemsize * (1 + 4 * 4) + 1
        assert 0 < pinned <= upscaler.backend.limits.depth * a_slot
        np.testing.assert_array_equal(result, by_floats(upscaler, photo))


def test_images_of_every_kind_go_through_one_opened_model(
    engines: Engines, tiny_onnx: Callable[..., Path]
) -> None:
    with engines.open(tiny_onnx("fp16"), **TILES) as upscaler:
        floats = upscaler.upscale(PHOTO / np.float32(255))
        for photo in (PHOTO, WIDE[:, :, :1], PHOTO[:, :, :1], WIDE, PHOTO):
            result = upscaler.upscale(photo)
            assert result.dtype == photo.dtype
            np.testing.assert_array_equal(result, by_floats(upscaler, photo))
        np.testing.assert_array_equal(np.rint(floats * np.float32(255)), upscaler.upscale(PHOTO))
        upscaler.backend.shrink()
        np.testing.assert_array_equal(np.rint(floats * np.float32(255)), upscaler.upscale(PHOTO))


@pytest.mark.parametrize("photo", [PHOTO, WIDE[:, :, :1]], ids=["uint8", "wide gray"])
def test_a_network_that_computes_nan_is_told_from_a_black_picture(
    engines: Engines, photo, tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    model = onnx.load(tiny_onnx("fp16"))
    bias = next(one for one in model.graph.initializer if one.name.endswith("conv_last.bias"))
    bias.CopyFrom(numpy_helper.from_array(np.full(3, np.nan, np.float16), bias.name))
    onnx.save(model, tmp_path / "m.onnx")
    with (
        engines.open(tmp_path / "m.onnx", **TILES) as upscaler,
        pytest.raises(NonFiniteError, match="NaN or infinity"),
    ):
        upscaler.upscale(photo)


def test_the_self_ensemble_averages_before_it_rounds(
    engines: Engines, tiny_onnx: Callable[..., Path]
) -> None:
    with engines.open(tiny_onnx("fp16"), **TILES, tta=True) as upscaler:
        result = upscaler.upscale(PHOTO)
        floats = upscaler.upscale(PHOTO / np.float32(255))
    np.testing.assert_array_equal(result, np.rint(floats * np.float32(255)))


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

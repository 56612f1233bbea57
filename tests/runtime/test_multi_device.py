"""Several devices share the tiles of an image, and are one backend to whoever uses them."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import sr_runtime
from sr_runtime import BackendError, NonFiniteError, Upscaler
from sr_runtime.backends.base import Limits
from sr_runtime.backends.multi_device import MultiDeviceBackend
from sr_runtime.backends.onnxruntime import cuda as onnxruntime_cuda
from sr_runtime.backends.onnxruntime.cpu import OnnxRuntimeBackend
from sr_runtime.backends.onnxruntime.session import Provider
from sr_runtime.backends.openvino import OpenVINOBackend
from tests.runtime.known_network import KnownNetwork
from tests.runtime.simulated_onnxruntime import simulated_cuda_provider

PHOTO = np.random.default_rng(0).integers(0, 256, (90, 121, 3), np.uint8)


@pytest.mark.slow
def test_engines_of_several_kinds_make_one_picture(tiny_onnx) -> None:
    model = tiny_onnx()
    engines = [
        cls(model, device="cpu", precision="fp32")
        for cls in (OnnxRuntimeBackend, OpenVINOBackend, OnnxRuntimeBackend)
    ]
    with Upscaler(MultiDeviceBackend(engines), tile=48) as upscaler:
        assert upscaler.backend.limits.depth == 4
        result = upscaler.upscale(PHOTO)
    with sr_runtime.load(
        model, backend="onnxruntime", device="cpu", precision="fp32", tile=48
    ) as upscaler:
        expected = upscaler.upscale(PHOTO)
    # The engines sum in different orders: the last bit of a float may round away.
    assert np.abs(result.astype(int) - expected).max() <= 1


def test_every_device_gets_tiles_and_results_keep_their_order() -> None:
    networks = [KnownNetwork(radius=2, limits=Limits(depth=depth)) for depth in (1, 3, 2)]
    image = PHOTO[:80, :80]
    with Upscaler(MultiDeviceBackend(networks), tile=20) as upscaler:
        result = upscaler.upscale(image)
        tiles = len(upscaler.plan(80, 80))
    np.testing.assert_array_equal(result, networks[0].whole(image))
    shares = [len(network.batches) for network in networks]
    assert sum(shares) == tiles
    assert min(shares) >= tiles // 6  # the depths' sum
    assert all(network.closed for network in networks)


def test_limits_are_those_that_all_devices_share() -> None:
    limits = MultiDeviceBackend(
        [
            KnownNetwork(radius=1, limits=one)
            for one in (
                Limits(
                    min_tile=(8, 16),
                    max_tile=(64, 64),
                    tile=48,
                    batch=4,
                    depth=2,
                    tile_step=8,
                    pixels=True,
                ),
                Limits(
                    min_tile=(16, 8), max_tile=(96, 48), tile=40, batch=2, shape_cost=9, images=2
                ),
                Limits(depth=3, batch=8, tile_step=12),
            )
        ]
    ).limits
    assert limits == Limits(
        min_tile=(16, 16),
        max_tile=(64, 48),
        tile=40,
        batch=2,
        depth=6,
        images=4,
        tile_step=24,
        shape_cost=9,
    )


def test_an_error_of_one_device_ends_the_image_with_nothing_left_in_flight() -> None:
    class Damaged(KnownNetwork):
        def answer(self, batch: NDArray[Any]) -> NDArray[np.float32]:
            return super().answer(batch) * np.float32(np.nan)

    networks = [KnownNetwork(radius=1), Damaged(radius=1)]
    upscaler = Upscaler(MultiDeviceBackend(networks), tile=20)
    with pytest.raises(NonFiniteError):
        upscaler.upscale(PHOTO)
    assert [network.in_flight for network in networks] == [0, 0]


def test_memory_that_runs_out_on_one_device_makes_tiles_smaller_on_all() -> None:
    networks = [KnownNetwork(radius=1), KnownNetwork(radius=1, memory=30 * 30)]
    upscaler = Upscaler(MultiDeviceBackend(networks), tile=60)
    with pytest.warns(RuntimeWarning, match="continuing with tiles of"):
        result = upscaler.upscale(PHOTO)
    np.testing.assert_array_equal(result, networks[0].whole(PHOTO))


def test_closing_goes_on_where_one_device_fails() -> None:
    class Stuck(KnownNetwork):
        def close(self) -> None:
            raise RuntimeError("stuck")

    networks = [KnownNetwork(radius=1), Stuck(radius=1), KnownNetwork(radius=1)]
    with pytest.raises(RuntimeError, match="stuck"):
        MultiDeviceBackend(networks).close()
    assert networks[0].closed
    assert networks[2].closed


def test_load_opens_the_gpus_that_are_named(tiny_onnx) -> None:
    model = tiny_onnx()
    with simulated_cuda_provider(gpus=3) as machine:
        with sr_runtime.load(model, device="cuda:0,cuda:2", tile=48) as upscaler:
            assert [gpu.retained for gpu in machine.gpus] == [1, 0, 1]
            assert upscaler.backend.device == "cuda:0,cuda:2"
            assert upscaler.backend.compute_dtype == "fp32"
            result = upscaler.upscale(PHOTO)
        with pytest.raises(BackendError, match=r"cuda:3.*cuda:0 and cuda:1 and cuda:2"):
            sr_runtime.load(model, device="cuda:0,cuda:3")
        assert all(gpu.is_clean for gpu in machine.gpus)
    with sr_runtime.load(model, backend="onnxruntime", device="cpu", tile=48) as upscaler:
        # Its tiles are of another shape, in which sums have another order.
        assert np.abs(upscaler.upscale(PHOTO).astype(int) - result).max() <= 1


def test_a_gpu_that_cannot_be_opened_closes_the_others(tiny_onnx) -> None:
    model = tiny_onnx()
    with simulated_cuda_provider(gpus=2) as machine, pytest.MonkeyPatch.context() as patch:
        providers = onnxruntime_cuda.cuda_providers

        def refused_by_the_second(ordinal: int, **options: Any) -> list[Provider]:
            if ordinal == 1:
                raise BackendError("it is in use")
            return providers(ordinal, **options)

        patch.setattr(onnxruntime_cuda, "cuda_providers", refused_by_the_second)
        with pytest.raises(BackendError, match="in use"):
            sr_runtime.load(model, device="cuda:0,cuda:1")
        assert all(gpu.is_clean for gpu in machine.gpus)

"""What the real TensorRT for RTX does, where it is not what TensorRT 10 and 11 are taken to do."""

from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from sr_export.to_onnx import onnx_from_generator
from sr_runtime.backends.cuda import driver
from sr_runtime.backends.tensorrt.build import build_engine
from sr_runtime.backends.tensorrt.engine_file import EngineInfo
from sr_runtime.backends.tensorrt.library import Log, TensorRT, builder_library
from sr_runtime.backends.tensorrt.options import DEFAULT_PROFILE, BuildOptions, Profile
from sr_runtime.errors import BackendError, ModelError, OutOfMemoryError
from sr_train.models.rrdbnet import RRDBNet
from tests.simulated_tensorrt import simulated
from tests.small_generators import generator_id, small_generators

trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")

PROFILE = Profile.parse("1x16x16", "2x32x32", "4x64x64")


def build(
    model: Path,
    *compute_capabilities: str,
    profile: Profile = PROFILE,
    workspace: int | None = None,
) -> tuple[bytes, EngineInfo]:
    options = BuildOptions(
        kind="tensorrt-rtx",
        profile=profile,
        compute_capabilities=compute_capabilities,
        workspace=workspace,
    )
    return build_engine(model, options)


def test_it_has_all_that_is_used_of_it() -> None:
    assert [name for name in TensorRT.__annotations__ if not hasattr(trt, name)] == []
    builder = trt.Builder(Log(builder_library("tensorrt-rtx")).logger)
    assert {"num_compute_capabilities", "set_compute_capability"} <= set(
        dir(builder.create_builder_config())
    )


@pytest.mark.parametrize(
    "name",
    ["Builder", "IBuilderConfig", "INetworkDefinition", "IOptimizationProfile", "OnnxParser"],
)
def test_it_has_all_that_the_simulated_tensorrt_offers(name: str) -> None:
    with simulated():
        import tensorrt

        offered = {each for kind in getattr(tensorrt, name).__mro__[:-1] for each in vars(kind)}
    own = {"take", "profile_shapes", "measure", "set_features", "set_flags", "model", "shapes"}
    assert {each for each in offered if each[0] != "_"} - own <= set(dir(getattr(trt, name)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("generator", "io"),
    [*zip(small_generators(), cycle(["float32", "uint8"]))],
    ids=lambda one: one if isinstance(one, str) else generator_id(one),
)
def test_every_architecture_can_be_built(generator: Any, io: Any, tmp_path: Path) -> None:
    model = tmp_path / "small.onnx"
    onnx.save(onnx_from_generator(generator, precision="fp16", io=io, halo=8), model)
    plan, info = build(model)
    assert len(plan) > 100_000
    assert (info.model.scale, info.model.in_channels) == (
        generator.scale_factor,
        generator.in_channels,
    )


@pytest.mark.slow
def test_the_network_of_the_paper_is_built_for_the_usual_tiles(tmp_path: Path) -> None:
    generator, model = RRDBNet(num_basic_blocks=23), tmp_path / "rrdb23.onnx"
    onnx.save(onnx_from_generator(generator, precision="fp16", io="uint8", halo=40), model)
    plan, info = build(model, profile=DEFAULT_PROFILE)
    weights = sum(weights.numel() for weights in generator.parameters())
    assert 2 * weights < len(plan) < 4 * weights  # all of them, in FP16
    assert (info.profile, info.model.io) == (DEFAULT_PROFILE, "uint8")


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1, 8])
def test_every_scale_can_be_built(scale: int, tiny_onnx: Callable[..., Path]) -> None:
    _, info = build(tiny_onnx(precision="fp16", scale_factor=scale))
    assert info.model.scale == scale


def test_an_engine_is_the_program_of_its_oldest_gpu(tiny_onnx: Callable[..., Path]) -> None:
    """Which is why engines are not built for 7.5 unless it is asked for."""
    model = tiny_onnx(precision="fp16")
    capabilities = ("7.5",), ("all",), ("8.0",), ()
    turing, all_of_them, ampere, default = (len(build(model, *each)[0]) for each in capabilities)
    assert abs(turing - all_of_them) < 1000
    assert abs(ampere - default) < 1000
    assert abs(turing - ampere) > 100_000


def test_a_parser_error_is_one_line(tmp_path: Path) -> None:
    """Only a Cast may touch uint8, and here a Transpose does."""
    make = onnx.helper
    graph = make.make_graph(
        [make.make_node("Transpose", ["input"], ["output"], "turned", perm=[0, 2, 1, 3])],
        "graph",
        [make.make_tensor_value_info("input", onnx.TensorProto.UINT8, ["n", "h", "w", 3])],
        [make.make_tensor_value_info("output", onnx.TensorProto.UINT8, ["n", "w", "h", 3])],
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=9)
    facts = {"schema": 1, "arch": "x", "scale": 1, "in_channels": 3, "out_channels": 3}
    facts |= {"io": "uint8", "weights_dtype": "float16", "halo": 8}
    make.set_model_props(model, {f"sr.{name}": str(value) for name, value in facts.items()})
    onnx.save(model, tmp_path / "turned.onnx")
    with pytest.raises(ModelError, match=r"turned: first input .* UInt8 .* at turned\)$") as caught:
        build(tmp_path / "turned.onnx")
    assert "driver" not in str(caught.value)


def test_two_types_in_one_convolution_are_one_sentence(
    tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    model = onnx.load(tiny_onnx(precision="fp16"))
    weights = next(each for each in model.graph.initializer if len(each.dims) == 4)
    values = onnx.numpy_helper.to_array(weights).astype(np.float32)
    weights.CopyFrom(onnx.numpy_helper.from_array(values, weights.name))
    onnx.save(model, tmp_path / "mixed.onnx")
    with pytest.raises(ModelError, match=r"type is Half but `kernel` is of type Float") as caught:
        build(tmp_path / "mixed.onnx")
    assert "\n" not in str(caught.value)
    assert "driver" not in str(caught.value)


def test_a_model_of_one_shape_is_told_to_be_built_for_it(
    tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    model = onnx.load(tiny_onnx(precision="fp16"))
    sides = model.graph.input[0].type.tensor_type.shape.dim
    for side, value in zip(sides, (1, 3, 64, 64), strict=True):
        side.dim_value = value
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(BackendError, match=r"\[1,3,64,64\].*: give it as --min, --opt and --max$"):
        build(tmp_path / "m.onnx")
    plan, _ = build(tmp_path / "m.onnx", profile=Profile.parse(*["1x64x64"] * 3))
    assert plan


@pytest.mark.parametrize(
    ("workspace", "remedy"), [(None, "give a --workspace"), (1 << 30, "leave --workspace out")]
)
def test_a_profile_without_enough_memory_is_told_to_be_smaller(
    workspace: int | None, remedy: str, tiny_onnx: Callable[..., Path]
) -> None:
    model, profile = tiny_onnx(precision="fp16", rrdb_channels=256), ["8x2300x2300"] * 3
    with pytest.raises(OutOfMemoryError, match=rf"smaller --max than 8x2300x2300, or {remedy}$"):
        build(model, profile=Profile.parse(*profile), workspace=workspace)


@pytest.mark.filterwarnings("ignore:.*no-ops:DeprecationWarning")
def test_a_timing_cache_would_be_empty_whatever_is_in_the_file() -> None:
    """`load_timings` knows by that what is not a timing cache."""
    log = Log(builder_library("tensorrt-rtx"))
    config = trt.Builder(log.logger).create_builder_config()
    caches = [config.create_timing_cache(content) for content in (b"", b"a letter")]
    assert len({bytes(cache.serialize()) for cache in caches}) == 1


def test_without_a_driver_an_engine_is_refused_and_the_process_goes_on(
    tiny_onnx: Callable[..., Path],
) -> None:
    if driver.missing() is None:
        pytest.skip("there is a driver here")
    plan, _ = build(tiny_onnx(precision="fp16"), "8.9")
    log = Log(builder_library("tensorrt-rtx"))
    runtime = trt.Runtime(log.logger)
    assert runtime.engine_header_size == 64  # as in the simulation
    header = plan[:64]
    assert runtime.get_engine_validity(header) == (trt.EngineValidity.INVALID, 0)
    assert "cudaError 35" in log.last_error
    assert runtime.deserialize_cuda_engine(plan) is None
    assert "cudaError 35" in log.last_error
    malformed = int(trt.EngineInvalidityDiagnostics.MALFORMED_ENGINE)
    other = b"no plan" * 100
    assert runtime.get_engine_validity(other[:64]) == (trt.EngineValidity.INVALID, malformed)
    for damaged in (other, plan[:10], plan[:1000]):
        log.clear()
        assert runtime.deserialize_cuda_engine(damaged) is None
        assert "cudaError 35" not in log.last_error

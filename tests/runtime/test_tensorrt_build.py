"""Building engines, with every TensorRT there is: facts, options, types, refusals."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from sr_runtime.backends.tensorrt.engine_file import read_engine, sha256, write_engine
from sr_runtime.backends.tensorrt.library import builder_library
from sr_runtime.backends.tensorrt.options import BuildOptions, Kind, Profile, Shape
from sr_runtime.errors import ArgumentError, BackendError, ModelError, OutOfMemoryError
from tests.simulated_tensorrt import VERSIONS, Machine, simulated
from tests.simulated_tensorrt.signatures import members_of

PROFILE = Profile.parse("1x16x16", "2x32x32", "4x64x64")
OPTIONS = BuildOptions(profile=PROFILE)


def build(model: Path, options: BuildOptions = OPTIONS, **arguments: Any) -> Any:
    from sr_runtime.backends.tensorrt.build import build_engine

    return build_engine(model, options, **arguments)


def of(kind: Kind, profile: Profile = PROFILE) -> BuildOptions:
    return BuildOptions(kind=kind, profile=profile)


def with_facts(model: onnx.ModelProto, path: Path, **facts: str) -> Path:
    """Write an ONNX file whose metadata states other facts."""
    for entry in model.metadata_props:
        entry.value = facts.get(entry.key.removeprefix("sr."), entry.value)
    onnx.save(model, path)
    return path


def test_an_engine_carries_its_facts_through_a_file(
    builder: Kind, tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    model = tiny_onnx(precision="fp16")
    plan, info = build(model, of(builder))
    assert (info.model.scale, info.model.halo, info.profile) == (4, 16, PROFILE)
    assert (info.kind, info.tensorrt) == (builder, builder_library(builder).version)
    assert (info.onnx_sha256, info.plan_sha256) == (sha256(model.read_bytes()), sha256(plan))
    write_engine(tmp_path / "tiny.engine", plan, info)
    assert (tmp_path / "tiny.engine").read_bytes() == plan
    assert read_engine(tmp_path / "tiny.engine") == (plan, info)


def test_an_engine_of_tensorrt_is_for_the_gpu_that_it_is_built_on(
    machine: Machine, tiny_onnx: Callable[..., Path]
) -> None:
    _, info = build(tiny_onnx(precision="fp16"))
    assert (info.gpu, info.compute_capability) == ("Simulated GPU", "9.0")
    assert info.compute_capabilities == ()
    assert machine.gpu.is_clean


@pytest.mark.parametrize("io", ["float32", "uint8"])
def test_every_io_and_profile_can_be_built(
    io: str, builder: Kind, tiny_onnx: Callable[..., Path]
) -> None:
    model = tiny_onnx(precision="fp16", io=io)
    shapes = ("1x40x40", "1x40x40", "1x40x40") if io == "uint8" else ("1x1x1", "3x33x99", "9x99x99")
    plan, info = build(model, of(builder, Profile.parse(*shapes)))
    assert len(plan) > 1000
    assert info.model.io == io


def test_every_option_reaches_the_builder(machine: Machine, tiny_onnx: Callable[..., Path]) -> None:
    options = BuildOptions(
        profile=OPTIONS.profile,
        workspace=4 << 30,
        level=5,
        version_compatible=True,
        hardware_compatible="ampere+",
    )
    plan, info = build(tiny_onnx(precision="fp16"), options)
    facts = json.loads(plan.split(b"\n", 1)[1])
    assert facts["version_compatible"]
    assert facts["hardware_compatible"] == "AMPERE_PLUS"
    assert (info.version_compatible, info.hardware_compatible) == (True, "ampere+")


def test_an_fp32_file_is_refused_with_the_command_that_makes_an_fp16_one(
    machine: Machine, tiny_onnx: Callable[..., Path]
) -> None:
    with pytest.raises(ModelError, match=r"sr_export onnx CHECKPOINT --precision fp16"):
        build(tiny_onnx(precision="fp32"))
    assert machine.library.builds == 0


def test_a_convolution_that_the_graph_has_in_fp32_is_found_before_the_build(
    builder: Kind, tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    model = onnx.load(tiny_onnx(precision="fp32"))
    lying, phases = with_facts(model, tmp_path / "m.onnx", weights_dtype="float16"), []
    with pytest.raises(ModelError, match=r"convolution \S+ computes in FLOAT and not in FP16"):
        build(lying, of(builder), progress=lambda *step: phases.append(step))
    assert phases == []


def test_inputs_and_outputs_of_other_types_than_stated_are_found_before_the_build(
    builder: Kind, tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    model, phases = onnx.load(tiny_onnx(precision="fp16")), []
    lying = with_facts(model, tmp_path / "lying.onnx", io="uint8")
    with pytest.raises(ModelError, match=r"takes FLOAT and returns FLOAT, .* states io uint8"):
        build(lying, of(builder), progress=lambda *step: phases.append(step))
    (cast,) = (node for node in model.graph.node if node.output[0] == "output")
    (cast.attribute[0].i,) = {onnx.TensorProto.FLOAT16}
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    other = with_facts(model, tmp_path / "other.onnx", io="float32")
    with pytest.raises(ModelError, match=r"takes FLOAT and returns HALF, .* states io float32"):
        build(other, of(builder), progress=lambda *step: phases.append(step))
    assert phases == []


def test_an_engine_that_cannot_be_loaded_after_the_build_is_refused(
    machine: Machine, tiny_onnx: Callable[..., Path]
) -> None:
    machine.library.loads = False
    with pytest.raises(BackendError, match=r"cannot load the engine .*magicTag"):
        build(tiny_onnx(precision="fp16"))
    assert machine.gpu.is_clean


def test_a_profile_that_exceeds_the_gpus_memory_is_refused_with_a_smaller_one(
    machine: Machine, tiny_onnx: Callable[..., Path]
) -> None:
    machine.gpu.total = 1_000_000
    with pytest.raises(OutOfMemoryError, match="smaller --max than 4x64x64"):
        build(tiny_onnx(precision="fp16"))


def test_timings_are_kept_and_merged_and_no_other_file_is_overwritten(
    machine: Machine, tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    model, timings = tiny_onnx(precision="fp16"), tmp_path / "timings"
    build(model, timing_cache=timings)
    measured = set(json.loads(timings.read_bytes())["timings"])
    assert measured

    def another_build_ends(phase: str, done: int, of: int) -> None:
        facts = json.loads(timings.read_bytes())
        timings.write_text(json.dumps(facts | {"timings": ["of another model"]}))

    build(model, timing_cache=timings, progress=another_build_ends)
    assert set(json.loads(timings.read_bytes())["timings"]) == measured | {"of another model"}
    for other in (b"a letter", timings.read_bytes().replace(b"Simulated", b"Other")):
        timings.write_bytes(other)
        with pytest.raises(ArgumentError, match=r"timings: .*timing cache of TensorRT"):
            build(model, timing_cache=timings)
        assert timings.read_bytes() == other
    assert [path.name for path in tmp_path.iterdir()] == ["timings"]


def test_measurements_that_cannot_be_written_in_the_end_cost_no_engine(
    machine: Machine, tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()

    def goes(phase: str, done: int, of: int) -> None:
        if folder.exists():
            folder.rmdir()

    with pytest.warns(RuntimeWarning, match="timings: cannot be written"):
        plan, _ = build(tiny_onnx(precision="fp16"), timing_cache=folder / "timings", progress=goes)
    assert plan


def test_a_timing_cache_that_cannot_be_written_is_refused_before_the_build(
    machine: Machine, tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(ArgumentError, match="does not exist: create it first"):
        build(tiny_onnx(precision="fp16"), timing_cache=tmp_path / "no folder" / "timings")
    assert machine.library.builds == 0


@pytest.mark.parametrize("content", [b"", b"no protobuf at all", b"\x08\x0a"])
def test_a_file_without_our_facts_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "other.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=r"not a readable ONNX model|none of the facts"):
        build(tmp_path / "other.onnx")


@pytest.mark.slow
def test_a_profile_must_fit_the_models_multiple(tiny_onnx: Callable[..., Path]) -> None:
    model = tiny_onnx(precision="fp16", scale_factor=2, unshuffle=2)
    with pytest.raises(ArgumentError, match=r"--min 1x15x15: .* multiples of 2"):
        build(model, BuildOptions(profile=Profile.parse("1x15x15", "1x32x32", "1x64x64")))


def test_a_profile_of_more_values_than_tensorrt_counts_is_refused_with_what_to_take(
    machine: Machine, tiny_onnx: Callable[..., Path]
) -> None:
    profile = Profile.parse("1x64x64", "1x64x64", "8x2300x2300")
    with pytest.raises(BackendError, match=r"exceeds .*: take a smaller --max than 8x2300x2300"):
        build(tiny_onnx(precision="fp16"), BuildOptions(profile=profile))


def test_without_a_driver_or_a_builder_opening_says_so() -> None:
    with (
        simulated(driver=False),
        pytest.raises(BackendError, match="there is no NVIDIA driver"),
    ):
        builder_library("tensorrt")
    with (
        simulated(lean=True),
        pytest.raises(BackendError, match="tensorrt_lean runs engines but cannot build them"),
    ):
        builder_library("tensorrt")


@pytest.mark.parametrize("text", ["", "4x256", "0x64x64", "1x-2x64", "1x64x64x3", "axbxc"])
def test_a_malformed_shape_is_refused(text: str) -> None:
    with pytest.raises(ArgumentError, match="BATCHxHEIGHTxWIDTH"):
        Shape.parse(text)


@pytest.mark.parametrize(
    "shapes",
    [("1x64x64", "4x32x256", "8x512x512"), ("2x64x64", "1x64x64", "8x64x64")],
)
def test_a_profile_out_of_order_is_refused(shapes: tuple[str, str, str]) -> None:
    with pytest.raises(ArgumentError, match=r"--min .*from min over opt to max"):
        Profile.parse(*shapes)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"level": 6}, "level 6 is outside"),
        ({"level": -1}, "level -1 is outside"),
        ({"workspace": 4}, "workspace of 4 bytes is outside"),
        ({"kind": "rtx"}, "kind 'rtx' is none of tensorrt, tensorrt-rtx"),
        ({"hardware_compatible": "all"}, r"'all' is none of none, ampere\+, same"),
        ({"compute_capabilities": "8.6"}, r"'8\.6' are not like \(\"8\.6\", \"8\.9\"\)"),
        ({"compute_capabilities": ("86",)}, r"\('86',\) are not like"),
        ({"compute_capabilities": (8.6,)}, r"\(8\.6,\) are not like"),
    ],
)
def test_an_option_outside_its_range_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        BuildOptions(**{"kind": "tensorrt-rtx"} | options)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_simulation_offers_nothing_that_this_version_lacks(version: str) -> None:
    # These belong to the simulation and not to TensorRT.
    own = {"take", "profile_shapes", "measure", "set_features", "set_flags"}
    with simulated(version):
        import tensorrt

        for name in (
            "Builder",
            "IBuilderConfig",
            "ICudaEngine",
            "IExecutionContext",
            "INetworkDefinition",
            "IOptimizationProfile",
            "ITimingCache",
            "OnnxParser",
            "Runtime",
        ):
            offered = {
                member for kind in getattr(tensorrt, name).__mro__[:-1] for member in vars(kind)
            }
            public = {member for member in offered if not member.startswith("_")} - own
            assert public <= members_of(version, name), name
        assert hasattr(tensorrt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH") == (
            version.startswith("10")
        )

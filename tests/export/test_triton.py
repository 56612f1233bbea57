"""Triton's model repositories: what Triton's own schema says of them, and no version ever lost."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from google.protobuf import text_format
from onnx import TensorProto, helper
from tritonclient.grpc.model_config_pb2 import TYPE_FP32, ModelConfig, ModelInstanceGroup

from sr_export.__main__ import main
from sr_export.triton import add_to_repository
from sr_runtime.backends.engine_file import (
    EngineInfo,
    facts_path,
    read_engine,
    sha256,
    write_engine,
)
from sr_runtime.backends.engine_options import Profile
from sr_runtime.errors import ArgumentError, ModelError
from sr_runtime.model_info import IO, ModelInfo

PLAN = b"a plan, which Triton alone opens"


def config_of(repository: Path, name: str = "sr_x4") -> ModelConfig:
    """Parsed as the server parses it: an unknown or misplaced field raises."""
    return text_format.Parse((repository / name / "config.pbtxt").read_text(), ModelConfig())


def engine(
    folder: Path, *, io: IO = "float32", minimum: str = "1x64x64", maximum: str = "8x512x512"
) -> Path:
    info = ModelInfo(
        arch="RRDBNet", scale=4, in_channels=3, out_channels=3, io=io, weights_dtype="float16"
    )
    path = folder / "model.engine"
    write_engine(
        path,
        PLAN,
        EngineInfo(
            model=info,
            profile=Profile.parse(minimum, "4x256x256", maximum),
            tensorrt="11.4.0.106",
            gpu='A "quoted" GPU',
            compute_capability="9.0",
            version_compatible=False,
            hardware_compatible="none",
            onnx_sha256="0" * 64,
            plan_sha256=sha256(PLAN),
        ),
    )
    return path


def with_facts(source: Path, path: Path, **facts: str) -> Path:
    """The same model, which says something else about itself."""
    model = onnx.load(source)
    for prop in model.metadata_props:
        prop.value = facts.get(prop.key.removeprefix("sr."), prop.value)
    onnx.save(model, path)
    return path


def foreign_onnx(folder: Path, shape: list[str | int], *, type: int = TensorProto.FLOAT) -> Path:
    """Anyone else's ×2 model: nearest-neighbour, with other names than ours and no facts."""
    batch, channels, height, width = shape
    larger = [f"2{side}" if isinstance(side, str) else 2 * side for side in (height, width)]
    scales = helper.make_tensor("scales", TensorProto.FLOAT, [4], [1, 1, 2, 2])
    graph = helper.make_graph(
        [helper.make_node("Resize", ["lr", "", "scales"], ["hr"], mode="nearest")],
        "foreign",
        [helper.make_tensor_value_info("lr", type, [batch, channels, height, width])],
        [helper.make_tensor_value_info("hr", type, [batch, channels, *larger])],
        [scales],
    )
    path = folder / "foreign.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), path)
    return path


def test_an_onnx_file_is_served_with_dynamic_batches_and_its_facts(tiny_onnx, tmp_path) -> None:
    source = tiny_onnx()
    arguments = ["triton", str(source), "-o", str(tmp_path / "models"), "--name", "sr_x4"]
    assert main([*arguments, "--instances", "2", "--max-batch", "6"]) == 0
    assert (tmp_path / "models/sr_x4/1/model.onnx").read_bytes() == source.read_bytes()
    config = config_of(tmp_path / "models")
    assert (config.name, config.backend, config.platform) == ("sr_x4", "onnxruntime", "")
    assert config.max_batch_size == 6
    (read,), (written,) = config.input, config.output
    assert (read.name, list(read.dims)) == ("input", [3, -1, -1])
    assert (written.name, list(written.dims)) == ("output", [3, -1, -1])
    assert read.data_type == written.data_type == TYPE_FP32
    assert config.HasField("dynamic_batching")
    (group,) = config.instance_group
    assert (group.count, group.kind) == (2, ModelInstanceGroup.KIND_AUTO)
    facts = {key: value.string_value for key, value in config.parameters.items()}
    properties = onnx.load(source).metadata_props
    assert facts == {prop.key: prop.value for prop in properties}
    assert facts["sr.scale"] == "4"


@pytest.mark.parametrize("kind", ["onnx", "engine"])
def test_uint8_is_served_as_images_with_one_boolean_each(kind, tiny_onnx, tmp_path) -> None:
    source = tiny_onnx(io="uint8") if kind == "onnx" else engine(tmp_path, io="uint8")
    add_to_repository(source, tmp_path / "models", "sr_x4")
    config = config_of(tmp_path / "models")
    names = [(tensor.name, list(tensor.dims)) for tensor in (*config.input, *config.output)]
    assert names == [("input", [-1, -1, 3]), ("output", [-1, -1, 3]), ("finite", [1])]
    # The model has one dimension there, the batch, and Triton wants one more than that.
    assert config.output[1].HasField("reshape")
    assert list(config.output[1].reshape.shape) == []
    assert not config.output[0].HasField("reshape")


def test_an_engine_is_served_on_gpus_within_its_profile(tmp_path) -> None:
    add_to_repository(engine(tmp_path), tmp_path / "models", "sr_x4")
    assert read_engine(tmp_path / "models/sr_x4/1/model.plan")[0] == PLAN
    config = config_of(tmp_path / "models")
    assert (config.platform, config.max_batch_size) == ("tensorrt_plan", 8)
    assert config.instance_group[0].kind == ModelInstanceGroup.KIND_GPU
    assert config.parameters["sr.max"].string_value == "8x512x512"
    assert config.parameters["sr.gpu"].string_value == 'A "quoted" GPU'


def test_another_version_leaves_the_first_and_what_was_edited(tiny_onnx, tmp_path) -> None:
    first, second = tiny_onnx(), with_facts(tiny_onnx(), tmp_path / "second.onnx", halo="32")
    models = tmp_path / "models"
    add_to_repository(first, models, "sr_x4", instances=3)
    path = models / "sr_x4/config.pbtxt"
    edited = path.read_text().replace(
        "dynamic_batching { }", "dynamic_batching { max_queue_delay_microseconds: 500 }"
    )
    path.write_text(edited + "response_cache { enable: true }\n")
    assert add_to_repository(second, models, "sr_x4", max_batch=2) == models / "sr_x4/2"
    assert (models / "sr_x4/1/model.onnx").read_bytes() == first.read_bytes()
    assert (models / "sr_x4/2/model.onnx").read_bytes() == second.read_bytes()
    config = config_of(models)
    assert config.dynamic_batching.max_queue_delay_microseconds == 500
    assert config.response_cache.enable
    assert (config.max_batch_size, config.instance_group[0].count) == (2, 3)
    properties = {prop.key: prop.value for prop in onnx.load(second).metadata_props}
    assert {key: value.string_value for key, value in config.parameters.items()} == properties
    assert {entry.name for entry in (models / "sr_x4").iterdir()} == {"1", "2", "config.pbtxt"}


def test_versions_can_be_numbered_and_are_never_replaced(tiny_onnx, tmp_path) -> None:
    add_to_repository(tiny_onnx(), tmp_path, "sr_x4", version=20261)
    assert add_to_repository(tiny_onnx(), tmp_path, "sr_x4").name == "20262"
    before = (tmp_path / "sr_x4/config.pbtxt").read_text()
    for taken in (20262, 7):
        with pytest.raises(ArgumentError, match=r"ever replaced.*version 20263"):
            add_to_repository(tiny_onnx(), tmp_path, "sr_x4", version=taken)
    assert (tmp_path / "sr_x4/config.pbtxt").read_text() == before


def test_one_model_has_versions_of_one_kind(tiny_onnx, tmp_path) -> None:
    add_to_repository(tiny_onnx(), tmp_path / "models", "sr_x4")
    for other in (
        engine(tmp_path),
        tiny_onnx(io="uint8"),
        with_facts(tiny_onnx(), tmp_path / "x2.onnx", scale="2"),
    ):
        with pytest.raises(ArgumentError, match=r"another kind of model.*another --name"):
            add_to_repository(other, tmp_path / "models", "sr_x4")
    assert not (tmp_path / "models/sr_x4/2").exists()


def test_a_smaller_engine_needs_a_smaller_batch(tmp_path) -> None:
    models = tmp_path / "models"
    add_to_repository(engine(tmp_path), models, "sr_x4")
    smaller = engine(tmp_path, maximum="4x512x512")
    with pytest.raises(ArgumentError, match=r"8 is more than the 4 .*--max-batch 4"):
        add_to_repository(smaller, models, "sr_x4")
    add_to_repository(smaller, models, "sr_x4", max_batch=4)
    assert config_of(models).max_batch_size == 4


def test_a_model_of_one_size_says_so_and_is_not_batched(tmp_path) -> None:
    add_to_repository(foreign_onnx(tmp_path, [2, 3, 32, 48]), tmp_path / "models", "sr_x4")
    config = config_of(tmp_path / "models")
    assert config.max_batch_size == 0
    assert (config.input[0].name, list(config.input[0].dims)) == ("lr", [2, 3, 32, 48])
    assert (config.output[0].name, list(config.output[0].dims)) == ("hr", [2, 3, 64, 96])
    assert not config.HasField("dynamic_batching")
    with pytest.raises(ArgumentError, match=r"batches of 2: leave --max-batch out"):
        add_to_repository(tmp_path / "foreign.onnx", tmp_path / "models", "other", max_batch=2)


def test_a_model_that_is_not_ours_is_probed(tmp_path) -> None:
    source = foreign_onnx(tmp_path, ["n", 3, "h", "w"])
    add_to_repository(source, tmp_path / "models", "sr_x4")
    config = config_of(tmp_path / "models")
    assert list(config.input[0].dims) == list(config.output[0].dims) == [3, -1, -1]
    assert config.parameters["sr.scale"].string_value == "2"


def test_what_is_no_super_resolution_model_is_refused(tiny_onnx, tmp_path) -> None:
    models = tmp_path / "models"
    with pytest.raises(ModelError, match="channels"):
        add_to_repository(foreign_onnx(tmp_path, ["n", 5, "h", "w"]), models, "sr_x4")
    (tmp_path / "broken.onnx").write_bytes(tiny_onnx().read_bytes()[:1000])
    with pytest.raises(ModelError, match="not a readable ONNX model"):
        add_to_repository(tmp_path / "broken.onnx", models, "sr_x4")
    assert not models.exists()


def test_weights_in_another_file_are_refused_for_triton_would_not_find_them(
    tiny_onnx, tmp_path
) -> None:
    onnx.save(
        onnx.load(tiny_onnx()), tmp_path / "split.onnx", save_as_external_data=True,
        location="weights.bin", size_threshold=0,
    )  # fmt: skip
    with pytest.raises(ModelError, match="put all into one"):
        add_to_repository(tmp_path / "split.onnx", tmp_path / "models", "sr_x4")


def test_an_engine_must_take_single_images_and_be_whole(tmp_path) -> None:
    with pytest.raises(ModelError, match=r"2 images or more.*--min"):
        add_to_repository(engine(tmp_path, minimum="2x64x64"), tmp_path / "models", "sr_x4")
    facts_path(engine(tmp_path)).unlink()
    with pytest.raises(ModelError, match="facts"):
        add_to_repository(tmp_path / "model.engine", tmp_path / "models", "sr_x4")


def _strange_folder(folder: Path) -> None:
    (folder / "models/sr_x4").mkdir(parents=True)
    (folder / "models/sr_x4/holiday.jpg").touch()


def _strange_config(folder: Path) -> None:
    (folder / "models/sr_x4").mkdir(parents=True)
    (folder / "models/sr_x4/config.pbtxt").write_text('backend: "python"\n')


def _file_in_the_way(folder: Path) -> None:
    (folder / "models").write_text("no folder")


@pytest.mark.parametrize(
    ("prepare", "arguments", "says"),
    [
        (None, ["--name", "a/b"], "name 'a/b'"),
        (None, ["--name", ".hidden"], "name '.hidden'"),
        (None, ["--name", ""], "name ''"),
        (None, ["--max-batch", "0"], "max-batch 0 is below 1"),
        (None, ["--instances", "-1"], "instances -1 is below 1"),
        (None, ["--model-version", "0"], "version 0 is below 1"),
        (_strange_folder, [], "no model of a Triton repository"),
        (_strange_config, [], "another kind of model"),
        (_file_in_the_way, [], "is a file"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_everything_as_it_was(
    prepare: Callable[[Path], None] | None, arguments, says, tiny_onnx, tmp_path, capsys
) -> None:
    if prepare is not None:
        prepare(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    command = ["triton", str(tiny_onnx()), "-o", str(tmp_path / "models"), "--name", "sr_x4"]
    assert main([*command, *arguments]) == 2
    said = capsys.readouterr().err.strip()
    assert says in said
    assert "\n" not in said
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["model.pth", "model.onnx"])
def test_a_file_of_another_kind_or_none_at_all_is_named(name, tmp_path, capsys) -> None:
    assert main(["triton", name, "-o", str(tmp_path), "--name", "sr_x4"]) == 2
    assert name in capsys.readouterr().err

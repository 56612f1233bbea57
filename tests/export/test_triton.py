"""Triton's model repositories: what Triton's own schema says of them."""

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper
from tritonclient.grpc.model_config_pb2 import TYPE_FP32, ModelInstanceGroup

from sr_export import triton_repository
from sr_export.__main__ import main
from sr_export.onnx_file import load_onnx
from sr_runtime.backends.tensorrt.engine_file import facts_path, read_engine
from sr_runtime.embedded import model_file
from sr_runtime.errors import ArgumentError, ModelError, StorageError
from tests.export.triton_repository import PLAN, config_of, engine


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
    triton_repository(source, tmp_path / "models", "sr_x4")
    config = config_of(tmp_path / "models")
    names = [(tensor.name, list(tensor.dims)) for tensor in (*config.input, *config.output)]
    assert names == [("input", [-1, -1, 3]), ("output", [-1, -1, 3]), ("finite", [1])]
    # The model has one dimension there, the batch, and Triton wants one more than that.
    assert config.output[1].HasField("reshape")
    assert list(config.output[1].reshape.shape) == []
    assert not config.output[0].HasField("reshape")


def test_an_engine_is_served_on_gpus_within_its_profile(tmp_path) -> None:
    triton_repository(engine(tmp_path), tmp_path / "models", "sr_x4")
    assert read_engine(tmp_path / "models/sr_x4/1/model.plan")[0] == PLAN
    config = config_of(tmp_path / "models")
    assert (config.platform, config.max_batch_size) == ("tensorrt_plan", 8)
    assert config.instance_group[0].kind == ModelInstanceGroup.KIND_GPU
    assert config.parameters["sr.max"].string_value == "8x512x512"
    assert config.parameters["sr.gpu"].string_value == 'A "quoted" GPU'


def test_a_server_that_looks_while_a_model_is_added_refuses_the_unfinished_folder(
    tiny_onnx, tmp_path, monkeypatch
) -> None:
    copy, models, names = shutil.copyfile, tmp_path / "models", {}

    def look_and_copy(source: Path, target: Path) -> None:
        names.update({entry.name: config_of(models, entry.name).name for entry in models.iterdir()})
        copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", look_and_copy)
    triton_repository(tiny_onnx(), models, "sr_x4")
    # Triton leaves a folder alone that has another name than its model.
    ((folder, name),) = names.items()
    assert folder != name


def test_a_disk_that_fills_up_is_reported_and_leaves_nothing(
    tiny_onnx, tmp_path, monkeypatch
) -> None:
    def full(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(StorageError, match=r"sr_x4: cannot be written \(No space left"):
        triton_repository(tiny_onnx(), tmp_path, "sr_x4")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("compatible", [True, False])
def test_the_command_says_how_the_server_is_started(compatible, tmp_path, capsys) -> None:
    source, models = engine(tmp_path, version_compatible=compatible), tmp_path / "all models"
    assert main(["triton", str(source), "-o", str(models), "--name", "sr_x4"]) == 0
    option = " --backend-config=tensorrt,version-compatible=true" if compatible else ""
    start = f"tritonserver --model-repository='{models.resolve()}'{option}\n"
    assert capsys.readouterr().out.endswith(start)


def test_a_model_of_one_size_says_so_and_is_not_batched(tmp_path) -> None:
    triton_repository(foreign_onnx(tmp_path, [2, 3, 32, 48]), tmp_path / "models", "sr_x4")
    config = config_of(tmp_path / "models")
    assert config.max_batch_size == 0
    assert (config.input[0].name, list(config.input[0].dims)) == ("lr", [2, 3, 32, 48])
    assert (config.output[0].name, list(config.output[0].dims)) == ("hr", [2, 3, 64, 96])
    assert not config.HasField("dynamic_batching")
    with pytest.raises(ArgumentError, match=r"batches of 2: leave --max-batch out"):
        triton_repository(tmp_path / "foreign.onnx", tmp_path / "models", "other", max_batch=2)


def test_a_model_that_is_not_ours_is_probed(tmp_path) -> None:
    source = foreign_onnx(tmp_path, ["n", 3, "h", "w"])
    triton_repository(source, tmp_path / "models", "sr_x4")
    config = config_of(tmp_path / "models")
    assert list(config.input[0].dims) == list(config.output[0].dims) == [3, -1, -1]
    assert config.parameters["sr.scale"].string_value == "2"


def test_what_is_no_super_resolution_model_is_refused(tiny_onnx, tmp_path) -> None:
    models = tmp_path / "models"
    with pytest.raises(ModelError, match=r"foreign\.onnx: .*channels"):
        triton_repository(foreign_onnx(tmp_path, ["n", 5, "h", "w"]), models, "sr_x4")
    (tmp_path / "broken.onnx").write_bytes(tiny_onnx().read_bytes()[:1000])
    with pytest.raises(ModelError, match="not a readable ONNX model"):
        triton_repository(tmp_path / "broken.onnx", models, "sr_x4")
    headless = onnx.load(tiny_onnx())
    del headless.graph.output[:]
    onnx.save(headless, tmp_path / "headless.onnx")
    with pytest.raises(ModelError, match="1 inputs and 0 outputs"):
        triton_repository(tmp_path / "headless.onnx", models, "sr_x4")
    assert not models.exists()


def test_weights_in_another_file_are_refused_since_triton_would_not_find_them(
    tiny_onnx, tmp_path
) -> None:
    onnx.save(
        onnx.load(tiny_onnx()), tmp_path / "split.onnx", save_as_external_data=True,
        location="weights.bin", size_threshold=0,
    )  # fmt: skip
    with pytest.raises(ModelError, match=r"one_file\.onnx"):
        triton_repository(tmp_path / "split.onnx", tmp_path / "models", "sr_x4")


def test_an_engine_must_take_single_images_and_be_whole(tmp_path) -> None:
    with pytest.raises(ModelError, match=r"2 images.*--min"):
        triton_repository(engine(tmp_path, minimum="2x64x64"), tmp_path / "models", "sr_x4")
    facts_path(engine(tmp_path)).unlink()
    with pytest.raises(
        ModelError, match=r"model\.engine: its facts, model\.engine\.json, are not beside it"
    ):
        triton_repository(tmp_path / "model.engine", tmp_path / "models", "sr_x4")


def _strange_folder(folder: Path) -> None:
    (folder / "models/sr_x4").mkdir(parents=True)
    (folder / "models/sr_x4/holiday.jpg").touch()


def _no_config(folder: Path) -> None:
    (folder / "models/sr_x4/1").mkdir(parents=True)


def _strange_config(folder: Path) -> None:
    (folder / "models/sr_x4").mkdir(parents=True)
    (folder / "models/sr_x4/config.pbtxt").write_text('backend: "python"\n')


def _file_in_the_way(folder: Path) -> None:
    (folder / "models").write_text("no folder")


def _file_of_the_name(folder: Path) -> None:
    (folder / "models").mkdir()
    (folder / "models/sr_x4").touch()


@pytest.mark.parametrize(
    ("prepare", "arguments", "says"),
    [
        (None, ["--name", "a/b"], "name 'a/b'"),
        (None, ["--name", ".hidden"], "name '.hidden'"),
        (None, ["--name", ""], "--name: is empty"),
        (None, ["--name", "a..b"], "name 'a..b'"),
        (None, ["--max-batch", "0"], "--max-batch 0 is not from 1 to 2147483647"),
        (None, ["--max-batch", "2147483648"], "--max-batch 2147483648 is not from 1 to 2147483647"),
        (None, ["--instances", "-1"], "--instances -1 is not from 1 to 2147483647"),
        (None, ["--instances", "99999999999"], "--instances 99999999999 is not from 1 to"),
        (_strange_folder, [], "sr_x4/config.pbtxt: this is missing"),
        (_no_config, [], "sr_x4/config.pbtxt: this is missing"),
        (_strange_config, [], """it has backend: "python" where this model needs"""),
        (_file_in_the_way, [], "models: this is a file, and a folder is needed"),
        (_file_of_the_name, [], "sr_x4: this is a file, and a folder is needed"),
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
    assert f"error: {name}: there is no such model file" in capsys.readouterr().err


def test_what_the_system_refuses_to_read_is_a_storage_error(tiny_onnx, tmp_path) -> None:
    too_long = tmp_path / ("long" * 100)
    with pytest.raises(StorageError, match="longlong: cannot be read"):
        triton_repository(tiny_onnx(), too_long, "sr_x4")
    with pytest.raises(StorageError, match="cannot be read"):
        load_onnx(tmp_path)


def test_an_embedded_model_is_served_by_its_name(tmp_path, capsys) -> None:
    assert main(["triton", "esrgan", "-o", str(tmp_path), "--name", "sr_x4"]) == 0
    written = tmp_path / "sr_x4/1/model.onnx"
    assert written.read_bytes() == model_file("esrgan").read_bytes()

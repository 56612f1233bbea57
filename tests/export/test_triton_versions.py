"""One more version of a model in Triton's repository: none is lost, nor what was edited by hand."""

import onnx
import pytest

from sr_export.triton import add_to_repository
from sr_runtime.errors import ArgumentError
from tests.export.triton_repository import config_of, edit, engine, with_facts


def test_another_version_leaves_the_first_and_what_was_edited(tiny_onnx, tmp_path) -> None:
    first, second = tiny_onnx(), with_facts(tiny_onnx(), tmp_path / "second.onnx", halo="32")
    models = tmp_path / "models"
    add_to_repository(first, models, "sr_x4", instances=3)
    edit(
        models, "dynamic_batching { }",
        "dynamic_batching { max_queue_delay_microseconds: 500 }\nresponse_cache { enable: true }",
    )  # fmt: skip
    assert add_to_repository(second, models, "sr_x4", max_batch=2).folder == models / "sr_x4/2"
    assert (models / "sr_x4/1/model.onnx").read_bytes() == first.read_bytes()
    assert (models / "sr_x4/2/model.onnx").read_bytes() == second.read_bytes()
    config = config_of(models)
    assert config.dynamic_batching.max_queue_delay_microseconds == 500
    assert config.response_cache.enable
    assert (config.max_batch_size, config.instance_group[0].count) == (2, 3)
    properties = {prop.key: prop.value for prop in onnx.load(second).metadata_props}
    assert {key: value.string_value for key, value in config.parameters.items()} == properties
    assert {entry.name for entry in (models / "sr_x4").iterdir()} == {"1", "2", "config.pbtxt"}


def test_a_number_is_renewed_within_a_line_that_was_edited(tiny_onnx, tmp_path) -> None:
    add_to_repository(tiny_onnx(), tmp_path, "sr_x4")
    edit(tmp_path, "count: 1", "name: 'first' count: 1 kind: KIND_GPU gpus: [ 1 ]")
    edit(tmp_path, "max_batch_size: 4", "max_batch_size: 4  # measured")
    add_to_repository(tiny_onnx(), tmp_path, "sr_x4")
    add_to_repository(tiny_onnx(), tmp_path, "sr_x4", instances=3, max_batch=5)
    config = config_of(tmp_path)
    (group,) = config.instance_group
    assert (group.name, group.count, list(group.gpus)) == ("first", 3, [1])
    assert config.max_batch_size == 5
    assert "# measured" in (tmp_path / "sr_x4/config.pbtxt").read_text()


def test_facts_with_odd_line_breaks_are_renewed_too(tiny_onnx, tmp_path) -> None:
    source = with_facts(tiny_onnx(), tmp_path / "odd.onnx", arch="one\u2028two\x85three\x0bfour")
    for _ in range(2):
        add_to_repository(source, tmp_path / "models", "sr_x4")
        facts = config_of(tmp_path / "models").parameters
        assert facts["sr.arch"].string_value == "one\u2028two\x85three\x0bfour"


def test_the_next_number_is_taken_and_no_version_replaced(tiny_onnx, tmp_path) -> None:
    source = tiny_onnx()
    add_to_repository(source, tmp_path, "sr_x4")
    (tmp_path / "sr_x4/20261").mkdir()
    assert add_to_repository(source, tmp_path, "sr_x4").folder.name == "20262"
    (tmp_path / f"sr_x4/{2**63 - 2}").mkdir()
    assert add_to_repository(source, tmp_path, "sr_x4").folder.name == str(2**63 - 1)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ArgumentError, match=rf"{2**63 - 1}.*another --name"):
        add_to_repository(source, tmp_path, "sr_x4")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "stated",
    [
        "preferred_batch_size: [ 2, 6 ]",
        "preferred_batch_size: [ 2,\n  6 ]",
        "preferred_batch_size: 2 preferred_batch_size: 6",
    ],
)
def test_batches_are_not_made_smaller_than_those_preferred_by_hand(
    stated, tiny_onnx, tmp_path
) -> None:
    add_to_repository(tiny_onnx(), tmp_path, "sr_x4", max_batch=8)
    edit(tmp_path, "dynamic_batching { }", f"dynamic_batching {{ {stated} }}  # not 16")
    add_to_repository(tiny_onnx(), tmp_path, "sr_x4", max_batch=6)
    with pytest.raises(ArgumentError, match=r"5 is less than the preferred_batch_size 6 .*first"):
        add_to_repository(tiny_onnx(), tmp_path, "sr_x4", max_batch=5)
    assert not (tmp_path / "sr_x4/3").exists()


@pytest.mark.parametrize(
    ("old", "new", "options", "says"),
    [
        ("input {", "input {\n ", {}, r"no line 'input \{ name: \"input\".*write it so"),
        ('backend: "onnxruntime"\n', "", {}, r"no line 'backend: \"onnxruntime\"'.*write it so"),
        ("max_batch_size: 4", "", {}, r"0 lines like 'max_batch_size: 4'"),
        ("max_batch_size: 4", "max_batch_size: four", {}, r"0 lines like 'max_batch_size: 4'"),
        ("batch_size: 4", f"batch_size: {'4' * 5000}", {}, r"0 lines like 'max_batch_size: 4'"),
        ("instance_group {", "instance_group {\n", {"instances": 2}, "0 lines like 'instance_gr"),
    ],
)
def test_a_line_that_is_not_found_is_named(old, new, options, says, tiny_onnx, tmp_path) -> None:
    add_to_repository(tiny_onnx(), tmp_path, "sr_x4")
    edit(tmp_path, old, new)
    before = (tmp_path / "sr_x4/config.pbtxt").read_text()
    with pytest.raises(ArgumentError, match=says):
        add_to_repository(tiny_onnx(), tmp_path, "sr_x4", **options)
    assert (tmp_path / "sr_x4/config.pbtxt").read_text() == before
    assert not (tmp_path / "sr_x4/2").exists()


def test_a_model_without_an_output_that_the_versions_before_have_is_another_kind(
    tiny_onnx, tmp_path
) -> None:
    add_to_repository(tiny_onnx(), tmp_path, "sr_x4")
    more = 'output { name: "confidence" data_type: TYPE_FP32 dims: [ 1, -1, -1 ] }'
    edit(tmp_path, "output {", f"{more}\noutput {{")
    with pytest.raises(ArgumentError, match=r"another kind.*confidence"):
        add_to_repository(tiny_onnx(), tmp_path, "sr_x4")


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

"""One more version of a model in Triton's repository: nothing that is there is changed."""

from pathlib import Path

import pytest

from sr_export import triton_repository
from sr_runtime.errors import ArgumentError
from tests.export.triton_repository import config_of, edit, engine, with_facts


def content(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def test_another_version_leaves_every_file_that_was_there(tiny_onnx, tmp_path) -> None:
    first, second = tiny_onnx(), with_facts(tiny_onnx(), tmp_path / "second.onnx", halo="32")
    models = tmp_path / "models"
    triton_repository(first, models, "sr_x4", instances=3, max_batch=6)
    edit(
        models, "dynamic_batching { }",
        "dynamic_batching { max_queue_delay_microseconds: 500 }\nresponse_cache { enable: true }",
    )  # fmt: skip
    edit(models, "max_batch_size: 6", "max_batch_size: 5")
    before = content(models)
    assert triton_repository(second, models, "sr_x4").folder == models / "sr_x4/2"
    version = {models / "sr_x4/2": None, models / "sr_x4/2/model.onnx": second.read_bytes()}
    assert content(models) == before | version
    config = config_of(models)
    assert config.response_cache.enable
    assert (config.max_batch_size, config.instance_group[0].count) == (5, 3)


def test_facts_with_odd_line_breaks_are_served(tiny_onnx, tmp_path) -> None:
    source = with_facts(tiny_onnx(), tmp_path / "odd.onnx", arch="one\u2028two\x85three\x0bfour")
    for _ in range(2):
        triton_repository(source, tmp_path / "models", "sr_x4")
        facts = config_of(tmp_path / "models").parameters
        assert facts["sr.arch"].string_value == "one\u2028two\x85three\x0bfour"


def test_the_next_number_is_taken_and_no_version_replaced(tiny_onnx, tmp_path) -> None:
    source = tiny_onnx()
    triton_repository(source, tmp_path, "sr_x4")
    (tmp_path / "sr_x4/20261").mkdir()  # by a copy that was cut short, for instance
    assert triton_repository(source, tmp_path, "sr_x4").folder.name == "20262"
    assert (tmp_path / "sr_x4/1/model.onnx").read_bytes() == source.read_bytes()


@pytest.mark.parametrize("options", [{"instances": 2}, {"max_batch": 2}])
def test_numbers_are_for_a_new_name(options, tiny_onnx, tmp_path) -> None:
    triton_repository(tiny_onnx(), tmp_path, "sr_x4")
    before = content(tmp_path)
    with pytest.raises(ArgumentError, match=r"--\S+ 2 .*edit config\.pbtxt.*another --name"):
        triton_repository(tiny_onnx(), tmp_path, "sr_x4", **options)
    assert content(tmp_path) == before


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("input {", "input {\n ", r'input \{ where .* needs input \{ name: "input"'),
        ('backend: "onnxruntime"\n', "", r'no more where .* needs backend: "onnxruntime"'),
        ("output {", 'output { name: "mask" }\noutput {', r'"mask" \} where .* needs nothing'),
        ("max_batch_size: 4", "", r"no more where .* needs max_batch_size: 4"),
        ("batch_size: 4", f"batch_size: {'4' * 5000}", "needs max_batch_size: 4"),
        ('"sr.scale"', '"scale"', r'no more where .* needs parameters \{ key: "sr\.scale"'),
    ],
)
def test_an_edit_of_what_all_versions_share_is_shown(old, new, says, tiny_onnx, tmp_path) -> None:
    triton_repository(tiny_onnx(), tmp_path, "sr_x4")
    edit(tmp_path, old, new)
    before = content(tmp_path)
    with pytest.raises(ArgumentError, match=f"config.pbtxt: it has .*{says}.*another --name"):
        triton_repository(tiny_onnx(), tmp_path, "sr_x4")
    assert content(tmp_path) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("other", "has", "needs"),
    [
        ("engine", 'backend: "onnxruntime"', 'platform: "tensorrt_plan"'),
        ("uint8", r"TYPE_FP32 dims: \[ 3, -1, -1 \]", r"TYPE_UINT8 dims: \[ -1, -1, 3 \]"),
        ("gray", r"dims: \[ 3, -1, -1 \]", r"dims: \[ 1, -1, -1 \]"),
        ("scale", r'"sr\.scale" value \{ string_value: "4"', 'string_value: "2"'),
        ("io", r'"sr\.io" value \{ string_value: "float32"', 'string_value: "uint8"'),
    ],
)
def test_one_model_has_versions_of_one_kind(other, has, needs, tiny_onnx, tmp_path) -> None:
    models = tmp_path / "models"
    triton_repository(tiny_onnx(), models, "sr_x4")
    model = {
        "engine": lambda: engine(tmp_path),
        "uint8": lambda: tiny_onnx(io="uint8"),
        "gray": lambda: tiny_onnx(img_channels=1),
        "scale": lambda: with_facts(tiny_onnx(), tmp_path / "x2.onnx", scale="2"),
        "io": lambda: with_facts(tiny_onnx(), tmp_path / "io.onnx", io="uint8"),
    }[other]()
    before = content(models)
    with pytest.raises(ArgumentError, match=f"{has}.* where this model needs .*{needs}.* --name"):
        triton_repository(model, models, "sr_x4")
    assert content(models) == before


def test_a_smaller_engine_needs_a_smaller_batch(tmp_path) -> None:
    models = tmp_path / "models"
    triton_repository(engine(tmp_path), models, "sr_x4")
    smaller = engine(tmp_path, maximum="4x512x512")
    with pytest.raises(ArgumentError, match=r"_size: 8 where .* needs max_batch_size: 4.* --name"):
        triton_repository(smaller, models, "sr_x4")
    with pytest.raises(ArgumentError, match=r"--max-batch 8 is more than the 4 .*larger --max"):
        triton_repository(smaller, models, "other", max_batch=8)
    edit(models, "max_batch_size: 8", "max_batch_size: 4")
    assert triton_repository(smaller, models, "sr_x4").folder.name == "2"

"""`sr_export card`: a model card of what the file states, and a program that works as it stands."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import PIL.Image
import pytest
import yaml

import sr_runtime
from sr_export import model_card
from sr_export.__main__ import main
from sr_runtime.errors import ModelError
from sr_runtime.model_info import ModelInfo
from tests.runtime.foreign_models import nearest, node, save


def parts(card: str) -> tuple[dict[str, object], dict[str, str]]:
    """The metadata in front, and the sections by their headings."""
    empty, front, text = card.split("---\n", 2)
    assert empty == ""
    first, *sections = text.split("\n## ")
    return yaml.safe_load(front), {"": first} | dict(part.split("\n", 1) for part in sections)


def example(card: str) -> str:
    return re.search("```python\n(.*?)```", card, re.DOTALL)[1]


def test_the_card_states_what_the_file_does_and_lists_the_rest(
    tiny_onnx: Callable[..., Path],
) -> None:
    card = model_card(tiny_onnx(precision="fp16"))
    metadata, sections = parts(card)
    assert metadata["license"] is None
    assert metadata["pipeline_tag"] == "image-to-image"
    assert metadata["library_name"] == "onnx"
    assert {"super-resolution", "onnx", "rrdbnet"} <= {*metadata["tags"]}
    facts = dict(re.findall(r"^\| (.+?) \| (.+) \|$", sections[""], re.MULTILINE))
    assert facts["enlarges"].startswith("4 times")
    assert facts["weights"] == "FP16"
    assert facts["input"] == "`input`, float32, ?×3×?×? (NCHW), 0 to 1"
    assert facts["tiles"].startswith("overlap by 16 pixels")
    assert facts["written by"] == f"sr-toolkit {sr_runtime.__version__}"
    assert facts["ONNX operator set"] == "18"
    assert "fill this in" in card
    assert "45 dB" in sections["Compared with its checkpoint"]
    missing = sections["Not stated"]
    assert "- its licence" in missing
    assert "measured" in missing
    assert "weights_sha256" not in missing


BLOCKS = [
    node("SpaceToDepth", "x", "d", blocksize=4),  # refuses what is not a multiple of 4
    node("DepthToSpace", "d", "whole", blocksize=4),
    nearest("whole", "y"),
]


@pytest.mark.parametrize(
    ("shape", "facts", "size"),
    [
        ([1, 3, "h", "w"], {}, (18, 21)),
        ([1, 1, "h", "w"], {"in_channels": 1, "out_channels": 1}, (18, 21)),
        ([1, 3, "h", "w"], {"multiple_of": 4}, (18, 21)),
        ([1, 3, "h", "w"], {"multiple_of": 4, "min_side": 22}, (18, 21)),
        ([1, 3, 8, 12], {}, (12, 8)),
        (["n", "h", "w", 3], {"io": "uint8"}, (18, 21)),
        (["n", "h", "w", 1], {"io": "uint8", "in_channels": 1, "out_channels": 1}, (18, 21)),
    ],
)
def test_the_example_enlarges_an_image(
    shape: list[int | str],
    facts: dict[str, Any],
    size: tuple[int, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    info = ModelInfo(
        **{"arch": "Nearest", "scale": 2, "in_channels": 3, "out_channels": 3, "io": "float32",
           "weights_dtype": "float32"} | facts
    )  # fmt: skip
    pixels_last = nearest("x", "y", "twice_last")
    nodes = BLOCKS if info.multiple_of == 4 else [nearest("x", "y")]
    file = save(Path("it's a model.onnx"), [pixels_last] if info.io == "uint8" else nodes, shape)
    model = onnx.load(file)
    if info.io == "uint8":
        model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
        model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    onnx.helper.set_model_props(model, info.to_metadata())
    onnx.save(model, file)
    photo = np.random.default_rng(0).integers(0, 256, (21, 18, 3), np.uint8)
    image = PIL.Image.fromarray(photo).convert("L" if info.in_channels == 1 else "RGB")
    image.save("photo.png")

    card = model_card(file)
    assert ("12×8 pixels only" in card) == (size == (12, 8))
    code = example(card).replace("photo.jpg", "photo.png")
    names: dict[str, Any] = {}
    exec(compile(code, "the card", "exec"), names)

    assert min(names["pixels"].shape[:2]) >= info.min_side
    wanted = np.asarray(image)[: size[1], : size[0]].repeat(2, axis=0).repeat(2, axis=1)
    with PIL.Image.open("photo_x2.png") as large:
        np.testing.assert_array_equal(np.asarray(large), wanted)


@pytest.mark.parametrize(
    "shape", [[3, "h", "w"], [2, 3, "h", "w"], [1, 3, 8, "w"], [1, 3, "h", 12]]
)
def test_there_is_no_example_for_a_file_that_does_not_take_one_image_of_any_or_one_size(
    shape: list[int | str], tmp_path: Path
) -> None:
    facts = {"arch": "Nearest", "scale": 2, "in_channels": 3, "out_channels": 3, "io": "float32"}
    model = onnx.load(save(tmp_path / "m.onnx", [nearest("x", "y")], shape))
    info = ModelInfo(**facts, weights_dtype="float32")
    onnx.helper.set_model_props(model, info.to_metadata())
    onnx.save(model, tmp_path / "m.onnx")
    card = model_card(tmp_path / "m.onnx")
    assert "sr_runtime upscale" in card
    assert "```python" not in card


@pytest.mark.parametrize("io", ["float32", "uint8"])
def test_the_example_runs_what_is_exported(
    io: str, tiny_onnx: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "tiny.onnx"
    model.write_bytes(tiny_onnx(precision="fp16", io=io).read_bytes())
    pixels = np.random.default_rng(0).integers(0, 256, (21, 18, 3), np.uint8)
    PIL.Image.fromarray(pixels).save("photo.png")
    exec(example(model_card(model)).replace("photo.jpg", "photo.png"), {})
    with sr_runtime.load(model, backend="onnxruntime", device="cpu", precision="fp32") as upscaler:
        wanted = upscaler.upscale(pixels).astype(int)
    with PIL.Image.open("photo_x4.png") as large:
        assert np.abs(np.asarray(large) - wanted).max() <= 1


def test_a_licence_in_the_file_is_stated(tiny_onnx: Callable[..., Path], tmp_path: Path) -> None:
    model = onnx.load(tiny_onnx())
    metadata = {prop.key: prop.value for prop in model.metadata_props}
    for licence, stated in (
        ("CC-BY-4.0", {"license": "cc-by-4.0"}),
        (
            'My "own": terms 1.0',
            {"license": "other", "license_name": "my-own-terms-1.0", "license_link": "LICENSE"},
        ),
        ("Proprietary", {"license": "other", "license_name": "proprietary"}),
        ("非商用", {"license": "other", "license_name": None}),
    ):
        onnx.helper.set_model_props(model, metadata | {"license": licence})
        onnx.save(model, tmp_path / "model.onnx")
        front, sections = parts(model_card(tmp_path / "model.onnx"))
        assert {name: front[name] for name in stated} == stated
        assert f"| licence | {licence} |" in sections[""]
        assert "licence" not in sections["Not stated"]


def test_the_card_of_an_embedded_model_has_its_licence() -> None:
    front, sections = parts(model_card("esrgan"))
    assert front["license"] == "other"
    assert front["license_name"] == "sr-toolkit-weights-non-commercial"
    assert front["license_link"] == "LICENSE"
    assert "tile_error" in sections["Not stated"]  # an older file, which has the default


def test_of_a_file_without_facts_little_is_said(tmp_path: Path) -> None:
    model = save(tmp_path / "theirs.onnx", [nearest("x", "y")])
    card = model_card(model)
    _, sections = parts(card)
    assert "ONNX operator set | 17" in sections[""]
    assert "`x`, float32, 1×3×?×?" in sections[""]
    assert "enlarges" not in card
    assert "scale" in sections["Not stated"]
    assert "```python" not in card


def test_texts_in_the_file_stay_texts(tiny_onnx: Callable[..., Path], tmp_path: Path) -> None:
    model = onnx.load(tiny_onnx())
    metadata = {prop.key: prop.value for prop in model.metadata_props}
    wild = "x` | [a](http://b) <b>\n---\n# c"
    onnx.helper.set_model_props(model, metadata | {"sr.arch": wild, "license": wild})
    model.producer_name = wild
    onnx.save(model, tmp_path / "model.onnx")
    front, sections = parts(model_card(tmp_path / "model.onnx"))
    assert front["pipeline_tag"] == "image-to-image"
    rows = [line for line in sections[""].splitlines() if line.startswith("|")]
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 3 for row in rows)
    assert r"\[a\]\(http" in sections[""]


@pytest.mark.parametrize(
    ("arch", "tags"),
    [("-", []), ("", []), ("1.0", []), ("A B", ["a-b"]), ("超解像 (x4)", ["超解像-x4"])],
)
def test_the_tags_are_texts(
    arch: str, tags: list[str], tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    model = onnx.load(tiny_onnx())
    metadata = {prop.key: prop.value for prop in model.metadata_props}
    onnx.helper.set_model_props(model, metadata | {"sr.arch": arch})
    onnx.save(model, tmp_path / "model.onnx")
    front, _ = parts(model_card(tmp_path / "model.onnx"))
    assert front["tags"] == ["super-resolution", "image-upscaling", "onnx", *tags]


@pytest.mark.slow
def test_what_is_measured_now_is_in_the_card(
    checkpoint: Path, tiny_onnx: Callable[..., Path], tmp_path: Path, capsys
) -> None:
    target = tmp_path / "README.md"
    words = ["card", str(tiny_onnx()), "--checkpoint", str(checkpoint), "-o", str(target)]
    assert main(words) == 0
    assert "Not stated" in capsys.readouterr().out
    _, sections = parts(target.read_text("utf-8"))
    assert "at most 0.0001" in sections["Compared with its checkpoint"]
    assert "measured" not in sections["Not stated"]


def test_without_an_output_the_card_is_printed(tiny_onnx: Callable[..., Path], capsys) -> None:
    model = tiny_onnx()
    assert main(["card", str(model)]) == 0
    assert capsys.readouterr().out == model_card(model)


def test_the_model_is_never_overwritten(tiny_onnx: Callable[..., Path], capsys) -> None:
    model = tiny_onnx()
    before = model.read_bytes()
    assert main(["card", str(model), "-o", str(model)]) == 2
    assert model.read_bytes() == before
    assert str(model) in capsys.readouterr().err


@pytest.mark.parametrize("name", ["model.engine", "model.onnx"])
def test_a_card_is_for_onnx_files(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"ftrt" + bytes(100))
    with pytest.raises(ModelError, match="engine"):
        model_card(tmp_path / name)

"""`sr_export onnx … --install`: a verified file in the user's folder of models, or nothing."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from sr_export.__main__ import main
from sr_export.install import place_for
from sr_runtime.__main__ import main as sr_runtime
from sr_runtime.embedded import model_file
from sr_runtime.errors import ArgumentError, StorageError
from sr_train.checkpoint import save_generator
from sr_train.models.compact import SRVGGNetCompact
from tests.conftest import tiny_generator

TYPES = {"precision": "fp32", "io": "float32", "scale": None, "activation": None}


@pytest.fixture
def folder(own_models: Path) -> Path:
    own_models.mkdir()
    return own_models


@pytest.mark.slow
def test_an_export_is_installed_and_used_by_its_name(tmp_path, own_models, capsys) -> None:
    checkpoint = tmp_path / "4x small.safetensors"
    save_generator(SRVGGNetCompact(num_features=1, num_convolutions=0), checkpoint)
    assert main(["onnx", str(checkpoint), "--install"]) == 0
    assert "upscale photo.jpg -m '4x small'" in capsys.readouterr().out.splitlines()[-1]
    assert model_file("4x small") == own_models / "4x small.onnx"
    again = tmp_path / "again.onnx"
    assert main(["onnx", str(checkpoint), "--install", "4x small", "-o", str(again)]) == 0
    assert again.read_bytes() == model_file("4x small").read_bytes()
    assert sr_runtime(["models"]) == 0
    assert re.search("^4x small +folder ", capsys.readouterr().out, re.MULTILINE)
    assert [path.name for path in own_models.iterdir()] == ["4x small.onnx"]


def test_the_folder_is_made(checkpoint: Path, own_models: Path) -> None:
    assert place_for("rrdb", checkpoint, **TYPES) == own_models / "rrdb.onnx"
    assert own_models.is_dir()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nobody is kept out")
def test_a_folder_that_cannot_be_written_is_told_before_the_export(
    folder: Path, checkpoint: Path
) -> None:
    folder.chmod(0o500)
    with pytest.raises(StorageError):
        place_for("rrdb", checkpoint, **TYPES)


def test_the_same_weights_in_the_same_types_take_the_place_of_an_earlier_export(
    folder: Path, checkpoint: Path, tiny_onnx: Callable[..., Path]
) -> None:
    place = folder / "rrdb.onnx"
    place.write_bytes(tiny_onnx().read_bytes())
    assert place_for("rrdb", checkpoint, **TYPES) == place
    for other in ({"precision": "fp16"}, {"io": "uint8"}):
        with pytest.raises(ArgumentError, match=r"another model .* delete it, or choose"):
            place_for("rrdb", checkpoint, **TYPES | other)


@pytest.mark.parametrize("content", ["another model", "no model", "a folder", "a dangling link"])
def test_whatever_else_has_the_name_stays(
    content: str, folder: Path, checkpoint: Path, tiny_onnx: Callable[..., Path]
) -> None:
    place = folder / "rrdb.onnx"
    match content:
        case "another model":
            place.write_bytes(tiny_onnx(scale_factor=2).read_bytes())
        case "no model":
            place.write_text("no model")
        case "a folder":
            place.mkdir()
        case "a dangling link":
            try:
                place.symlink_to("nowhere")
            except OSError as error:
                pytest.skip(f"no links here: {error}")
    with pytest.raises(ArgumentError, match="another model"):
        place_for("rrdb", checkpoint, **TYPES)


@pytest.mark.parametrize("name", ["esrgan", "PSNR", "a/b", "con", "-x", "net.onnx", "a" * 300, " "])
def test_a_name_that_no_model_can_have_is_refused_before_the_work(
    name: str, checkpoint: Path, own_models: Path, capsys
) -> None:
    assert main(["onnx", str(checkpoint), f"--install={name}"]) == 2
    said = capsys.readouterr()
    assert not said.out
    assert "--install" in said.err
    assert not own_models.exists()


def test_names_that_differ_in_case_alone_are_one_file_on_some_systems(
    folder: Path, checkpoint: Path
) -> None:
    (folder / "Straße.onnx").touch()
    for name in ("STRASSE", "strasse"):
        with pytest.raises(ArgumentError, match="on some systems"):
            place_for(name, checkpoint, **TYPES)


def test_a_file_in_place_of_the_folder_is_told(checkpoint: Path, own_models: Path) -> None:
    own_models.write_text("no folder")
    with pytest.raises(StorageError, match="set SR_MODELS"):
        place_for("rrdb", checkpoint, **TYPES)


def test_without_an_output_the_name_is_the_checkpoints(own_models: Path, tmp_path, capsys) -> None:
    save_generator(tiny_generator(), tmp_path / "ESRGAN.pth")
    assert main(["onnx", str(tmp_path / "ESRGAN.pth"), "--install"]) == 2
    assert "'ESRGAN' is the name of a model of the package" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["onnx", "a.pth"], "-o MODEL.onnx is missing"),
        (["onnx", "--install", "a.pth"], "write it before --install, which takes the word after"),
    ],
)
def test_what_is_missing_is_told(words: list[str], said: str, capsys) -> None:
    assert main(words) == 2
    assert said in capsys.readouterr().err

"""`python -m sr_runtime models`: what the package and the user's folder have, by their files."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from sr_runtime.__main__ import main
from sr_runtime.backends import protobuf
from sr_runtime.backends.onnx_header import read_header
from sr_runtime.embedded import EMBEDDED, FOLDER
from sr_runtime.errors import ModelError


@pytest.fixture
def models(
    own_models: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., list[dict[str, Any]]]:
    """The lines of `models --json` about the user's folder."""
    own_models.mkdir()

    def listed() -> list[dict[str, Any]]:
        assert main(["models", "--json"]) == 0
        said = capsys.readouterr()
        assert not said.err
        lines = [json.loads(line) for line in said.out.splitlines()]
        assert [line["name"] for line in lines[: len(EMBEDDED)]] == [*EMBEDDED]
        return lines[len(EMBEDDED) :]

    return listed


def test_the_models_of_the_package_come_with_their_facts_and_licence(
    capsys: pytest.CaptureFixture[str], own_models: Path
) -> None:
    assert main(["models"]) == 0
    said = capsys.readouterr().out
    lines = said.splitlines()
    for line, name in zip(lines[1:], EMBEDDED, strict=False):
        assert line.split()[:6] == [name, "package", "×4", "RGB", "fp16", "float32"]
        assert "non-commercial" in line
    assert str(own_models) in lines[-1]
    assert "--install" in lines[-1]


def test_an_exported_model_has_all_facts(models, own_models: Path, tiny_onnx) -> None:
    shutil.copy(tiny_onnx(precision="fp16", io="uint8"), own_models / "my model.onnx")
    (line,) = models()
    assert line["error"] is None
    assert line["file"] == str(own_models / "my model.onnx")
    known = ("name", "from", "scale", "in_channels", "weights_dtype", "io", "arch", "halo")
    assert [line[fact] for fact in known] == [
        "my model", "folder", 4, 3, "float16", "uint8", "RRDBNet", 16,
    ]  # fmt: skip
    assert line["producer"].startswith("sr-toolkit ")
    assert line["licence"] is None


def test_the_table_says_of_each_file_what_is_known(own_models: Path, tiny_onnx, capsys) -> None:
    own_models.mkdir()
    model = onnx.load(tiny_onnx())
    facts = {prop.key: prop.value for prop in model.metadata_props}
    onnx.helper.set_model_props(model, facts | {"sr.in_channels": "1", "sr.out_channels": "1"})
    onnx.save(model, own_models / "gray.onnx")
    (own_models / "broken.onnx").write_bytes((own_models / "gray.onnx").read_bytes()[:5000])
    (own_models / "notes.txt").write_text("no model")
    (own_models / ".hidden.onnx").write_text("no model")
    assert main(["models"]) == 0
    *table, _, end = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line for line in table}
    assert [*rows] == ["name", *EMBEDDED, "broken", "gray"]
    assert "not a readable ONNX model" in rows["broken"]
    assert rows["gray"].split()[2:4] == ["×4", "gray"]
    assert "not stated" in rows["gray"]
    assert str(own_models) in end


def test_a_file_of_another_program_says_who_wrote_it_and_its_licence(
    models, own_models: Path, tiny_onnx, capsys
) -> None:
    model = onnx.load(tiny_onnx())
    del model.metadata_props[:]
    model.producer_name, model.producer_version = "pytorch", "2.1"
    onnx.helper.set_model_props(model, {"modelspec.license": "CC-BY-4.0"})
    onnx.save(model, own_models / "theirs.onnx")
    (line,) = models()
    assert (line["producer"], line["licence"], line["scale"]) == ("pytorch 2.1", "CC-BY-4.0", None)
    assert main(["models"]) == 0
    assert "info theirs" in capsys.readouterr().out


def spoil(folder: Path, good: bytes) -> dict[str, str]:
    """Files that cannot be used, and a word of what is said of each."""
    contents = {
        "empty.onnx": (b"", "empty file"),
        "cut.onnx": (good[: len(good) // 2], "not a readable ONNX model"),
        "page.onnx": (b"<!doctype html><html>", "web page"),
        "zeros.onnx": (bytes(100), "zeros"),
        "facts.onnx": (good.replace(b"sr.scale\x12\x014", b"sr.scale\x12\x01x"), "sr.* metadata"),
        "psnr.onnx": (good, "rename"),
        "a.pth.onnx": (good, "rename"),
        "nul.onnx": (good, "rename"),
        "large.ONNX": (good, "rename"),
        "card.engine": (b"ftrt", "by its path"),
        "net.pth": (b"PK\3\4archive/data.pkl", "export it first"),
    }
    for name, (content, _) in contents.items():
        (folder / name).write_bytes(content)
    (folder / "folder.onnx").mkdir()
    expected = {name.removesuffix(".onnx"): said for name, (_, said) in contents.items()}
    return expected | {"folder": "folder"}


@pytest.mark.skipif(os.name == "nt", reason="Windows refuses some of the names")
def test_what_cannot_be_used_is_one_line_with_the_reason(
    models, own_models: Path, tiny_onnx
) -> None:
    good = tiny_onnx().read_bytes()
    expected = spoil(own_models, good)
    os.mkfifo(own_models / "pipe.onnx")
    (own_models / "link.onnx").symlink_to("nowhere")
    expected |= {"pipe": "pipe", "link": "leads to no file"}
    found = {line["name"]: line for line in models()}
    assert found.keys() == expected.keys()
    for name, said in expected.items():
        assert said in found[name]["error"], name
        assert found[name]["scale"] is None


def test_a_name_cannot_forge_a_line(own_models: Path, tiny_onnx, capsys) -> None:
    own_models.mkdir()
    try:
        shutil.copy(tiny_onnx(), own_models / "a\nesrgan  free.onnx")
    except OSError as error:
        pytest.skip(f"no such names here: {error}")
    assert main(["models"]) == 0
    assert sum(line.startswith("esrgan") for line in capsys.readouterr().out.splitlines()) == 1


def test_a_folder_that_is_a_file_is_an_error(own_models: Path, capsys) -> None:
    own_models.write_text("no folder")
    assert main(["models"]) == 2
    assert "SR_MODELS" in capsys.readouterr().err


def test_the_weights_are_not_read(tiny_onnx, monkeypatch: pytest.MonkeyPatch) -> None:
    read, real = [], protobuf.fields

    def fields(message):
        read.append(len(message))
        return real(message)

    monkeypatch.setattr(protobuf, "fields", fields)
    header = read_header(FOLDER / "esrgan.onnx")
    assert header.opset is not None
    assert header.info is not None
    assert sum(read) < 10_000  # of a million and a half


def test_a_message_without_a_graph_is_no_model(tmp_path: Path) -> None:
    file = tmp_path / "no.onnx"
    for content in (b"", protobuf.message((1, 8)), b"\x08\x08\x12\xff\xff\xff\xff\x0f"):
        file.write_bytes(content)
        with pytest.raises(ModelError, match="not a readable ONNX model"):
            read_header(file)


def test_facts_of_many_megabytes_are_refused_unread(tmp_path: Path, tiny_onnx) -> None:
    file = tmp_path / "large.onnx"
    file.write_bytes(tiny_onnx().read_bytes() + protobuf.message((14, bytes(2 << 20))))
    with pytest.raises(ModelError, match="not a readable ONNX model"):
        read_header(file)

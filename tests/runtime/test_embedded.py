"""The models that come with the package: opened by name, and refused if damaged."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import sr_runtime
from sr_runtime import ModelError, embedded
from sr_runtime.__main__ import main
from sr_runtime.embedded import BLENDS, DEFAULT, EMBEDDED, FOLDER
from sr_runtime.printable import listed


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the embedded models that a test may damage, used instead of the package's."""
    copy = Path(shutil.copytree(FOLDER, tmp_path / "models"))
    monkeypatch.setattr(embedded, "FOLDER", copy)
    return copy


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.mark.parametrize("name", EMBEDDED)
def test_an_embedded_model_is_opened_by_its_name(name: str) -> None:
    with sr_runtime.load(name) as upscaler:
        info = upscaler.info
    assert (info.scale, info.in_channels, info.io) == (4, 3, "float32")
    assert info.weights_dtype == "float16"
    assert info.measured == ()


def test_without_a_name_the_default_is_opened() -> None:
    with sr_runtime.load() as default, sr_runtime.load(DEFAULT) as named:
        assert default.info == named.info


def test_every_model_has_one_partner_to_blend_with() -> None:
    assert sorted(name for ends in BLENDS for name in ends) == sorted(EMBEDDED)


def test_the_models_are_small_and_come_with_their_card_and_licence() -> None:
    sizes = [(FOLDER / f"{name}.onnx").stat().st_size for name in EMBEDDED]
    assert max(sizes) <= 3e6
    assert sum(sizes) <= 10e6
    assert {"README.md", "LICENSE"} <= {file.name for file in FOLDER.iterdir()}


def test_a_photo_is_upscaled_without_naming_a_model(photo: Path) -> None:
    assert main(["upscale", str(photo), "-q"]) == 0
    with PIL.Image.open(photo.with_name("photo_x4.png")) as large:
        assert large.size == (160, 120)


def test_the_command_line_takes_the_names(photo: Path) -> None:
    results = []
    for name in EMBEDDED:
        target = photo.with_name(f"by_{name}.png")
        assert main(["upscale", str(photo), "-q", "-m", name, "-o", str(target)]) == 0
        results.append(target.read_bytes())
    assert len({*results}) == len(EMBEDDED)


@pytest.mark.slow
def test_info_prints_the_facts_of_an_embedded_model() -> None:
    # In a process of its own: where much memory was taken before, only large tiles can be measured.
    command = [sys.executable, "-m", "sr_runtime", "info", "psnr"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert str(FOLDER / "psnr.onnx") in said


def test_a_path_with_the_name_of_an_embedded_model_is_the_users_file(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("psnr").write_text("no model")
    for mine in (Path("psnr"), "./psnr"):
        with pytest.raises(ModelError, match="not a readable ONNX model"):
            sr_runtime.load(mine)


@pytest.mark.parametrize("name", EMBEDDED)
def test_a_damaged_model_is_named_and_never_run(name: str, folder: Path) -> None:
    file = folder / f"{name}.onnx"
    whole = bytearray(file.read_bytes())
    whole[len(whole) // 2] ^= 1
    file.write_bytes(whole)
    with pytest.raises(ModelError, match="damaged") as raised:
        sr_runtime.load(name)
    assert str(file) in str(raised.value)
    assert "reinstall" in str(raised.value)


def test_a_missing_model_is_named_and_the_others_still_work(folder: Path, photo, capsys) -> None:
    (folder / "esrgan.onnx").unlink()
    assert main(["upscale", str(photo), "-m", "esrgan"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert str(folder / "esrgan.onnx") in line
    assert "reinstall" in line
    sr_runtime.load("psnr").close()


@pytest.mark.parametrize(
    ("typo", "meant"),
    [("esrgn", "esrgan"), ("esgran", "esrgan"), ("ESRGAN", "esrgan"), ("psrn", "psnr")],
)
def test_a_mistyped_name_is_answered_with_the_nearest(typo: str, meant: str) -> None:
    with pytest.raises(ModelError, match=rf"^{typo}: .*did you mean {meant}\?.*{listed(EMBEDDED)}"):
        sr_runtime.load(typo)


@pytest.mark.parametrize("model", ["./esrgn", "esrgn.onnx", Path("esrgn"), "rrdb"])
def test_a_path_or_another_name_gets_no_guess(model: str | Path) -> None:
    with pytest.raises(ModelError, match=rf"^[^?]*carries {listed(EMBEDDED)}$"):
        sr_runtime.load(model)


def test_the_command_line_names_the_models_after_a_typo(photo: Path, capsys) -> None:
    assert main(["upscale", str(photo), "-m", "esgran"]) == 2
    assert f"the package carries {listed(EMBEDDED)}" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no FIFOs")
def test_a_pipe_or_a_device_is_no_model_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.onnx")
    for model in (tmp_path / "model.onnx", Path("/dev/zero")):
        with pytest.raises(ModelError, match=r"regular file.*pipe or a device"):
            sr_runtime.load(model)

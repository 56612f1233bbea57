"""`python -m sr_runtime info`: this machine, and a model on it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import PIL.Image
import pytest

from sr_runtime import OutOfMemoryError, Upscaler
from sr_runtime.__main__ import main
from sr_runtime.cli.info import running_rows
from sr_runtime.model_info import ModelInfo
from tests.runtime.foreign_models import nearest, save
from tests.runtime.known_network import KnownNetwork
from tests.simulated_tensorrt import simulated


def test_info_releases_the_gpu_when_inference_fails(monkeypatch) -> None:
    class Failing(KnownNetwork):
        device = "cuda:0"

        def answer(self, batch: np.ndarray) -> np.ndarray:
            raise OutOfMemoryError("the GPU is full")

    with simulated() as machine:
        with pytest.raises(OutOfMemoryError, match="the GPU is full"):
            running_rows(Upscaler(Failing(radius=1)))
        assert machine.gpus[0].retained == 0


@pytest.mark.slow
def test_info_prints_the_facts_and_the_engines(tiny_onnx) -> None:
    # Wide enough, and in a process of its own, so that memory is seen to grow.
    model = str(tiny_onnx(rrdb_channels=64, growth_channels=32))
    command = [sys.executable, "-m", "sr_runtime", "info", model]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for word in ("openvino", "onnxruntime", "RRDBNet", "halo", "weights_sha256", "GB (measured"):
        assert word in said


@pytest.mark.parametrize("wrong", ["{photo}", "nowhere.onnx"])
def test_info_tells_of_a_wrong_model_before_all_else(wrong, tmp_path, capsys) -> None:
    photo = tmp_path / "photo.png"
    PIL.Image.new("RGB", (40, 30)).save(photo)
    assert main(["info", wrong.format(photo=photo)]) == 2
    assert not capsys.readouterr().out


@pytest.mark.parametrize(
    ("sides", "said"),
    [
        ([8, 12], "of 12×8 pixels only"),
        ([8, "w"], "8 pixels high and no other"),
        (["h", 12], "12 pixels wide and no other"),
    ],
)
def test_info_tells_the_only_size_that_a_file_takes(
    sides: list[int | str], said: str, tmp_path: Path, capsys
) -> None:
    facts = {"arch": "Nearest", "scale": 2, "in_channels": 3, "out_channels": 3, "io": "float32"}
    info = ModelInfo(**facts, weights_dtype="float32", halo=2)
    file = save(tmp_path / "m.onnx", [nearest("x", "y")], [1, 3, *sides])
    model = onnx.load(file)
    onnx.helper.set_model_props(model, info.to_metadata())
    onnx.save(model, file)
    assert main(["info", str(file), "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert f"RGB, {said}" in printed
    assert "any size" not in printed


def test_info_without_a_model_prints_the_engines(capsys) -> None:
    assert main(["info"]) == 0
    assert "openvino" in capsys.readouterr().out

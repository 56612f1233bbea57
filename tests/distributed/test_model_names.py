"""A model's name means the same on every machine: that of the head's folder, by its path."""

import shutil
from pathlib import Path

import pytest

from sr_runtime.distributed.commands import parser
from sr_runtime.distributed.upscale import _settings


def test_workers_get_the_path_of_a_model_that_was_named(
    own_models: Path, tiny_onnx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own_models.mkdir()
    shutil.copy(tiny_onnx(), own_models / "mine.onnx")
    wanted = {
        "psnr": "psnr",
        "mine": str(own_models / "mine.onnx"),
        "theirs.onnx": str(tmp_path / "theirs.onnx"),
    }
    for model, sent in wanted.items():
        arguments = parser().parse_args(["upscale", "a.png", "-m", model])
        assert _settings(arguments).load["model"] == sent

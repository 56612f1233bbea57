"""`python -m benchmarks.engine_build`, with the real TensorRT for RTX, which builds anywhere."""

import re
import sys

import pytest

from benchmarks.engine_build import main

pytestmark = pytest.mark.slow


def test_an_engine_that_was_built_is_told_with_its_seconds_and_size(tiny_onnx, capsys) -> None:
    rtx = pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")
    model = tiny_onnx(precision="fp16")
    assert main(["--model", str(model)]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{model.stem}, profile to 4x512x512, TensorRT for RTX ")
    assert rtx.__version__ in said
    assert re.search(r": \d+ s, \d+ MB\n$", said)


def test_without_the_library_there_is_one_sentence(tiny_onnx, capsys, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)  # importing it fails
    assert main(["--model", str(tiny_onnx(precision="fp16"))]) == 2
    assert "sr-toolkit[rtx]" in capsys.readouterr().err

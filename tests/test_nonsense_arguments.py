"""Nonsense for every argument of every command: one sentence, exit code 2, and nothing written."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from sr_export.__main__ import main as sr_export
from sr_runtime.__main__ import main as sr_runtime
from sr_train.__main__ import main as sr_train
from sr_train.checkpoint import save_generator
from tests.conftest import tiny_generator

PROGRAMS = {"upscale": sr_runtime, "info": sr_runtime, "onnx": sr_export, "engine": sr_export,
            "triton": sr_export, "verify": sr_export, "card": sr_export}  # fmt: skip

NUMBERS = ("", "x", "nan", "1e999", "9" * 5000)
WHOLE = (*NUMBERS, "1.5", "-1", "0")
WORDS = ("", "no such word", "a\nb\u202e", "\udcff", "auto " * 500)
INPUTS = ("", "missing", "n" * 300, "a\nb\udcff.png", "{empty}")
OUTPUTS = ("", "{folder}/missing/out{suffix}", "n" * 300 + "{suffix}", "{text}/out{suffix}")

# For each command: a line that works, and the nonsense that takes the place of each argument.
TABLE: dict[str, tuple[str, dict[str, tuple[str, ...]]]] = {
    "upscale": (
        "upscale -q {photo} -m {model} -o {folder}/new.jpg",
        {
            "{photo}": (*INPUTS, "{text}", "{model}", "[z]*.png"),
            "{model}": (*INPUTS, "{text}", "{photo}", "{checkpoint}", "{folder}", "psrn"),
            "{folder}/new.jpg": (*OUTPUTS, "{photo}", "new.xyz"),
            "--scale": (*NUMBERS, "0", "-1", "65"),
            "--width": (*WHOLE, "999999999999999999", "100000"),
            "--height": (*WHOLE, "999999999999999999", "100000"),
            "--format": (*WORDS, "png", "PNG"),
            "--name": ("", "{{x}}", "a/b", "{{", "{{stem}}"),
            "--blend": (*NUMBERS, "-0.1", "1.1"),
            "--tileable": ("", "z", "X"),
            "--quality": (*WHOLE, "101"),
            "--max-pixels": (*WHOLE, "1"),
            "--backend": (*WORDS, "plugin:", "plugin:x", "tensorrt"),
            "--device": (*WORDS, "cuda:-1", "cuda:99999999999999999999", "cpu,cpu", ",", "cuda:"),
            "--precision": (*WORDS, "fp8", "FP32"),
            "--tile": (*NUMBERS, "1", "99999999", "exact"),
            "--halo": (*NUMBERS, "-1", "none"),
        },
    ),
    "info": (
        "info {model}",
        {
            "{model}": (*INPUTS, "{text}", "{photo}", "{checkpoint}"),
            "--device": WORDS,
            "--tile": ("0",),
        },
    ),
    "onnx": (
        "onnx {checkpoint} -o {folder}/new.onnx",
        {
            "{checkpoint}": (*INPUTS, "{text}", "{photo}", "{model}", "{folder}"),
            "{folder}/new.onnx": (*OUTPUTS, "{checkpoint}", "{folder}"),
            "--scale": (*WHOLE, "3", "99"),
            "--precision": (*WORDS, "fp8"),
            "--io": WORDS,
            "--opset": (*WHOLE, "17", "26", "999999999"),
            "--calibrate": (*INPUTS, "{text}"),
            "--install": ("", "a/b", "n" * 300, "a\nb", "\udcff", "esrgan", "nul", "{model}"),
        },
    ),
    "card": (
        "card {model} -o {folder}/new.md",
        {
            "{model}": (*INPUTS, "{text}", "{photo}", "{checkpoint}", "{folder}"),
            "{folder}/new.md": (*OUTPUTS, "{model}", "{folder}"),
            "--checkpoint": (*INPUTS, "{text}", "{photo}", "{model}"),
            "--scale": WHOLE,
        },
    ),
    "engine": (
        "engine {model} -o {folder}/new.engine",
        {
            "{model}": (*INPUTS, "{text}", "{photo}", "{folder}"),
            "{folder}/new.engine": (*OUTPUTS, "{model}", "{folder}"),
            "--for": WORDS,
            "--device": (*WORDS, "cuda:99999999999999999999"),
            "--workspace": (*NUMBERS, "-1G", "1X", "1" * 400 + "G"),
            "--io": WORDS,
            "--scale": WHOLE,
            "--min": (
                "",
                "x",
                "1x2",
                "0x8x8",
                "-1x8x8",
                "1x" + "9" * 5000 + "x8",
                "2x16x16x16",
                "½x8x8",
            ),
            "--opt": ("", "1x1x1", "9x99999x99999"),
            "--max": ("", "1x1x1", "x" * 5000),
            "--sm": (*WORDS, "75", "-1", "9" * 5000),
            "--level": (*WHOLE[:-1], "6"),
            "--timing-cache": ("", "{folder}", "{folder}/missing/cache"),
            "--hardware-compatible": WORDS,
        },
    ),
    "triton": (
        "triton {model} -o {folder}/repository --name net",
        {
            "{model}": (*INPUTS, "{text}", "{photo}", "{folder}"),
            "{folder}/repository": ("", "{text}", "{text}/x"),
            "net": ("", "a/b", "..", "a\nb", "n" * 300, "\udcff", " "),
            "--instances": WHOLE,
            "--max-batch": WHOLE,
        },
    ),
    "verify": (
        "verify {checkpoint} {model}",
        {
            "{checkpoint}": (*INPUTS, "{text}", "{photo}", "{model}", "{folder}"),
            "{model}": (*INPUTS, "{text}", "{photo}", "{checkpoint}", "{folder}"),
            "--scale": (*WHOLE, "3"),
            "--backend": (*WORDS, "tensorrt"),
        },
    ),
    "prepare": (
        "prepare {folder}/own --root {folder}/root --jobs 1",
        {
            "{folder}/own": (*INPUTS, "{text}", "set5:", "div3k"),
            "{folder}/root": ("", "{text}", "{text}/x"),
            "--from": (*INPUTS, "{text}"),
            "--scale": WHOLE,
            "1": WHOLE,
        },
    ),
    "evaluate": (
        "evaluate {checkpoint} --data {folder}/own --no-lpips --json {folder}/table.json",
        {
            "{checkpoint}": (*INPUTS, "{text}", "{photo}", "{folder}"),
            "{folder}/own": (*INPUTS, "{text}", "set5"),
            "{folder}/table.json": ("", "{folder}", "{folder}/missing/t.json", "{text}/t.json"),
            "--root": ("",),
            "--device": (*WORDS, "cuda:99", "tpu", "meta"),
            "--precision": WORDS,
            "--scale": (*WHOLE, "3"),
        },
    ),
    "interpolate": (
        "interpolate {checkpoint} {checkpoint} -o {folder}/new.pth",
        {
            "{checkpoint}": (*INPUTS, "{text}", "{photo}", "{model}"),
            "{folder}/new.pth": (*OUTPUTS, "{checkpoint}", "{folder}", "new.onnx", "new"),
            "--alpha": (*NUMBERS, "-0.1", "1.1"),
        },
    ),
    "average": (
        "average {checkpoint} -o {folder}/new.pth",
        {
            "{checkpoint}": (*INPUTS, "{text}", "{photo}", "{model}"),
            "{folder}/new.pth": (*OUTPUTS, "{checkpoint}", "{folder}", "new.onnx", "new"),
        },
    ),
    "convert": (
        "convert {checkpoint} -o {folder}/new.pth",
        {
            "{checkpoint}": (*INPUTS, "{text}", "{photo}", "{model}"),
            "{folder}/new.pth": (*OUTPUTS, "{checkpoint}", "{folder}", "new.onnx", "new"),
            "--scale": (*WHOLE, "3"),
        },
    ),
    "fit": (
        "fit --run {folder}/run --preset tiny",
        {
            "{folder}/run": ("", "{text}", "{text}/x", "n" * 300),
            "tiny": WORDS,
            "--config": (*INPUTS, "{photo}", "{folder}"),
            "--resume": ("", "missing", "{folder}", "{text}", "n" * 300),
            "--init": (*INPUTS, "{text}", "{photo}", "{folder}"),
            "--data_root": ("", "missing"),
            "--seed": ("", "x", "nan", "9" * 5000, "-1", "1.5"),
            "--batch_size": (*WHOLE, "1e9"),
            "--pretraining.lr": (*NUMBERS, "0", "-1"),
            "--device": WORDS,
        },
    ),
}


def cases() -> Iterator[tuple[str, str, str]]:
    for command, (_, arguments) in TABLE.items():
        for argument, values in arguments.items():
            for value in values:
                yield command, argument, value


@pytest.fixture(scope="session")
def places(
    tmp_path_factory: pytest.TempPathFactory, tiny_onnx: Callable[..., Path]
) -> dict[str, str]:
    """Files of every kind by their names in the table, in a folder that stays as it is."""
    folder = tmp_path_factory.mktemp("nonsense")
    photo = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8))
    (folder / "own").mkdir()
    (folder / "empty").mkdir()
    for name in ("photo.png", "own/a.png"):
        photo.save(folder / name)
    (folder / "text.txt").write_text("no picture, no model")
    (folder / "model.onnx").write_bytes(tiny_onnx(precision="fp16").read_bytes())
    save_generator(tiny_generator(), folder / "net.pth")
    return {
        "folder": str(folder), "photo": str(folder / "photo.png"), "text": str(folder / "text.txt"),
        "empty": str(folder / "empty"), "model": str(folder / "model.onnx"),
        "checkpoint": str(folder / "net.pth"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("command", "argument", "value"), list(cases()), ids=lambda text: ascii(text)[1:40]
)
def test_nonsense_is_one_sentence_and_writes_nothing(
    command, argument, value, places, capsys, monkeypatch
) -> None:
    monkeypatch.chdir(places["folder"])
    base, _ = TABLE[command]
    names = places | {"suffix": Path(base.split()[-1]).suffix}
    nonsense = value.format(**names)
    line = [nonsense if word == argument else word.format(**names) for word in base.split()]
    if argument.startswith("--"):
        line += [f"{argument}={nonsense}"]
    before = sorted(os.walk(places["folder"]))
    code = PROGRAMS.get(command, sr_train)(line)
    said = capsys.readouterr()
    assert code == 2, said.err
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert len(said.err) < 1300
    assert "Traceback" not in said.err
    assert sorted(os.walk(places["folder"])) == before

"""`sr_export engine`: what is built, compared and written."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest

from sr_export import Profile, build_engine
from sr_export.__main__ import main
from sr_runtime.backends.tensorrt.engine_file import read_engine, rebuild_command
from sr_runtime.errors import BackendError
from sr_runtime.model_info import ModelInfo
from sr_train.checkpoint import weights_sha256
from tests.conftest import tiny_generator
from tests.export.test_engine_mistakes import fixed_size_onnx
from tests.simulated_tensorrt import VERSIONS, Machine, simulated

# The command as typed, but with shapes that a CPU computes in no time.
SHAPES = ["--min", "1x32x32", "--opt", "2x48x48", "--max", "4x64x96"]


@pytest.fixture
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """One GPU and the newest TensorRT, or that of the parameter."""
    with simulated(getattr(request, "param", VERSIONS[-1])) as machine:
        yield machine


@pytest.mark.slow
@pytest.mark.parametrize(
    ("machine", "io"),
    list(zip(VERSIONS, ("float32", "uint8"), strict=True)),
    indirect=["machine"],
)
def test_a_checkpoint_becomes_a_verified_engine_with_its_facts(
    io, machine: Machine, checkpoint, tmp_path, capsys
) -> None:
    target = tmp_path / "model.engine"
    arguments = ["engine", str(checkpoint), "-o", str(target), *SHAPES, "--io", io]
    assert main([*arguments, "--workspace", "4G", "--level", "1", "--version-compatible"]) == 0
    said = capsys.readouterr()
    assert "engine against fp32, 2×64×64: PSNR" in said.out
    assert "FAILED" not in said.out
    assert "building the engine … " in said.out
    assert "\r" not in said.out  # it is not a terminal
    _, info = read_engine(target)
    generator = tiny_generator()
    assert info.model == ModelInfo(
        arch="RRDBNet",
        scale=4,
        in_channels=3,
        out_channels=3,
        io=io,
        weights_dtype="float16",
        halo=info.model.halo,
        receptive_radius=generator.receptive_radius,
        weights_sha256=weights_sha256(generator),
    )
    assert str(info.profile) == " ".join(SHAPES)
    assert info.version_compatible
    again = " ".join([*SHAPES, "--workspace 4294967296 --level 1 --version-compatible"])
    assert rebuild_command(info).endswith(again)
    assert {path.name for path in tmp_path.iterdir()} == {
        checkpoint.name,
        "model.engine",
        "model.engine.json",
    }
    assert machine.gpu.is_clean


@pytest.mark.slow
@pytest.mark.parametrize("machine", VERSIONS, indirect=True)
def test_an_fp16_onnx_file_becomes_an_engine_and_timings_are_kept(
    machine: Machine, tiny_onnx, tmp_path, capsys
) -> None:
    source, target, timings = tiny_onnx(precision="fp16"), tmp_path / "m.plan", tmp_path / "timings"
    arguments = ["engine", str(source), "-o", str(target), *SHAPES, "--timing-cache", str(timings)]
    assert main(arguments) == 0
    assert "FAILED" not in capsys.readouterr().out
    assert timings.stat().st_size > 0
    assert json.loads((tmp_path / "m.plan.json").read_text())["halo"] == 16


@pytest.mark.slow
def test_an_engine_for_larger_tiles_than_the_photos_is_verified_too(
    machine: Machine, tiny_onnx, tmp_path
) -> None:
    shapes = ["--min", "3x32x288", "--opt", "3x32x288", "--max", "3x48x288"]
    source = tiny_onnx(precision="fp16")
    assert main(["engine", str(source), "-o", str(tmp_path / "m.engine"), *shapes]) == 0


@pytest.mark.slow
def test_an_engine_is_built_and_verified_on_the_device_that_was_asked_for(
    tiny_onnx, tmp_path
) -> None:
    profile, used = Profile.parse("1x32x32", "2x48x48", "4x64x96"), []
    with simulated(gpus=2) as machine:
        for number, gpu in enumerate(machine.gpus):
            gpu.name, gpu.at_work = f"GPU {number}", partial(used.append, number)
        report = build_engine(
            tiny_onnx(precision="fp16"), tmp_path / "m.engine", profile=profile, device="cuda:1"
        )
    assert report.info.gpu == "GPU 1"
    assert set(used) == {1}


def test_a_device_that_is_not_there_is_an_error_before_any_work(
    machine: Machine, checkpoint, tmp_path
) -> None:
    stages: dict[str, float] = {}
    with pytest.raises(BackendError, match=r"cuda:7.*cuda:0"):
        build_engine(
            checkpoint, tmp_path / "m.engine", device="cuda:7", progress=stages.__setitem__
        )
    assert stages == {"checking the model": 0.0}


def test_an_engine_that_computes_something_else_is_not_written(
    machine: Machine, tiny_onnx, tmp_path, capsys, monkeypatch
) -> None:
    from sr_runtime.backends.tensorrt.backend import TensorRTBackend

    submit = TensorRTBackend.submit
    monkeypatch.setattr(  # as if a kernel read one row too far
        TensorRTBackend, "submit", lambda self, batch: submit(self, np.roll(batch, 1, axis=2))
    )
    target = tmp_path / "m.engine"
    target.write_text("the engine of yesterday")
    assert main(["engine", str(tiny_onnx(precision="fp16")), "-o", str(target), *SHAPES]) == 2
    said = capsys.readouterr().err
    assert "engine against fp32, 2×64×64: PSNR, dB is" in said
    assert "build with another --level" in said
    assert [path.name for path in tmp_path.iterdir()] == ["m.engine"]
    assert target.read_text() == "the engine of yesterday"


def test_an_onnx_file_that_lies_about_its_scale_is_found_before_the_build(
    machine: Machine, tiny_onnx, tmp_path, capsys
) -> None:
    model = onnx.load(tiny_onnx(precision="fp16"))
    for entry in model.metadata_props:
        if entry.key == "sr.scale":
            entry.value = "2"
    onnx.save(model, tmp_path / "lying.onnx")
    command = ["engine", str(tmp_path / "lying.onnx"), "-o", str(tmp_path / "m.engine"), *SHAPES]
    assert main(command) == 2
    assert "scale of 2" in capsys.readouterr().err
    assert machine.library.builds == 0


@pytest.mark.slow
def test_half_that_overflows_is_found_before_the_build(
    machine: Machine, hot_checkpoint, tmp_path, capsys
) -> None:
    target = tmp_path / "hot.engine"
    assert main(["engine", str(hot_checkpoint), "-o", str(target), *SHAPES]) == 2
    assert "it is in conv_hr: export with --precision fp32" in capsys.readouterr().err
    assert machine.library.builds == 0
    assert [path.name for path in tmp_path.iterdir()] == ["hot.safetensors"]


# The first line: a shell starts a process in the background with SIGINT ignored.
LONG_BUILD = """
import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)
from sr_export.__main__ import main
from tests.simulated_tensorrt import simulated
with simulated() as machine:
    machine.library.steps, machine.library.step_seconds = 10_000, 0.01
    code = main(sys.argv[1:])
    assert machine.gpu.is_clean
    assert machine.library.builds == 0
sys.exit(code)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_build_and_leaves_nothing(number, tiny_onnx, tmp_path) -> None:
    model, target = tiny_onnx(precision="fp16"), tmp_path / "engines" / "m.engine"
    target.parent.mkdir()
    terminal, output = os.openpty()  # where the share that is done is shown
    with subprocess.Popen(
        [sys.executable, "-c", LONG_BUILD, "engine", str(model), "-o", str(target), *SHAPES],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"PYTHONFAULTHANDLER": "1", "TMPDIR": str(tmp_path)},
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        os.close(output)
        before = b""
        while b"building the engine \xe2\x80\xa6 1%" not in before:
            before += os.read(terminal, 1024)
        process.send_signal(number)
        _, after = process.communicate()
    os.close(terminal)
    assert (process.returncode, after.splitlines()[-1:]) == (128 + number, ["interrupted"]), before
    assert list(target.parent.iterdir()) == []
    assert list(tmp_path.glob("tmp*")) == []


@pytest.mark.parametrize("here", [{"driver": False}, {"lean": True}, {"gpus": 0}])
def test_without_a_builder_or_a_gpu_one_sentence_says_what_is_missing(
    here, tiny_onnx, tmp_path, capsys
) -> None:
    source, target = tiny_onnx(precision="fp16"), tmp_path / "m.engine"
    with simulated(VERSIONS[-1], **here):
        assert main(["engine", str(source), "-o", str(target), *SHAPES]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("error: ")
    assert "\n" not in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_file_of_one_size_becomes_an_engine_of_that_size(tmp_path, machine) -> None:
    target, shapes = tmp_path / "m.engine", [f"--{name}=1x96x96" for name in ("min", "opt", "max")]
    assert main(["engine", str(fixed_size_onnx(tmp_path)), "-o", str(target), *shapes]) == 0
    assert read_engine(target)[1].profile.max == (1, 96, 96)


@pytest.mark.slow
def test_a_checkpoint_whose_file_has_one_size_is_told_which_shapes_to_give(
    machine, checkpoint, tmp_path, monkeypatch, capsys
) -> None:
    """Such as a network whose windows PyTorch cannot trace for any size."""
    monkeypatch.setattr("sr_export.to_onnx.tile_sizes", lambda *_: (96,))
    assert main(["engine", str(checkpoint), "-o", str(tmp_path / "m.engine"), *SHAPES]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith(f"error: {checkpoint}: the model does not take {' '.join(SHAPES)}: give")
    assert said.endswith("give --min 1x96x96 --opt 1x96x96 --max 1x96x96")

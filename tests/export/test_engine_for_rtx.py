"""`sr_export engine --for rtx`: engines that the real TensorRT for RTX builds.

The GPUs are simulated: there is none, or one that cannot run the engine.
"""

import errno
import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import onnx
import pytest
import torch

from sr_export import Profile, build_engine, triton_repository
from sr_export.__main__ import main
from sr_export.to_onnx import onnx_from_generator
from sr_runtime.backends.tensorrt.engine_file import EngineInfo, read_engine, rebuild_command
from sr_runtime.backends.tensorrt.options import cards_text, parse_sm
from sr_runtime.errors import ArgumentError, ModelError
from sr_train.checkpoint import save_generator
from tests.conftest import tiny_generator
from tests.simulated_tensorrt import simulated

trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")

SHAPES = ["--min", "1x32x32", "--opt", "2x48x48", "--max", "4x64x96"]
PROFILE = Profile.parse("1x32x32", "2x48x48", "4x64x96")
NEWER_THAN_TURING = ("8.0", "8.6", "8.9", "12.0", "12.1")


@pytest.fixture(autouse=True)
def no_gpu() -> Iterator[None]:
    with simulated(None, rtx=True, driver=False):
        yield


@pytest.mark.slow
def test_a_checkpoint_becomes_an_engine_on_a_machine_without_a_gpu(tmp_path, capsys) -> None:
    checkpoint, target = tmp_path / "tiny.safetensors", tmp_path / "m.engine"
    save_generator(tiny_generator(), checkpoint)
    arguments = ["engine", str(checkpoint), "-o", str(target), "--for", "rtx", *SHAPES]
    assert main([*arguments, "--io", "uint8", "--workspace", "1G"]) == 0
    said = capsys.readouterr().out
    assert "FAILED" not in said
    assert "true half against fp32: PSNR" in said
    assert "not run: the engine itself, only its graph was verified: there is no NVIDIA dr" in said
    assert f"for TensorRT for RTX {trt.__version__} on A100 and A30 (8.0); GeForce RTX 30" in said
    assert said.count("building the engine …") == 1
    _, info = read_engine(target)
    assert (info.kind, info.tensorrt) == ("tensorrt-rtx", trt.__version__)
    assert info.compute_capabilities == NEWER_THAN_TURING
    assert (info.gpu, info.compute_capability) == (None, None)
    assert (info.model.io, str(info.profile)) == ("uint8", " ".join(SHAPES))
    again = " ".join([*SHAPES, "--for rtx --sm 80,86,89,120,121 --workspace 1073741824"])
    assert rebuild_command(info).endswith(again)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {checkpoint.name, "m.engine", "m.engine.json"}


@pytest.mark.slow
def test_an_onnx_file_is_verified_in_true_half(tiny_onnx, tmp_path) -> None:
    source, target = tiny_onnx(precision="fp16"), tmp_path / "m.engine"
    report = build_engine(
        source, target, kind="tensorrt-rtx", compute_capabilities=("8.9", "7.5"), profile=PROFILE
    )
    assert [check.name for check in report.checks] == [
        "largest activation",
        "true half against fp32: PSNR, dB",
        "true half against fp32: share beyond 2/255",
    ]
    assert report.not_run is not None
    assert report.info.compute_capabilities == ("7.5", "8.9")
    assert read_engine(target) == (target.read_bytes(), report.info)


def test_the_same_input_gives_the_same_facts(tiny_onnx, tmp_path) -> None:
    """And plans of one size: the library names its inner tensors by their addresses."""
    facts = []
    for name, sm in (("a", "89,75"), ("b", "75,89,89")):
        target = tmp_path / f"{name}.engine"
        arguments = ["engine", str(tiny_onnx(precision="fp16")), "-o", str(target), *SHAPES]
        assert main([*arguments, "--for", "rtx", "--sm", sm]) == 0
        facts.append(json.loads((tmp_path / f"{name}.engine.json").read_text()))
        del facts[-1]["plan_sha256"]
        facts[-1]["bytes"] = target.stat().st_size
    assert facts[0] == facts[1]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tensorrt", "tensorrt-rtx"])
def test_a_graph_that_overflows_in_half_is_found_before_the_build(kind, tmp_path) -> None:
    generator = tiny_generator()
    with torch.no_grad():  # the same function, through an enormous intermediate value
        generator.conv_hr.weight *= 1e6
        generator.conv_last.weight /= 1e6
    source, target = tmp_path / "hot.onnx", tmp_path / "m.engine"
    onnx.save(onnx_from_generator(generator, precision="fp16", halo=16), source)
    phases: list[str] = []
    with (
        simulated(rtx=True),
        pytest.raises(ModelError, match=r"largest activation is inf .* in conv_hr: run the model"),
    ):
        build_engine(
            source, target, kind=kind, profile=PROFILE, progress=lambda name, _: phases.append(name)
        )
    assert "building the engine" not in phases
    assert [path.name for path in tmp_path.iterdir()] == ["hot.onnx"]


@pytest.mark.slow
def test_on_a_card_that_can_run_it_the_engine_itself_is_verified(tiny_onnx, tmp_path) -> None:
    source, target, used = tiny_onnx(precision="fp16"), tmp_path / "m.engine", []
    with simulated(None, rtx=True, gpus=3) as machine:
        machine.gpus[0].compute_capability = (9, 0)
        for number, gpu in enumerate(machine.gpus):
            gpu.at_work = partial(used.append, number)
        report = build_engine(source, target, kind="tensorrt-rtx", profile=PROFILE)
        assert set(used) == {1}  # the first that can
        build_engine(source, target, kind="tensorrt-rtx", profile=PROFILE, device="cuda:2")
        assert set(used) == {1, 2}
    assert report.not_run is None
    assert "engine against fp32, 2×64×64: PSNR, dB" in [check.name for check in report.checks]


def test_a_gpu_that_cannot_run_the_engine_is_named(tiny_onnx, tmp_path) -> None:
    source, target = tiny_onnx(precision="fp16"), tmp_path / "m.engine"
    with simulated(None, rtx=True) as machine:
        machine.gpu.compute_capability = (9, 0)
        report = build_engine(source, target, kind="tensorrt-rtx", profile=PROFILE)
        with pytest.raises(ArgumentError, match=r"cannot be verified on cuda:0: .* \(9\.0\)"):
            build_engine(source, target, kind="tensorrt-rtx", profile=PROFILE, device="cuda")
    cards = cards_text(NEWER_THAN_TURING)
    assert report.not_run == f"cuda:0 is Simulated RTX (9.0), and it is built for {cards}"


def test_a_full_disk_leaves_no_engine(tiny_onnx, tmp_path, capsys, monkeypatch) -> None:
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        write(path, data[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    target = tmp_path / "m.engine"
    source = tiny_onnx(precision="fp16")
    monkeypatch.setattr(Path, "write_bytes", full)
    assert main(["engine", str(source), "-o", str(target), "--for", "rtx", *SHAPES]) == 2
    assert "m.engine: cannot be written (No space left" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--for rtx --sm 90", r"--sm 90: .* builds for 75,80,86,.* H100, H200 .* --for tensorrt"),
        ("--for rtx --sm 86,,89", r"--sm '86,,89' is not a list .*75,86,89,120 or all"),
        ("--for rtx --sm volta", r"--sm 'volta' is not a list"),
        ("--sm 89", "leave --sm out, or build with --for rtx"),
        ("--for rtx --level 5", "TensorRT for RTX has no --level 5: leave it out"),
        ("--for rtx --version-compatible", "has no --version-compatible: leave it out"),
        ("--for rtx --hardware-compatible same", "has no --hardware-compatible: leave it out"),
        ("--for rtx --timing-cache timings", "leave --timing-cache out"),
        ("--for rtx --device cuda:0", "there is no NVIDIA driver"),
        ("--for rtx --min 1x16x16 --opt 1x32x32 --max 1x32x32", "--max 1x32x32 leaves no room"),
        ("--for rtx --workspace 1M", r"could not build .* workspace limit.*: give a larger --work"),
    ],
)
def test_what_the_library_lacks_is_one_sentence(
    options: str, says: str, tiny_onnx, tmp_path, capsys
) -> None:
    target = tmp_path / "m.engine"
    command = ["engine", str(tiny_onnx(precision="fp16")), "-o", str(target), *options.split()]
    assert main(command) == 2
    said = capsys.readouterr().err.strip()
    assert "\n" not in said
    assert re.search(says, said), said
    assert list(tmp_path.iterdir()) == []


def test_triton_has_no_place_for_it(tiny_onnx, tmp_path) -> None:
    target = tmp_path / "m.engine"
    build_engine(tiny_onnx(precision="fp16"), target, kind="tensorrt-rtx", profile=PROFILE)
    with pytest.raises(ModelError, match=r"Triton does not run .* for RTX: .* give the ONNX file"):
        triton_repository(target, tmp_path / "models", "sr_x4")
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("text", "capabilities"),
    [("75", ("7.5",)), (" 8.9, 120,121 ", ("8.9", "12.0", "12.1")), ("ALL", ("all",))],
)
def test_compute_capabilities_are_read_with_and_without_the_dot(text, capabilities) -> None:
    assert parse_sm(text) == capabilities


def test_facts_of_engines_before_there_was_a_kind_are_read(tiny_onnx, tmp_path) -> None:
    report = build_engine(
        tiny_onnx(precision="fp16"), tmp_path / "m.engine", kind="tensorrt-rtx", profile=PROFILE
    )
    facts = json.loads(report.info.to_json())
    del facts["kind"], facts["compute_capabilities"]
    assert EngineInfo.from_json(json.dumps(facts)).kind == "tensorrt"

"""`python -m benchmarks.gpu`, tried out whole on the CPU; what needs a GPU is left out by name."""

import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu.parts import PARTS
from benchmarks.gpu.run import SMALL, Run
from tests.end_to_end.gpu_benchmark import ON_CPU, ROOT, benchmark
from tests.tolerances import LARGEST_DIFFERENCE, MIN_PSNR

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gpu") / "results.json"


@pytest.fixture(scope="module")
def on_cpu(target: Path) -> tuple[dict[str, Any], str]:
    """What a run on the CPU wrote and printed."""
    code, said, complained = benchmark(*ON_CPU, "--minutes", "60", "-o", str(target))
    assert code == 0, complained
    assert complained == ""
    return json.loads(target.read_text()), said


@pytest.fixture(scope="module")
def found(on_cpu) -> dict[str, Any]:
    """What each part of that run has found."""
    return {name: part["found"] for name, part in on_cpu[0]["parts"].items()}


def convolution_costs(blocks: int, channels: int, growth: int) -> tuple[int, int]:
    """MACs, and numbers read and written, of an LR pixel of RRDB ×4: (in, out, pixels) by layer."""
    dense = [(channels + growth * k, growth, 1) for k in range(4)]
    dense.append((channels + growth * 4, channels, 1))
    layers = [(3, channels, 1), *dense * 3 * blocks, (channels, channels, 1)]
    layers += [(channels, channels, n) for n in (4, 16, 16)] + [(channels, 3, 16)]
    macs = sum(9 * inputs * outputs * pixels for inputs, outputs, pixels in layers)
    return macs, sum((inputs + outputs) * pixels for inputs, outputs, pixels in layers)


def test_all_parts_but_those_that_need_gpus_are_measured_on_a_cpu(on_cpu, found) -> None:
    parts = on_cpu[0]["parts"]
    assert list(parts) == [part.name for part in PARTS]
    unfinished = {name for name, part in parts.items() if part["ended"] is not None}
    assert unfinished == {"driver"}
    assert on_cpu[0]["runs"][0]["packages"]["torch"] == torch.__version__
    names = {
        f"{name}, io {io}" for name in ("onnxruntime", "openvino") for io in ("float32", "uint8")
    }
    assert names <= set(found["engines"])
    assert names < set(found["whole_photo"])
    assert {f"{name}, 2×16×16" for name in names} < set(found["kernels"])
    assert found["folder"]["engine"] in names
    assert found["folder"]["share_of_the_bare_engine"] > 0
    for stage in ("pretraining", "training"):
        assert len(found[stage]) == 2
        assert all(row["steps_per_second"] > 0 for row in found[stage].values())
    for part in ("options", "kernels", "whole_photo", "convolutions"):
        rows = [row for row in found[part].values() if isinstance(row, dict)]
        assert all(row["lr_mp_per_second"] > 0 for row in rows)
    shapes = {f"own options, {n}×{side}×{side}" for n in (1, 2, 4) for side in SMALL.tiles}
    assert shapes | {"milliseconds_a_change_of_shape"} < set(found["options"])


def test_the_device_makes_the_cpus_picture_from_every_kind_of_file(found) -> None:
    for backend in ("onnxruntime", "openvino"):
        for case in ("the embedded model", "an fp32 file", "a file of fixed shape", "2 threads"):
            assert found["correct"][f"{backend}: {case}"]["right"], (backend, case)


def test_the_limits_are_those_of_the_convolutions(on_cpu, found) -> None:
    peak = found["peak"]
    assert convolution_costs(23, 64, 32)[0] == 17_926_848  # as others count it
    macs, numbers = convolution_costs(1, 16, 8)
    assert peak["MFLOP_per_lr_pixel"] == pytest.approx(2e-6 * macs)
    assert peak["MB_per_lr_pixel"] == pytest.approx(4e-6 * numbers)  # FP32 on a CPU
    compute = peak["fp32_TFLOP_per_second"] / (2e-6 * macs) * 1e6
    memory = peak["copied_GB_per_second"] / (4e-6 * numbers) / 1e3
    assert peak["most_lr_mp_per_second_by_arithmetic"] == pytest.approx(compute / 1e6)
    assert peak["most_lr_mp_per_second_by_memory"] == pytest.approx(memory)
    rate = next(iter(found["kernels"].values()))["lr_mp_per_second"]
    assert f"| {rate / compute * 1e6:.1%} | {rate / memory:.1%} |" in on_cpu[1]


def test_every_engine_is_compared_with_fp32_before_it_is_timed(found) -> None:
    assert len(found["parity"]) == 5
    for name, row in found["parity"].items():
        precision = found["engines"].get(name, {"precision": "fp32"})["precision"]
        assert row["right"], name
        assert row["psnr_db"] > MIN_PSNR, name
        assert row["largest_difference"] <= LARGEST_DIFFERENCE[precision], name
        assert row.get("same_in_flight", True), name


def test_the_engines_make_the_picture_of_the_plain_loop(found) -> None:
    for name, row in found["whole_photo"].items():
        assert row["mean_difference_from_the_loop"] < 2, name


def test_what_is_left_out_is_said_in_a_sentence_each(on_cpu) -> None:
    results, said = on_cpu
    reasons = {
        f"{name}, {what}": reason
        for name, part in results["parts"].items()
        for what, reason in part["left_out"].items()
    }
    for what in (
        *("engines, tensorrt", "correct, little memory"),
        *("pretraining, compiled", "training, compiled"),
    ):
        assert what in reasons
    reasons["driver"] = results["parts"]["driver"]["ended"]
    for what, reason in reasons.items():
        assert "\n" not in reason
        assert "Error" not in reason, what
        assert f"- {what}: {reason}" in said
    assert "backend tensorrt runs on cuda" in reasons["engines, tensorrt"]


def test_results_tell_nothing_of_whose_machine_it_was(on_cpu) -> None:
    told = json.dumps(on_cpu[0])
    for private in (str(Path.home()), str(ROOT), platform.node(), "tmp"):
        assert private not in told


def test_a_second_run_measures_what_is_not_finished(on_cpu, target, tmp_path, capsys) -> None:
    again = tmp_path / target.name
    earlier = json.loads(target.read_text())
    del earlier["parts"]["peak"]
    again.write_text(json.dumps(earlier))
    assert gpu.main([*ON_CPU, "--parts", "peak,engines", "-o", str(again)]) == 0
    said = capsys.readouterr().out
    for part in ("models", "engines"):
        assert f"{part}: finished in an earlier run" in said
    results = json.loads(again.read_text())
    assert results["parts"]["peak"]["run"] == 1
    assert results["parts"]["peak"]["found"]["fp32_TFLOP_per_second"] > 0
    del results["parts"]["peak"]
    assert results["parts"] == earlier["parts"]


def test_results_of_another_network_are_not_completed(on_cpu, target, capsys) -> None:
    before = target.read_bytes()
    assert gpu.main(["--device", "cpu", "--blocks", "2", "-o", str(target)]) == 2
    complained = capsys.readouterr().err
    assert "1 blocks" in complained
    assert "2 blocks" in complained
    assert target.read_bytes() == before


def test_models_are_exported_once(on_cpu, target, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "sr_export.to_onnx", None)  # importing it fails
    cache = target.with_name(f"{target.name}.cache")
    run = Run(device=torch.device("cpu"), checkpoint=None, blocks=1, cache=cache)
    for io in ("float32", "uint8"):
        assert run.onnx_file(io).stat().st_size > 10_000


def test_without_a_gpu_there_is_one_sentence_and_no_file(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert gpu.main(["-o", str(tmp_path / "x.json")]) == 2
    said, complained = capsys.readouterr()
    assert said == ""
    assert complained.startswith("error: device cuda:0 is not available here: torch")
    assert complained.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_torch_alone_gives_the_peak_and_the_plain_loop(tmp_path) -> None:
    absent = tmp_path / "absent"
    absent.mkdir()
    for name in (
        *("albumentations", "jsonargparse", "matplotlib", "onnx", "onnxruntime", "onnxscript"),
        *("openvino", "tensorrt_rtx", "wandb", "yaml"),
    ):
        missing = f"raise ModuleNotFoundError('no {name} here', name='{name}')"
        (absent / f"{name}.py").write_text(missing)
    path = f"{absent}{os.pathsep}{ROOT}"
    code, said, complained = benchmark(
        *ON_CPU, "--parts", "peak,kernels,folder",
        "-o", str(tmp_path / "x.json"), PYTHONPATH=path,
    )  # fmt: skip
    assert code == 0, complained
    results = json.loads((tmp_path / "x.json").read_text())["parts"]
    assert "- most LR-MP/s by arithmetic: " in said
    assert f"peak {results['peak']['seconds']:.0f} s, " in said
    assert set(results["kernels"]["found"]) == {
        f"plain PyTorch, channels-last, on the device, {n}×16×16" for n in (1, 2)
    }
    assert len(results["whole_photo"]["found"]) == 1
    assert "sr-toolkit[export]" in results["models"]["ended"]
    assert "no engine" in results["folder"]["ended"]


def test_chosen_parts_bring_what_they_need(tmp_path) -> None:
    names = [part.name for part in gpu._chosen(PARTS, "folder, peak")]
    assert names == ["models", "peak", "engines", "whole_photo", "folder"]

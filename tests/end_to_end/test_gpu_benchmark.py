"""`python -m benchmarks.gpu`, tried out whole on the CPU; what needs a GPU is left out by name."""

import json
import os
import platform
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu.end_to_end import folder, several_gpus, whole_photo
from benchmarks.gpu.environment import utilization
from benchmarks.gpu.kernels import kernels
from benchmarks.gpu.models import models, opened
from benchmarks.gpu.parity import parity
from benchmarks.gpu.report import report, targets
from benchmarks.gpu.run import SMALL, Run
from benchmarks.training import PLAIN
from sr_runtime.errors import BackendError
from tests.conftest import tiny_generator
from tests.simulated_tensorrt import simulated
from tests.tolerances import LARGEST_DIFFERENCE, MIN_PSNR

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ON_CPU = ["--device", "cpu", "--blocks", "1"]


def benchmark(*arguments: str, program: tuple[str, ...] = ("-m", "benchmarks.gpu")) -> Any:
    """Run it in a process of its own, one that sees no GPU."""
    return subprocess.run(
        [sys.executable, *program, *arguments],
        cwd=ROOT,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def on_cpu(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """What a run on the CPU wrote and printed."""
    target = tmp_path_factory.mktemp("gpu") / "results.json"
    done = benchmark(*ON_CPU, "--minutes", "0.3", "-o", str(target))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(target.read_text()), done.stdout


def convolution_costs(blocks: int) -> tuple[int, int]:
    """MACs, and numbers read and written, of an LR pixel of RRDB ×4: (in, out, pixels) by layer."""
    dense = [(64 + 32 * k, 32, 1) for k in range(4)] + [(192, 64, 1)]
    layers = [(3, 64, 1), *dense * 3 * blocks, (64, 64, 1)]
    layers += [(64, 64, 4), (64, 64, 16), (64, 64, 16), (64, 3, 16)]
    macs = sum(9 * inputs * outputs * pixels for inputs, outputs, pixels in layers)
    return macs, sum((inputs + outputs) * pixels for inputs, outputs, pixels in layers)


def test_all_parts_but_several_gpus_are_measured_on_a_cpu(on_cpu) -> None:
    results, _ = on_cpu
    assert set(gpu.PARTS) - set(results) == {"several_gpus"}
    assert results["environment"]["packages"]["torch"] == torch.__version__
    names = {
        f"{name}, io {io}" for name in ("onnxruntime", "openvino") for io in ("float32", "uint8")
    }
    assert names <= set(results["engines"])
    assert names < {row["contender"] for row in results["kernels"]}
    assert names < set(results["whole_photo"]["contenders"])
    assert results["folder"]["engine"] in names
    for stage in ("pretraining", "training"):
        assert len(results[stage]["seconds"][stage]) == 2
        assert all(results[stage]["seconds"][stage].values())
    for row in (*results["kernels"], *results["whole_photo"]["contenders"].values()):
        assert row["lr_mp_per_second"] > 0
        assert row["of_compute_floor"] > 0 < row["of_memory_floor"]


def test_the_floors_are_those_of_the_convolutions(on_cpu) -> None:
    peak, floors = (on_cpu[0][name] for name in ("peak", "floors"))
    assert convolution_costs(23)[0] == 17_926_848  # as others count it
    macs, numbers = convolution_costs(1)
    assert floors["flop_per_lr_pixel"] == 2 * macs
    assert floors["bytes_per_lr_pixel"] == 4 * numbers  # FP32 on a CPU
    # Concatenations, activations and sums of the 3 dense blocks, which are most of the rest.
    assert floors["eager_bytes_per_lr_pixel"] > 4 * (numbers + 3 * (1152 + 256 + 320))
    compute, memory = (floors[f"{name}_lr_pixels_per_second"] for name in ("compute", "memory"))
    assert compute == pytest.approx(peak["fp32_flops"] / (2 * macs))
    assert memory == pytest.approx(peak["copy_bytes_per_second"] / (4 * numbers))
    assert floors["binding"] == ("compute" if compute < memory else "memory")
    row = on_cpu[0]["kernels"][0]
    assert row["of_memory_floor"] == pytest.approx(row["lr_mp_per_second"] * 1e6 / memory)


def test_every_engine_is_compared_with_fp32_before_it_is_timed(on_cpu) -> None:
    results, _ = on_cpu
    found = dict(results["parity"])
    assert len(found) == 5
    for name, row in found.items():
        precision = results["engines"].get(name, {"precision": "fp32"})["precision"]
        assert row["psnr_db"] > MIN_PSNR, name
        assert row["largest_difference"] <= LARGEST_DIFFERENCE[precision], name
        assert row.get("same_in_flight", True), name


def test_the_engines_make_the_picture_of_the_plain_loop(on_cpu) -> None:
    for name, row in on_cpu[0]["whole_photo"]["contenders"].items():
        assert row["mean_difference_from_the_loop"] < 2, name


def test_what_is_left_out_is_said_in_a_sentence_each(on_cpu) -> None:
    results, said = on_cpu
    reasons = {row["what"]: row["reason"] for row in results["left_out"]}
    for what in (
        *("tensorrt", "GPU utilisation", "clocks, power and temperature"),
        *("several_gpus", "pretraining, compiled", "training, compiled"),
    ):
        assert what in reasons
    for what, reason in reasons.items():
        assert "\n" not in reason
        assert "Error" not in reason, what
        assert f"- {what}: {reason}" in said
    assert "backend tensorrt runs on cuda" in reasons["tensorrt"]


def test_results_tell_nothing_of_whose_machine_it_was(on_cpu) -> None:
    told = json.dumps(on_cpu[0])
    for private in (str(Path.home()), str(ROOT), platform.node(), "tmp"):
        assert private not in told


def test_without_a_gpu_there_is_one_sentence_and_no_file(tmp_path) -> None:
    target = tmp_path / "x.json"
    done = benchmark("-o", str(target))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: device cuda:0 is not available here: torch")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_torch_alone_gives_the_peak_the_floors_and_the_plain_loop(tmp_path) -> None:
    program = """
import sys
for name in ("onnx", "onnxscript", "onnxruntime", "openvino", "yaml", "albumentations"):
    sys.modules[name] = None  # importing it fails
from benchmarks.gpu import __main__ as gpu
for name in ("pretraining", "training"):  # which another test runs
    del gpu.PARTS[name]
sys.exit(gpu.main())
"""
    target = tmp_path / "x.json"
    done = benchmark(*ON_CPU, "--minutes", "0.01", "-o", str(target), program=("-c", program))
    assert done.returncode == 0, done.stderr
    results = json.loads(target.read_text())
    assert results["floors"]["compute_lr_pixels_per_second"] > 0
    assert len(results["kernels"]) == 1
    assert len(results["whole_photo"]["contenders"]) == 1
    reasons = {row["what"]: row["reason"] for row in results["left_out"]}
    assert "sr-toolkit[export]" in reasons["models"]
    assert "no ONNX file" in reasons["every backend"]
    assert "no engine" in reasons["folder"]


def test_a_part_that_fails_costs_the_others_nothing_and_an_end_keeps_what_there_is(
    tmp_path, monkeypatch
) -> None:
    def refused(run: Run) -> None:
        raise BackendError("this part needs a screw that is loose")

    def ended(run: Run) -> None:
        raise KeyboardInterrupt

    parts = {"a": lambda run: 1, "b": refused, "c": lambda run: 3, "d": ended, "e": lambda run: 5}
    monkeypatch.setattr(gpu, "PARTS", {name: (1, part) for name, part in parts.items()})
    target = tmp_path / "x.json"
    assert gpu.main([*ON_CPU, "-o", str(target)]) == 130
    results = json.loads(target.read_text())
    assert (results["a"], results["c"]) == (1, 3)
    assert not {"b", "e"} & results.keys()
    assert results["left_out"] == [{"what": "b", "reason": "this part needs a screw that is loose"}]
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_tensorrt_engines_are_built_checked_and_timed(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with simulated(gpus=2) as machine, ExitStack() as held:
        run = Run(
            device=torch.device("cuda:0"),
            dtype=torch.float32,
            sizes=replace(SMALL, shapes=((64, 1), (64, 2), (32, 1)), parity_tile=64),
            network="tiny",
            generator=tiny_generator(),
            folder=tmp_path,
            held=held,
            deadline=float("inf"),
        )
        run.results["models"] = models(run)
        run.results["engines"] = opened(run)
        run.device = torch.device("cpu")  # torch sees nothing of the simulated GPU
        for name, part in (
            *(("parity", parity), ("kernels", kernels), ("whole_photo", whole_photo)),
            ("folder", folder),
        ):
            run.results[name] = part(run)
        run.device = torch.device("cuda:0")
        run.results["several_gpus"] = several_gpus(run)
    names = ["tensorrt, io float32", "tensorrt, io uint8"]
    assert list(run.results["engines"]) == names
    for name in names:
        assert run.results["engines"][name]["level"] == 3
        assert run.results["parity"][name]["same_in_flight"]
        assert run.results["parity"][name]["psnr_db"] > MIN_PSNR
    shapes = {(row["contender"], row["tile"], row["batch"]) for row in run.results["kernels"]}
    assert {(name, 64, batch) for name in names for batch in (1, 2)} <= shapes
    reasons = {row["what"]: row["reason"] for row in run.left_out}
    assert "1×3×32×32" in reasons["tensorrt, io float32, 1×32×32"]  # outside its profile
    assert run.results["folder"]["engine"] in names
    outcomes = {row["target"]: row["outcome"] for row in targets(run.results)}
    assert outcomes["TensorRT, a photo"] == "short of"
    assert outcomes["engines against fp32, PSNR in dB"] == "met"
    assert len(run.results["several_gpus"]["seconds"]["cuda:0,cuda:1"]) == 5
    assert all(gpu.is_clean for gpu in machine.gpus)


def test_utilisation_is_what_nvidia_smi_tells_of_the_card_meanwhile(tmp_path, monkeypatch) -> None:
    told = tmp_path / "told"
    program = tmp_path / "nvidia-smi"
    program.write_text(f'#!/bin/sh\necho "$@" > {told}\nwhile true; do echo 97; sleep 0.01; done\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    card = SimpleNamespace(uuid="8932f937-d72c")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: card)
    with ExitStack() as held:
        run = Run(
            torch.device("cuda:0"), torch.float16, SMALL, "tiny", tiny_generator(), tmp_path, held
        )
        with utilization(run) as samples:
            while not told.exists():
                time.sleep(0.01)
            time.sleep(0.1)
    assert set(samples) == {97}
    assert "-i GPU-8932f937-d72c" in told.read_text()
    assert run.left_out == []


def test_a_target_is_met_from_its_number_on() -> None:
    def results(rate: float, steps: list[float]) -> dict[str, Any]:
        row = {"lr_mp_per_second": rate, "times_the_loop": rate / 2}
        seconds = {PLAIN: [3.0, 3.0, 30.0], "bf16, compiled": steps}
        return {
            "whole_photo": {"contenders": {"onnxruntime, io uint8": row}},
            "training": {"seconds": {"training": seconds}},
        }

    def outcomes(found: dict[str, Any]) -> dict[str, str]:
        return {row["target"]: row["outcome"] for row in targets(found)}

    good, bad = (results(5, [1, 1, 1]), results(4.99, [1.01, 1.01, 1]))
    names = ("ONNX Runtime, a photo", "training, compiled bf16, times eager fp32")
    assert [outcomes(good)[name] for name in names] == ["met", "met"]
    assert [outcomes(bad)[name] for name in names] == ["short of", "short of"]
    assert set(outcomes({}).values()) == {"not run"}
    assert "| ONNX Runtime, a photo | 5 | 4.99 | short of |" in report(
        bad | {"targets": targets(bad)}
    )

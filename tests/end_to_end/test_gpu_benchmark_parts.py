"""Single parts of the GPU benchmark, on a simulated GPU where they need one, and its report."""

import contextlib
import shutil
import time
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.gpu.driver import driver
from benchmarks.gpu.end_to_end import folder, whole_photo
from benchmarks.gpu.engines import engines
from benchmarks.gpu.environment import environment, gpu_state
from benchmarks.gpu.kernels import kernels
from benchmarks.gpu.network import chosen_generator
from benchmarks.gpu.parity import against, parity
from benchmarks.gpu.report import report
from benchmarks.gpu.run import SMALL, Run
from benchmarks.gpu.training import _rows
from benchmarks.software_adapter import use_software_adapter
from benchmarks.training import PLAIN
from tests.conftest import tiny_generator
from tests.simulated_tensorrt import simulated
from tests.tolerances import MIN_PSNR

pytestmark = pytest.mark.slow

# WebGPU works with it, and is to be left out all the same: it would take hours.
use_software_adapter()


@pytest.mark.parametrize("pycuda", [False, True])
def test_the_driver_is_tried_in_every_binding(tmp_path, pycuda) -> None:
    left_out: dict[str, str] = {}
    with simulated(pycuda=pycuda) as machine:
        rows = dict(driver(run_in(tmp_path, left_out)))
    assert rows["bindings"]["graph_launches"] == 2
    assert rows["bindings"]["threads"] == 4
    if pycuda:
        assert rows["pycuda"]["graph_launches"] == 0  # it has no graphs
    else:
        assert "pycuda" in left_out["the driver through pycuda"]
    assert all(gpu.is_empty for gpu in machine.gpus)  # PyCUDA keeps the context


def test_the_versions_of_the_engines_libraries_are_noted(tmp_path) -> None:
    packages = dict(environment(run_in(tmp_path)))["packages"]
    for name in ("onnxruntime", "onnxruntime-ep-webgpu", "openvino", "tensorrt-rtx-cu13"):
        with contextlib.suppress(PackageNotFoundError):
            assert packages.get(name) == version(name), name


def test_the_network_is_that_of_the_paper_unless_a_small_one_is_asked_for() -> None:
    assert len(chosen_generator(None, None).body) == 23
    assert len(chosen_generator(None, 2).body) == 2


def test_contenders_take_turns_at_least_once_and_then_while_there_is_time(tmp_path) -> None:
    left_out: dict[str, str] = {}
    run = run_in(tmp_path, left_out)
    run.sizes = replace(SMALL, rounds=3)
    assert list(run.rounds("works")) == [0, 1, 2]
    run.deadline = time.monotonic()
    assert list(run.rounds("works")) == [0]
    assert "1 of 3" in left_out["works, the other rounds"]


def run_in(folder: Path, left_out: dict[str, str] | None = None) -> Run:
    """A part's view of a benchmark on the CPU, whose models are in that folder."""
    left_out = {} if left_out is None else left_out
    run = Run(device=torch.device("cpu"), checkpoint=None, blocks=1, cache=folder)
    run.leave_out = left_out.__setitem__
    return run


@pytest.fixture
def cache(tmp_path, tiny_onnx, monkeypatch) -> Path:
    """A cache that holds the ONNX files of `tiny_generator()`."""
    for io in ("float32", "uint8"):
        shutil.copy(tiny_onnx(precision="fp16", io=io), tmp_path / f"{io}.onnx")
    monkeypatch.setenv("SR_CACHE", str(tmp_path))
    return tmp_path


def content_of(found: dict[str, Any]) -> dict[str, Any]:
    """A result file whose parts have found this."""
    parts = {
        name: {"found": rows, "left_out": {}, "run": 0, "ended": None}
        for name, rows in found.items()
    }
    run = {"commit": "abc", "gpu": "a card"}
    return {"device": "cuda:0", "network": "tiny", "runs": [run], "parts": parts}


@pytest.mark.filterwarnings("ignore:building an engine")
def test_tensorrt_engines_are_built_checked_and_timed(cache) -> None:
    left_out: dict[str, str] = {}
    found: dict[str, Any] = {}
    with simulated() as machine:

        def measure(part: Any, *, device: str = "cpu") -> None:
            """Torch sees nothing of the simulated GPU, so most parts take the CPU for torch."""
            run = run_in(cache, left_out)
            run.sizes = replace(SMALL, shapes=((64, 2), (32, 1)), parity_tile=64)
            run.generator, run.results = tiny_generator(), found
            run.device = torch.device(device)
            with run.held:
                found[part.__name__] = dict(part(run))

        measure(engines, device="cuda:0")
        found["engines"] = {
            name: row for name, row in found["engines"].items() if row["backend"] == "tensorrt"
        }
        for part in (parity, kernels, whole_photo, folder, driver):
            measure(part)
    names = ["tensorrt, io float32", "tensorrt, io uint8"]
    assert list(found["engines"]) == names
    for name in names:
        assert found["parity"][name]["same_in_flight"]
        assert found["parity"][name]["psnr_db"] > MIN_PSNR
    assert {f"{name}, 2×64×64" for name in names} <= set(found["kernels"])
    assert "1×3×32×32" in left_out["tensorrt, io float32, 1×32×32"]  # outside its profile
    assert found["folder"]["engine"] in names
    said = report(content_of(found))
    assert "| threads | " in said
    assert f"- engine: {found['folder']['engine']}" in said
    assert all(gpu.is_clean for gpu in machine.gpus)


def test_a_picture_of_too_low_psnr_or_with_nan_is_not_right() -> None:
    wanted = np.full((1, 3, 8, 8), 0.5)
    assert against(wanted + 0.005, wanted) == {
        "right": True, "psnr_db": pytest.approx(46.0, abs=0.1), "least_db": 45.0,
        "largest_difference": 1,
    }  # fmt: skip
    assert not against(wanted + 0.005, wanted, least=70)["right"]
    assert not against(wanted * np.nan, wanted)["right"]


def test_gains_in_training_are_medians_of_the_rounds_ratios() -> None:
    rows = dict(_rows({PLAIN: [3.0, 3.0, 30.0], "bf16, compiled": [1.0, 1.0, 5.0]}))
    assert rows["bf16, compiled"]["times_eager_fp32"] == 3
    assert rows["bf16, compiled"]["steps_per_second"] == 1


def test_the_report_says_what_is_wrong() -> None:
    little = {"right": True, "psnr_db": 51.3, "tile_after": "256×512", "seconds": [1.5]}
    rows = {"a: little memory": little, "a: 2 threads": {"right": False, "failed": "a deadlock"}}
    found = {"correct": rows, "driver": {"bindings": {"failed": "a screw is loose"}}}
    said = report(content_of(found))
    assert "| | right | PSNR, dB | tile after | failed |" in said
    assert "| a: little memory | yes | 51.3 | 256×512 |  |" in said
    assert "| a: 2 threads | NO |  |  | a deadlock |" in said
    assert "| bindings | a screw is loose |" in said


def test_the_cards_state_is_what_nvidia_smi_says_of_that_card(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    card = SimpleNamespace(uuid="8932f937-d72c")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: card)
    assert "nvidia-smi cannot be run" in gpu_state(torch.device("cuda:0"))
    program = tmp_path / "nvidia-smi"
    program.write_text('#!/bin/sh\n[ "$2" = GPU-8932f937-d72c ] && echo 580.65, 1980 MHz\n')
    program.chmod(0o755)
    assert gpu_state(torch.device("cuda:0")) == "driver_version 580.65, clocks.sm 1980 MHz"


@pytest.mark.filterwarnings("ignore:building an engine")
def test_tensorrt_for_rtx_is_measured_where_the_card_has_it_and_else_said(cache) -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")
    left_out: dict[str, str] = {}

    def opened() -> list[str]:
        run = run_in(cache, left_out)
        run.device = torch.device("cuda:0")
        return [name for name, _ in engines(run)]

    with simulated(None, rtx=True) as card:
        assert opened() == ["tensorrt-rtx, io float32", "tensorrt-rtx, io uint8"]
        left_out.clear()
        card.gpu.compute_capability = (9, 0)
        assert opened() == []
        assert card.gpu.is_clean
    assert "9.0" in left_out["tensorrt-rtx"]
    assert "webgpu" in left_out

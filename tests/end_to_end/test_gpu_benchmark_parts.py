"""Single parts of the GPU benchmark, on a simulated GPU where they need one, and its report."""

import contextlib
import os
import time
from contextlib import ExitStack
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmarks.gpu.driver import driver
from benchmarks.gpu.end_to_end import folder, several_gpus, whole_photo
from benchmarks.gpu.engines import engines
from benchmarks.gpu.environment import environment, utilization
from benchmarks.gpu.kernels import kernels
from benchmarks.gpu.parity import parity
from benchmarks.gpu.report import report
from benchmarks.gpu.run import SMALL, Run, Settings
from benchmarks.gpu.targets import targets
from benchmarks.training import PLAIN
from tests.conftest import tiny_generator
from tests.simulated_tensorrt import simulated
from tests.tolerances import MIN_PSNR

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("pycuda", [False, True])
def test_the_driver_is_tried_in_every_binding(tmp_path, pycuda) -> None:
    left_out: dict[str, str] = {}
    with simulated(pycuda=pycuda) as machine, ExitStack() as held:
        rows = dict(driver(Run(settings_of(tmp_path), held, left_out.__setitem__)))
    assert rows["bindings"]["graph_launches"] == 2
    assert rows["bindings"]["threads"] == 4
    if pycuda:
        assert rows["pycuda"]["graph_launches"] == 0  # it has no graphs
    else:
        assert "pycuda" in left_out["the driver through pycuda"]
    assert all(gpu.is_empty for gpu in machine.gpus)  # PyCUDA keeps the context


def test_the_versions_of_the_engines_libraries_are_noted(tmp_path) -> None:
    with ExitStack() as held:
        run = Run(settings_of(tmp_path), held, lambda what, reason: None)
        packages = dict(environment(run))["packages"]
    for name in ("onnxruntime", "onnxruntime-ep-webgpu", "openvino", "tensorrt-rtx-cu13"):
        with contextlib.suppress(PackageNotFoundError):
            assert packages.get(name) == version(name), name


def test_contenders_take_turns_at_least_once_and_then_while_there_is_time(tmp_path) -> None:
    left_out: dict[str, str] = {}
    with ExitStack() as held:
        run = Run(settings_of(tmp_path), held, left_out.__setitem__)
        run.sizes = replace(SMALL, rounds=3)
        assert list(run.rounds("works")) == [0, 1, 2]
        run.deadline = time.monotonic()
        assert list(run.rounds("works")) == [0]
    assert "1 of 3" in left_out["works, the other rounds"]


def settings_of(folder: Path) -> Settings:
    return Settings(device="cpu", checkpoint=None, blocks=1, network="tiny", cache=folder)


def content_of(found: dict[str, Any]) -> dict[str, Any]:
    """A result file whose parts have found this."""
    parts = {
        name: {"found": rows, "left_out": {}, "run": 0, "ended": None}
        for name, rows in found.items()
    }
    run = {"commit": "abc", "gpu": "a card"}
    return {"device": "cuda:0", "network": "tiny", "runs": [run], "parts": parts}


@pytest.mark.filterwarnings("ignore:building an engine")
def test_tensorrt_engines_are_built_checked_and_timed(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("SR_CACHE", str(tmp_path))
    left_out: dict[str, str] = {}
    found: dict[str, Any] = {}
    with simulated(gpus=2) as machine:

        def measure(part: Any, *, device: str = "cpu") -> None:
            """Torch sees nothing of the simulated GPU, so most parts take the CPU for torch."""
            with ExitStack() as held:
                run = Run(settings_of(tmp_path), held, left_out.__setitem__)
                run.sizes = replace(SMALL, shapes=((64, 1), (64, 2), (32, 1)), parity_tile=64)
                run.generator, run.results = tiny_generator(), found
                run.device = torch.device(device)
                found[part.__name__] = dict(part(run))

        measure(engines, device="cuda:0")
        for part in (parity, kernels, whole_photo, folder):
            measure(part)
        measure(several_gpus, device="cuda:0")
        measure(driver)
    names = ["tensorrt, io float32", "tensorrt, io uint8"]
    assert [name for name in found["engines"] if name.startswith("tensorrt,")] == names
    for name in names:
        assert found["parity"][name]["same_in_flight"]
        assert found["parity"][name]["psnr_db"] > MIN_PSNR
    shapes = {(row["contender"], row["tile"], row["batch"]) for row in found["kernels"].values()}
    assert {(name, 64, batch) for name in names for batch in (1, 2)} <= shapes
    assert "1×3×32×32" in left_out["tensorrt, io float32, 1×32×32"]  # outside its profile
    assert found["folder"]["engine"] in names
    content = content_of(found)
    outcomes = {row["target"]: row["outcome"] for row in targets(content)}
    assert outcomes["TensorRT, a photo"] == "short of"
    assert outcomes["engines against fp32, PSNR in dB"] == "met"
    assert len(found["several_gpus"]["seconds"]["cuda:0,cuda:1"]) == 1
    said = report(content)
    assert "2 launches of a graph" in said
    assert f"All GPUs with {found['several_gpus']['engine']}" in said
    assert all(gpu.is_clean for gpu in machine.gpus)


def test_the_report_says_what_is_wrong_and_how_tiles_got_smaller() -> None:
    little = {"right": True, "psnr_db": 51.3, "least_db": 45.0}
    little |= {"tile_before": [1024, 1024], "tile_after": [256, 512]}
    rows = {"a: little memory": little, "a: 2 threads": {"right": False, "failed": "a deadlock"}}
    found = {"correct": rows, "driver": {"bindings": {"failed": "a screw is loose"}}}
    said = report(content_of(found))
    assert (
        "| a: little memory | yes | 51.3 | 45 | tiles of at most 1024×1024, then 256×512 |" in said
    )
    assert "| a: 2 threads | NO |  |  | a deadlock |" in said
    assert "- bindings: FAILED: a screw is loose" in said


def test_utilisation_is_what_nvidia_smi_tells_of_the_card_meanwhile(tmp_path, monkeypatch) -> None:
    told = tmp_path / "told"
    program = tmp_path / "nvidia-smi"
    program.write_text(f'#!/bin/sh\necho "$@" > {told}\nwhile true; do echo 97; sleep 0.01; done\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    card = SimpleNamespace(uuid="8932f937-d72c")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: card)
    left_out: dict[str, str] = {}
    with ExitStack() as held:
        run = Run(replace(settings_of(tmp_path), device="cuda:0"), held, left_out.__setitem__)
        with utilization(run) as samples:
            while not told.exists():
                time.sleep(0.01)
            time.sleep(0.1)
    assert set(samples) == {97}
    assert "-i GPU-8932f937-d72c" in told.read_text()
    assert left_out == {}


@pytest.mark.filterwarnings("ignore:building an engine")
def test_tensorrt_for_rtx_is_measured_where_the_card_has_it_and_else_said(
    tmp_path, monkeypatch
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")
    monkeypatch.setenv("SR_CACHE", str(tmp_path))
    left_out: dict[str, str] = {}

    def opened() -> list[str]:
        with ExitStack() as held:
            run = Run(settings_of(tmp_path), held, left_out.__setitem__)
            run.generator, run.device = tiny_generator(), torch.device("cuda:0")
            return [name for name, _ in engines(run)]

    with simulated(None, rtx=True) as card:
        assert opened() == ["tensorrt-rtx, io float32", "tensorrt-rtx, io uint8"]
        left_out.clear()
        card.gpu.compute_capability = (9, 0)
        assert opened() == []
        assert card.gpu.is_clean
    assert "9.0" in left_out["tensorrt-rtx"]


def test_a_target_is_met_from_its_number_on() -> None:
    def content(rate: float, steps: list[float]) -> dict[str, Any]:
        row = {"lr_mp_per_second": rate, "times_the_loop": rate / 2}
        seconds = {PLAIN: [3.0, 3.0, 30.0], "bf16, compiled": steps}
        return content_of(
            {
                "whole_photo": {"onnxruntime, io uint8": row},
                "training": {"seconds": {"training": seconds}},
            }
        )

    def outcomes(content: dict[str, Any]) -> dict[str, str]:
        return {row["target"]: row["outcome"] for row in targets(content)}

    good, bad = (content(5, [1, 1, 1]), content(4.99, [1.01, 1.01, 1]))
    names = ("ONNX Runtime, a photo", "training, compiled bf16, times eager fp32")
    assert [outcomes(good)[name] for name in names] == ["met", "met"]
    assert [outcomes(bad)[name] for name in names] == ["short of", "short of"]
    assert set(outcomes({"device": "cuda:0", "parts": {}}).values()) == {"not run"}
    assert "| ONNX Runtime, a photo | 5 | 4.99 | short of |" in report(bad)

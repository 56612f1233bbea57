"""`python -m benchmarks.gpu`, tried out whole on the CPU; what needs a GPU is left out by name."""

import json
import multiprocessing
import os
import platform
import signal
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
from benchmarks.gpu.driver import driver
from benchmarks.gpu.end_to_end import folder, several_gpus, whole_photo
from benchmarks.gpu.engines import engines
from benchmarks.gpu.environment import utilization
from benchmarks.gpu.kernels import kernels
from benchmarks.gpu.parity import parity
from benchmarks.gpu.parts import PARTS, Part
from benchmarks.gpu.report import report
from benchmarks.gpu.run import SMALL, Found, Run, Settings
from benchmarks.gpu.targets import targets
from benchmarks.training import PLAIN
from sr_runtime.errors import BackendError
from tests.conftest import tiny_generator
from tests.simulated_tensorrt import simulated
from tests.tolerances import LARGEST_DIFFERENCE, MIN_PSNR

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ON_CPU = ["--device", "cpu", "--blocks", "1"]


def started(
    *arguments: str, program: tuple[str, ...] = ("-m", "benchmarks.gpu"), **env: str
) -> Any:
    """Start it in a process of its own, which sees no GPU."""
    return subprocess.Popen(
        [sys.executable, *program, *arguments],
        cwd=ROOT,
        # One thread: on a busy machine two wait for each other most of the time.
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"} | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def benchmark(*arguments: str, **env: str) -> tuple[int, str, str]:
    """Its exit code, and what it printed and complained about."""
    process = started(*arguments, **env)
    said, complained = process.communicate()
    return process.returncode, said, complained


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


def convolution_costs(blocks: int) -> tuple[int, int]:
    """MACs, and numbers read and written, of an LR pixel of RRDB ×4: (in, out, pixels) by layer."""
    dense = [(64 + 32 * k, 32, 1) for k in range(4)] + [(192, 64, 1)]
    layers = [(3, 64, 1), *dense * 3 * blocks, (64, 64, 1)]
    layers += [(64, 64, 4), (64, 64, 16), (64, 64, 16), (64, 3, 16)]
    macs = sum(9 * inputs * outputs * pixels for inputs, outputs, pixels in layers)
    return macs, sum((inputs + outputs) * pixels for inputs, outputs, pixels in layers)


def test_all_parts_but_those_that_need_gpus_are_measured_on_a_cpu(on_cpu, found) -> None:
    parts = on_cpu[0]["parts"]
    assert list(parts) == [part.name for part in PARTS]
    unfinished = {name for name, part in parts.items() if part["ended"] is not None}
    assert unfinished == {"driver", "several_gpus"}
    assert on_cpu[0]["runs"][0]["packages"]["torch"] == torch.__version__
    names = {
        f"{name}, io {io}" for name in ("onnxruntime", "openvino") for io in ("float32", "uint8")
    }
    assert names <= set(found["engines"])
    assert names < {row["contender"] for row in found["kernels"].values()}
    assert names < set(found["whole_photo"])
    assert found["folder"]["engine"] in names
    for stage in ("pretraining", "training"):
        assert len(found[stage]["seconds"][stage]) == 2
        assert all(found[stage]["seconds"][stage].values())
    for row in (*found["kernels"].values(), *found["whole_photo"].values()):
        assert row["lr_mp_per_second"] > 0
    for name in ("bare", "one_shape"):
        assert found["folder"][f"{name}_lr_mp_per_second"] > 0
    shapes = {name for name in found["options"] if name.startswith("shape: ")}
    assert shapes == {f"shape: {n}×{side}×{side}" for n in (1, 2, 4) for side in SMALL.tiles}
    assert found["options"]["another shape"]["alternating_lr_mp_per_second"] > 0
    assert found["convolutions"]["1×16×16"]["block_flops"] > 0


def test_the_device_makes_the_cpus_picture_from_every_kind_of_file(found) -> None:
    for backend in ("onnxruntime", "openvino"):
        for case in ("the embedded model", "an fp32 file", "a file of fixed shape", "2 threads"):
            assert found["correct"][f"{backend}: {case}"]["right"], (backend, case)


def test_the_limits_are_those_of_the_convolutions(on_cpu, found) -> None:
    peak = found["peak"]
    assert convolution_costs(23)[0] == 17_926_848  # as others count it
    macs, numbers = convolution_costs(1)
    assert peak["flop_per_lr_pixel"] == 2 * macs
    assert peak["bytes_per_lr_pixel"] == 4 * numbers  # FP32 on a CPU
    # Concatenations, activations and sums of the 3 dense blocks, which are most of the rest.
    assert peak["eager_bytes_per_lr_pixel"] > 4 * (numbers + 3 * (1152 + 256 + 320))
    compute = peak["fp32_flops"] / (2 * macs) / 1e6
    memory = peak["copy_bytes_per_second"] / (4 * numbers) / 1e6
    limits = f"at most {compute:.3g} LR-MP/s by arithmetic, {memory:.3g} by memory"
    assert limits in on_cpu[1]
    row = next(iter(found["kernels"].values()))
    assert f"| {row['lr_mp_per_second'] / compute:.1%} |" in on_cpu[1]


def test_every_engine_is_compared_with_fp32_before_it_is_timed(found) -> None:
    assert len(found["parity"]) == 5
    for name, row in found["parity"].items():
        precision = found["engines"].get(name, {"precision": "fp32"})["precision"]
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
        *("engines, tensorrt", "folder, GPU utilisation", "correct, little memory"),
        *("pretraining, pretraining, compiled", "training, training, compiled"),
    ):
        assert what in reasons
    reasons |= {name: results["parts"][name]["ended"] for name in ("driver", "several_gpus")}
    for what, reason in reasons.items():
        assert "\n" not in reason
        assert "Error" not in reason, what
        assert f"- {what}: {reason}" in said
    assert "backend tensorrt runs on cuda" in reasons["engines, tensorrt"]


def test_results_tell_nothing_of_whose_machine_it_was(on_cpu) -> None:
    told = json.dumps(on_cpu[0])
    for private in (str(Path.home()), str(ROOT), platform.node(), "tmp"):
        assert private not in told


def test_a_second_run_measures_what_is_not_finished_and_says_what_has_changed(
    on_cpu, target, tmp_path
) -> None:
    again = tmp_path / target.name
    former = json.loads(target.read_text())
    former["runs"][0] |= {"python": "3.0", "sources": "0123456789ab"}
    del former["parts"]["peak"]
    again.write_text(json.dumps(former))
    cache = ("--cache", f"{target}.cache")
    code, said, _ = benchmark(*ON_CPU, *cache, "--parts", "peak,engines", "-o", str(again))
    assert code == 0
    assert f"unlike the run before: python was 3.0 and is {platform.python_version()}" in said
    assert "unlike the run before: sources was 0123456789ab" in said
    for part in ("models", "engines"):
        assert f"{part}: finished in an earlier run" in said
    results = json.loads(again.read_text())
    assert results["parts"]["peak"]["run"] == 1
    assert results["parts"]["peak"]["found"]["fp32_flops"] > 0
    del results["parts"]["peak"]
    assert results["parts"] == former["parts"]


def test_results_of_another_network_are_not_completed(on_cpu, target) -> None:
    before = target.read_bytes()
    code, said, complained = benchmark("--device", "cpu", "--blocks", "2", "-o", str(target))
    assert (code, said) == (2, "")
    assert "1 blocks" in complained
    assert "2 blocks" in complained
    assert target.read_bytes() == before


def test_models_are_exported_once(on_cpu, target, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "sr_export.to_onnx", None)  # importing it fails
    settings = Settings(
        device="cpu", checkpoint=None, blocks=1, network=on_cpu[0]["network"],
        cache=target.with_name(f"{target.name}.cache"), results={},
    )  # fmt: skip
    with ExitStack() as held:
        for io in ("float32", "uint8"):
            assert Run(settings, held, print).onnx_file(io).stat().st_size > 100_000


def test_without_a_gpu_there_is_one_sentence_and_no_file(tmp_path) -> None:
    code, said, complained = benchmark("-o", str(tmp_path / "x.json"))
    assert (code, said) == (2, "")
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
    parts = "correct,peak,kernels,whole_photo,folder"
    path = f"{absent}{os.pathsep}{ROOT}"
    code, said, complained = benchmark(
        *ON_CPU, "--parts", parts, "-o", str(tmp_path / "x.json"), PYTHONPATH=path
    )
    assert code == 0, complained
    results = json.loads((tmp_path / "x.json").read_text())["parts"]
    assert "by arithmetic" in said
    assert f"peak {results['peak']['seconds']:.0f} s, " in said
    assert {row["contender"] for row in results["kernels"]["found"].values()} == {
        "plain PyTorch, channels-last, on the device"
    }
    assert len(results["whole_photo"]["found"]) == 1
    assert "sr-toolkit[export]" in results["models"]["ended"]
    assert "no engine" in results["folder"]["ended"]


def works(run: Run) -> Found:
    yield "one", 1
    run.leave_out("two", "one is enough")


def fails(run: Run) -> Found:
    yield "before", run.results["works"]["one"]
    raise BackendError("this part needs a screw that is loose")


def crashes(run: Run) -> Found:
    yield "before", 1
    os.kill(os.getpid(), signal.SIGSEGV)


def hangs(run: Run) -> Found:
    yield "process", os.getpid()
    time.sleep(3600)


def interrupts(run: Run) -> Found:
    parent = multiprocessing.parent_process()
    assert parent is not None
    yield "process", os.getpid()
    while '"process"' not in run.settings.cache.with_suffix("").read_text():
        time.sleep(0.01)  # until the results are written
    os.kill(parent.pid, signal.SIGINT)
    time.sleep(3600)


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_part_that_fails_crashes_or_hangs_costs_the_others_nothing(tmp_path, capfd) -> None:
    parts = [
        *(Part("works", "", 1, works), Part("fails", "", 1, fails)),
        *(Part("crashes", "", 1, crashes), Part("hangs", "", 1, hangs)),
        *(Part("long", "", 10_000, works), Part("last", "", 1, works)),
    ]
    target = tmp_path / "x.json"
    assert gpu.main([*ON_CPU, "-o", str(target)], parts=parts) == 0
    rows = json.loads(target.read_text())["parts"]
    assert {name: row["found"] for name, row in rows.items()} == {
        "works": {"one": 1},
        "fails": {"before": 1},
        "crashes": {"before": 1},
        "hangs": {"process": rows["hangs"]["found"]["process"]},
        "long": {},
        "last": {"one": 1},
    }
    assert rows["works"]["left_out"] == {"two": "one is enough"}
    assert rows["works"]["ended"] is rows["last"]["ended"] is None
    assert rows["fails"]["ended"] == "this part needs a screw that is loose"
    assert "SIGSEGV" in rows["crashes"]["ended"]
    assert "stopped after 3 s" in rows["hangs"]["ended"]
    assert "takes about 10000 s" in rows["long"]["ended"]
    assert not is_running(rows["hangs"]["found"]["process"])
    assert "screw" in capfd.readouterr().out
    # The second run begins with what is not finished.
    assert gpu.main([*ON_CPU, "-o", str(target)], parts=[*parts[:2], parts[-1]]) == 0
    said = capfd.readouterr().out
    assert "works: finished in an earlier run" in said
    assert "fails: about" in said


def test_an_interrupt_keeps_what_there_is_and_ends_the_part(tmp_path) -> None:
    parts = [Part("works", "", 1, works), Part("ends", "", 100, interrupts)]
    target = tmp_path / "x.json"
    assert gpu.main([*ON_CPU, "-o", str(target)], parts=parts) == 130
    rows = json.loads(target.read_text())["parts"]
    assert rows["works"]["ended"] is None
    assert "ended" in rows["ends"]["ended"]
    assert not is_running(rows["ends"]["found"]["process"])


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_part_does_not_outlive_the_benchmark(tmp_path) -> None:
    program = """
from benchmarks.gpu.__main__ import main
from tests.end_to_end.test_gpu_benchmark import Part, hangs
main(parts=[Part("hangs", "", 500, hangs)])
"""
    target = tmp_path / "x.json"
    process = started(*ON_CPU, "-o", str(target), program=("-c", program))
    part = None
    while part is None:
        assert process.poll() is None
        time.sleep(0.1)
        if target.exists():
            rows = json.loads(target.read_text())["parts"]
            part = rows.get("hangs", {"found": {}})["found"].get("process")
    process.kill()
    process.communicate()
    for _ in range(100):
        if not is_running(part):
            break
        time.sleep(0.1)
    assert not is_running(part)


def test_chosen_parts_bring_what_they_need(tmp_path) -> None:
    names = [part.name for part in gpu._chosen(PARTS, "folder, peak")]
    assert names == ["models", "peak", "engines", "whole_photo", "folder"]


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

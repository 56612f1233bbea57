"""Which backend and device are taken for what is asked, and what is said where none can be."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sr_runtime import ArgumentError, BackendError
from sr_runtime.__main__ import main
from sr_runtime.backends.choice import choose
from sr_runtime.backends.onnxruntime import providers as onnxruntime_providers
from sr_runtime.backends.onnxruntime.session import check_one_build, open_session, ort
from sr_runtime.backends.registry import BACKENDS, BackendRow, rows
from tests.runtime.test_backends import doubling, foreign
from tests.runtime.test_engine_choice import engine_of
from tests.simulated_tensorrt import simulated

CUDA_BUILD = ["CUDAExecutionProvider", "CPUExecutionProvider"]


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is missing is found once in a process, and here anew in every test; no GPU but those of
    a simulation."""
    monkeypatch.setitem(sys.modules, "sr_runtime.backends.onnxruntime.webgpu", None)
    onnxruntime_providers.cuda_missing.cache_clear()
    yield
    onnxruntime_providers.cuda_missing.cache_clear()


def build_of(monkeypatch: pytest.MonkeyPatch, providers: list[str]) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: providers)


@pytest.mark.parametrize(
    "device",
    ["gpu", "cuda:", "cuda:x", "cuda:-1", "", "cpu,cpu", "cpu,cuda:0", "auto,cpu"],
)
def test_an_unknown_device_is_refused_with_the_known_ones(device: str) -> None:
    with pytest.raises(ArgumentError, match="none of auto, cpu, cuda") as raised:
        choose("auto", device)
    assert repr(device) in str(raised.value)


def test_a_gpu_named_twice_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"cuda,cuda:0.* twice"):
        choose("auto", "cuda,cuda:0")


def test_on_rtx_cards_auto_takes_fp16_files_of_ours_to_tensorrt_for_rtx(
    monkeypatch, tmp_path, tiny_onnx
) -> None:
    build_of(monkeypatch, CUDA_BUILD)
    monkeypatch.setattr(onnxruntime_providers, "_missing_library", lambda: None)
    ours, fp32 = tiny_onnx("fp16"), tiny_onnx()
    others = foreign(tmp_path / "foreign.onnx", doubling(), ["n", 3, "h", "w"])
    with simulated(rtx=True, gpus=2) as machine:
        assert choose("auto", "auto", ours) == ("tensorrt-rtx", "cuda:0")
        assert choose("auto", "cuda:1,cuda:0", ours) == ("tensorrt-rtx", "cuda:1,cuda:0")
        for file in (fp32, others):
            assert choose("auto", "auto", file) == ("onnxruntime", "cuda:0")
        machine.gpu.compute_capability = (9, 0)  # beside it is a card that RTX runs on
        assert choose("auto", "auto", ours) == ("tensorrt-rtx", "cuda:1")
        assert choose("auto", "cuda:0", ours) == ("onnxruntime", "cuda:0")
    with simulated(None):
        assert choose("auto", "auto", ours) == ("onnxruntime", "cuda:0")


def test_without_a_gpu_auto_is_the_cpu(monkeypatch) -> None:
    build_of(monkeypatch, CUDA_BUILD)
    with simulated(driver=False):
        assert choose("auto", "auto") == ("openvino", "cpu")
        assert choose("onnxruntime", "auto") == ("onnxruntime", "cpu")
        assert choose("auto", "cpu") == ("openvino", "cpu")


def test_with_gpus_auto_is_the_first_and_cuda_too(monkeypatch) -> None:
    build_of(monkeypatch, CUDA_BUILD)
    monkeypatch.setattr(onnxruntime_providers, "_missing_library", lambda: None)
    with simulated(gpus=2):
        assert choose("auto", "auto") == ("onnxruntime", "cuda:0")
        assert choose("auto", "cuda") == ("onnxruntime", "cuda:0")
        assert choose("auto", "cuda:1, cuda:0") == ("onnxruntime", "cuda:1,cuda:0")
        assert choose("auto", "cpu") == ("openvino", "cpu")
        assert [row.load().devices() for row in rows("onnxruntime")] == [
            ("cuda:0", "cuda:1"),
            ("cpu",),
        ]
        with pytest.raises(BackendError, match=r"device cuda:2 .*cuda:0 and cuda:1"):
            choose("auto", "cuda:2")
        with pytest.raises(BackendError, match="openvino runs on cpu"):
            choose("openvino", "cuda")


def test_only_an_engine_or_an_explicit_word_leads_to_tensorrt(monkeypatch, tmp_path) -> None:
    build_of(monkeypatch, ["CPUExecutionProvider"])
    with simulated():
        assert choose("auto", "auto", Path("model.onnx")) == ("openvino", "cpu")
        with pytest.raises(BackendError, match="without CUDA"):
            choose("auto", "cuda", Path("model.onnx"))
        for suffix in (".engine", ".plan", ".ENGINE"):
            engine = engine_of("tensorrt", tmp_path / f"m{suffix}")
            assert choose("auto", "auto", engine) == ("tensorrt", "cuda:0")
        assert choose("tensorrt", "auto", Path("model.onnx")) == ("tensorrt", "cuda:0")
    with simulated(driver=False), pytest.raises(BackendError, match=r"tensorrt: .*NVIDIA driver"):
        choose("auto", "auto", engine)


def test_an_unavailable_gpu_is_refused_with_the_reason(monkeypatch) -> None:
    with simulated(driver=False):
        build_of(monkeypatch, ["CPUExecutionProvider"])
        with pytest.raises(BackendError, match=r'without CUDA.*pip install "sr-toolkit\[gpu\]"'):
            choose("onnxruntime", "cuda")
        onnxruntime_providers.cuda_missing.cache_clear()
        build_of(monkeypatch, CUDA_BUILD)
        with pytest.raises(BackendError, match="there is no NVIDIA driver"):
            choose("onnxruntime", "cuda")
    onnxruntime_providers.cuda_missing.cache_clear()
    with simulated(gpus=0), pytest.raises(BackendError, match="CUDA finds no GPU"):
        choose("onnxruntime", "cuda")


def test_a_driver_too_old_for_the_installed_onnxruntime_is_refused_before_it_is_tried(
    monkeypatch,
) -> None:
    build_of(monkeypatch, CUDA_BUILD)
    monkeypatch.setattr(
        ort, "cuda_version", "13.0", raising=False
    )  # as the GPU's package states it
    with simulated() as machine:
        machine.cuda = 12090
        with pytest.raises(BackendError, match=r"knows CUDA 12\.9, and onnxruntime-gpu .*CUDA 13"):
            choose("onnxruntime", "cuda")


def test_a_library_that_the_cuda_provider_lacks_is_named(monkeypatch, capsys) -> None:
    def preload_dlls() -> None:  # as where the driver is all there is
        print("Failed to load libcublasLt.so.13: cannot open shared object file")
        print("Please follow the instructions to install CUDA.")

    build_of(monkeypatch, CUDA_BUILD)
    monkeypatch.setattr(ort, "preload_dlls", preload_dlls)
    with simulated(), pytest.raises(BackendError, match=r"needs libcublasLt.so.13, .*pip install"):
        choose("onnxruntime", "cuda")
    assert capsys.readouterr().out == ""


def test_a_provider_that_did_not_load_is_not_replaced_by_the_cpu(tiny_onnx) -> None:
    if "CUDAExecutionProvider" in ort.get_available_providers():
        pytest.skip("this onnxruntime has the CUDA provider")
    with (
        pytest.warns(UserWarning, match="not in available provider names"),
        pytest.raises(BackendError, match="CUDAExecutionProvider could not be loaded"),
    ):
        open_session(tiny_onnx(), [("CUDAExecutionProvider", {}), ("CPUExecutionProvider", {})])


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [
        ("openvino", "openvino", "cpu"),
        ("tensorrt", "tensorrt", "tensorrt"),
        ("tensorrt-rtx", "tensorrt_rtx", "rtx"),
    ],
)
def test_what_is_not_installed_is_named_with_its_extra(name, module, extra) -> None:
    with simulated(), pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, module, None)
        patch.delitem(sys.modules, f"sr_runtime.backends.{name}", raising=False)
        with pytest.raises(BackendError) as raised:
            rows(name)[0].load().devices()
    assert str(raised.value) == f'{module} is not installed: pip install "sr-toolkit[{extra}]"'


def test_without_the_plugin_for_webgpu_its_extra_is_named(monkeypatch) -> None:
    monkeypatch.delitem(sys.modules, "sr_runtime.backends.onnxruntime.webgpu")
    monkeypatch.setitem(sys.modules, "onnxruntime_ep_webgpu", None)
    with pytest.raises(BackendError, match=r'_ep_webgpu is not .*"sr-toolkit\[webgpu\]"'):
        choose("webgpu", "auto")


@pytest.mark.parametrize("other", ["onnxruntime-gpu", "onnxruntime-webgpu"])
def test_two_builds_of_onnxruntime_are_refused_only_in_one_folder(
    other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def install(build: str, folder: str) -> None:
        facts = tmp_path / folder / f"{build.replace('-', '_')}-1.31.0.dist-info"
        facts.mkdir(parents=True)
        (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {build}\nVersion: 1.31.0\n")
        monkeypatch.syspath_prepend(tmp_path / folder)

    install("onnxruntime", "one")
    install(other, "two")
    check_one_build()
    install(other, "one")
    with pytest.raises(ImportError, match=f"^onnxruntime and {other} are both installed"):
        check_one_build()


def test_info_shows_what_works_and_why_the_gpu_does_not(monkeypatch, capsys) -> None:
    build_of(monkeypatch, ["CPUExecutionProvider"])
    assert main(["info"]) == 0
    said = capsys.readouterr().out
    assert "works here on cpu in fp32" in said
    assert "does not work here: the installed onnxruntime is the one without CUDA" in said


def test_info_and_the_guide_have_every_backend_with_hardware_and_extra(capsys) -> None:
    assert main(["info"]) == 0
    said = capsys.readouterr().out
    guide = (Path(__file__).parents[2] / "docs" / "gpus.md").read_text(encoding="utf-8")
    for row in BACKENDS:
        assert f"for {row.hardware} (extra {row.extra})" in said
        assert f"| {row.hardware} | `{row.name}` | `{row.extra}` |" in guide


def test_the_command_line_refuses_a_device_in_one_sentence(tiny_onnx, capsys, tmp_path) -> None:
    command = ["upscale", str(tmp_path), "-m", str(tiny_onnx()), "--device", "gpu"]
    assert main(command) == 2
    assert capsys.readouterr().err.startswith("error: device 'gpu' is none of auto, cpu")


@pytest.mark.parametrize("row", BACKENDS, ids=lambda row: f"{row.name}-{row.kind}")
def test_every_row_has_devices_or_a_reason_in_one_line(row: BackendRow) -> None:
    try:
        devices = row.load().devices()
    except BackendError as error:
        reason = str(error)
    else:
        assert all(device.startswith(row.kind) for device in devices)
        reason = f"works on {devices[0]} in {row.load().precisions()[0]}"
    assert len(reason.splitlines()) == 1


def test_a_named_backend_that_does_not_work_is_named_once(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.delitem(sys.modules, "sr_runtime.backends.openvino", raising=False)
    with pytest.raises(BackendError) as raised:
        choose("openvino", "auto")
    assert "openvino: openvino" not in str(raised.value)
    assert str(raised.value).startswith("backend openvino does not work here: openvino is not")


@pytest.mark.parametrize("path", ["/" + "a" * 5000, "./a\0b.so"])
def test_a_plugin_that_no_file_can_be_is_not_found(path: str) -> None:
    with pytest.raises(BackendError, match="no such plug-in"):
        choose(f"plugin:{path}", "auto")


def test_where_nothing_works_the_extra_for_any_computer_is_named(monkeypatch) -> None:
    without = [replace(row, opens=f"no_library_{row.extra}:Backend") for row in BACKENDS]
    monkeypatch.setattr("sr_runtime.backends.choice.BACKENDS", without)
    with pytest.raises(BackendError, match="no_library_cpu is not installed: ") as raised:
        choose("auto", "auto")
    assert "NVIDIA" not in str(raised.value)
    assert "no_library_webgpu" not in str(raised.value)

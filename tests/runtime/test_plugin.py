"""Plug-ins of ONNX Runtime, by a wheel's name or a library's path."""

import importlib.util
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import sr_runtime
from benchmarks.software_adapter import use_software_adapter
from sr_runtime import ArgumentError, BackendError, ModelError, ModelInfo
from sr_runtime.backends.choice import choose
from sr_runtime.backends.onnxruntime.plugin import plugin_devices
from tests.runtime.test_backends import doubling, foreign

use_software_adapter()

PHOTO = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)


def library_of(plugin: str) -> str:
    """The path of an installed plug-in that finds a device here; else the test is skipped."""
    module = f"onnxruntime_ep_{plugin}"
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    if not plugin_devices(plugin):
        pytest.skip(f"plug-in {plugin} finds no device here")
    return str(importlib.import_module(module).get_library_path())


# Python's own pools of threads end with the main thread, and the program's threads do not.
AFTER_MAIN = """
import sys, threading
import numpy as np
import sr_runtime
upscaler = sr_runtime.load(sys.argv[1], backend="plugin:webgpu")
def work():
    threading.main_thread().join()
    print(upscaler.upscale(np.zeros((8, 9, 3), np.uint8)).shape)
threading.Thread(target=work).start()
"""


@pytest.fixture
def twice(tmp_path: Path) -> Path:
    """A network that repeats every pixel 2×2."""
    return foreign(tmp_path / "m.onnx", doubling(), ["n", 3, "h", "w"])


@pytest.mark.slow
@pytest.mark.parametrize("plugin", ["webgpu", "openvino"])
def test_a_plugin_runs_a_model_on_the_device_that_it_finds(plugin: str, twice: Path) -> None:
    library = library_of(plugin)
    for name in (f"plugin:{plugin}", f"plugin:{library}"):
        chosen, device = choose(name, "auto")
        assert (chosen, device.partition(":")[0] in ("cpu", "gpu", "npu")) == (name, True)
        with sr_runtime.load(twice, backend=name) as upscaler:
            assert (upscaler.backend.name, upscaler.backend.device) == (name, device)
            assert " nodes run in " in upscaler.backend.notes[-1]
            result = upscaler.upscale(PHOTO)
        assert np.abs(result - PHOTO.repeat(2, 0).repeat(2, 1).astype(int)).max() <= 1


@pytest.mark.slow
def test_a_blend_is_opened_again_though_its_file_is_gone(twice: Path) -> None:
    library_of("webgpu")
    info = ModelInfo(
        arch="twice", scale=2, in_channels=3, out_channels=3, io="float32",
        weights_dtype="float32", blend=0.5,
    )  # fmt: skip
    model = onnx.load(twice)
    onnx.helper.set_model_props(model, info.to_metadata())
    onnx.save(model, twice)
    with sr_runtime.load(twice, backend="plugin:webgpu") as upscaler:
        twice.unlink()
        upscaler.backend.shrink()  # as after a lack of memory
        expected = PHOTO.repeat(2, 0).repeat(2, 1)
        np.testing.assert_array_equal(upscaler.upscale(PHOTO), expected)


@pytest.mark.slow
def test_a_thread_that_outlives_the_main_one_goes_on(twice: Path) -> None:
    library_of("webgpu")
    done = subprocess.run(
        [sys.executable, "-c", AFTER_MAIN, str(twice)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "(16, 18, 3)\n"), done.stderr


def test_a_device_that_a_plugin_has_not_is_refused_with_those_it_has() -> None:
    library_of("webgpu")
    with pytest.raises(BackendError, match=r"npu:3 is not available here: .*finds no npu here"):
        choose("plugin:webgpu", "npu:3")
    with pytest.raises(ArgumentError, match=r"'cuda' is none of auto, cpu, gpu, gpu:N, npu"):
        choose("plugin:webgpu", "cuda")


def test_a_plugin_that_finds_no_device_says_so() -> None:
    if importlib.util.find_spec("onnxruntime_ep_openvino") is None:
        pytest.skip("onnxruntime_ep_openvino is not installed")
    if plugin_devices("openvino"):
        pytest.skip("OpenVINO's plug-in finds a device here: Intel's processor")
    with pytest.raises(BackendError, match=r"not work here: plugin:openvino: it finds no device "):
        choose("plugin:openvino", "auto")


def test_an_unknown_plugin_is_named_with_its_package() -> None:
    with pytest.raises(BackendError, match=r"ep_qn_x is.*pip install onnxruntime-ep-qn-x"):
        choose("plugin:qn-x", "auto")
    with pytest.raises(BackendError, match="ep_qn_x is not installed"):  # pip knows no case
        choose("plugin:QN-X", "auto")
    with pytest.raises(ArgumentError, match=r"'plugin:' is none of .*, plugin:NAME"):
        choose("plugin:", "auto")


def test_an_onnxruntime_that_is_too_old_for_plugins_is_named(monkeypatch) -> None:
    base = ort.InferenceSession.__base__
    monkeypatch.delattr(base, "get_provider_graph_assignment_info")
    with pytest.raises(BackendError, match=r"plug-ins need onnxruntime 1\.31, and .* is installed"):
        choose("plugin:qnn", "auto")


def test_a_path_that_is_no_plugin_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.so"
    text.write_text("no library")
    other = Path(sysconfig.get_path("platlib")) / "numpy/_core"
    (library,) = other.glob("_multiarray_umath.*")
    cases = {
        tmp_path / "missing.so": "there is no such plug-in library",
        text: "this is no plug-in for onnxruntime",
        library: "this is no plug-in for onnxruntime .*CreateEpFactories",
    }
    for path, says in cases.items():
        with pytest.raises(BackendError, match=says) as raised:
            choose(f"plugin:{path}", "auto")
        assert str(path) in str(raised.value)
        assert len(str(raised.value).splitlines()) == 1


def test_a_plugin_takes_no_text_for_a_model(tmp_path: Path) -> None:
    library_of("webgpu")
    (tmp_path / "m.onnx").write_text("not a model")
    with pytest.raises(ModelError, match="not a readable ONNX model"):
        sr_runtime.load(tmp_path / "m.onnx", backend="plugin:webgpu")

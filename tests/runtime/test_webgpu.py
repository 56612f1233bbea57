"""WebGPU on a GPU in software: its pictures, precision and memory, and what the CPU computes."""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import sr_runtime
from benchmarks.software_adapter import use_software_adapter
from sr_runtime import BackendError, ModelError, OutOfMemoryError
from sr_runtime.backends.base import infer
from sr_runtime.backends.choice import choose, open_backend
from sr_runtime.backends.onnxruntime import plugin
from sr_runtime.backends.onnxruntime.plugin import plugin_devices
from sr_runtime.backends.registry import rows
from sr_runtime.embedded import DEFAULT
from tests.runtime.test_backends import doubling, foreign
from tests.tolerances import LARGEST_DIFFERENCE

use_software_adapter()

RANDOM = np.random.default_rng(0)
PHOTO = RANDOM.integers(0, 256, (26, 30, 3), np.uint8)


@pytest.fixture(scope="module", autouse=True)
def _adapter() -> None:
    """Without an adapter there is nothing to test; with an f16 one, other tests are needed."""
    try:
        (row,) = rows("webgpu")
        precisions = row.load().precisions()
    except BackendError as error:
        pytest.skip(f"WebGPU does not work here: {error}")
    if precisions != ("fp32",):
        pytest.skip("these tests are for an adapter without f16")


# Without turns ONNX Runtime ends the process.
SIDE_BY_SIDE = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import numpy as np
from sr_runtime.backends.base import infer
from sr_runtime.backends.choice import open_backend
models = [
    open_backend("webgpu", Path(sys.argv[1]), device="webgpu:0", precision="fp32") for _ in range(4)
]
batches = np.random.default_rng(0).random((4, 1, 3, 16, 16), np.float32)
expected = [infer(*pair) for pair in zip(models, batches)]
def equal(number):
    return sum(np.array_equal(infer(models[number], batches[number]), expected[number])
               for _ in range(30))
with ThreadPoolExecutor(4) as threads:
    print(sum(threads.map(equal, range(4))), "equal")
"""


def upscaled(model: Path, image: np.ndarray, **options: object) -> np.ndarray:
    with sr_runtime.load(model, **options) as upscaler:
        return upscaler.upscale(image)


@pytest.fixture
def blurring(tmp_path: Path) -> Path:
    """A network of one 3×3 convolution, which takes no time."""
    weights = doubling() / 2 + RANDOM.random((12, 3, 3, 3), np.float32) / 54
    return foreign(tmp_path / "m.onnx", weights, ["n", 3, "h", "w"])


@pytest.mark.slow
def test_tiles_equal_the_whole_image_and_the_cpu(blurring) -> None:
    expected = upscaled(blurring, PHOTO, backend="onnxruntime", device="cpu")
    whole = upscaled(blurring, PHOTO, backend="webgpu")
    tiled = upscaled(blurring, PHOTO, backend="webgpu", tile=16, halo=1)
    np.testing.assert_array_equal(tiled, whole)
    assert np.abs(whole.astype(int) - expected).max() <= LARGEST_DIFFERENCE["fp32"]


@pytest.mark.slow
def test_the_embedded_fp16_model_runs_in_fp32_and_says_why() -> None:
    image = PHOTO[:8, :9]
    expected = upscaled(DEFAULT, image, backend="openvino", precision="fp32")
    with sr_runtime.load(backend="webgpu") as upscaler:
        assert upscaler.backend.compute_dtype == "fp32"
        assert upscaler.info.weights_dtype == "float16"
        assert "SwiftShader" in upscaler.backend.notes[0]
        assert "in fp32, because the adapter has no f16" in upscaler.backend.notes[1]
        result = upscaler.upscale(image)
    assert np.abs(result.astype(int) - expected).max() <= LARGEST_DIFFERENCE["fp32"]


def test_fp16_is_refused_where_the_adapter_or_the_file_has_none(blurring, monkeypatch) -> None:
    with pytest.raises(BackendError, match=r"fp16 is not available: .*webgpu offers fp32"):
        sr_runtime.load("esrgan", backend="webgpu", precision="fp16")
    monkeypatch.setattr("sr_runtime.backends.onnxruntime.webgpu._has_f16", lambda: True)
    with pytest.raises(BackendError, match=r"fp16 is not available: the file is fp32: export"):
        sr_runtime.load(blurring, backend="webgpu", precision="fp16")


def test_an_adapter_with_f16_gets_the_fp16_file_as_it_is_unless_fp32_is_named(monkeypatch) -> None:
    monkeypatch.setattr("sr_runtime.backends.onnxruntime.webgpu._has_f16", lambda: True)
    with pytest.raises(BackendError, match="requires f16"):  # this adapter has none
        sr_runtime.load("esrgan", backend="webgpu")
    with sr_runtime.load("esrgan", backend="webgpu", precision="fp32") as upscaler:
        assert upscaler.backend.compute_dtype == "fp32"
        assert upscaler.backend.notes[1] == "the file's fp16 weights are computed in fp32"


def test_auto_takes_an_adapter_in_software_only_when_it_is_named() -> None:
    assert choose("auto", "auto")[0] != "webgpu"
    assert choose("webgpu", "auto") == choose("auto", "webgpu") == ("webgpu", "webgpu:0")
    with pytest.raises(BackendError, match=r"SwiftShader.* is a program on the CPU"):
        rows("webgpu")[0].load().check_auto()


def test_onnxruntime_has_one_adapter_whatever_the_number() -> None:
    with pytest.raises(BackendError, match=r"device webgpu:1 is not .*runs here on webgpu:0"):
        choose("webgpu", "webgpu:1")


@pytest.mark.slow
def test_the_nodes_that_run_on_the_cpu_are_named(tiny_onnx) -> None:
    notes = []
    for model in ("esrgan", tiny_onnx("fp16", "uint8")):
        with sr_runtime.load(model, backend="webgpu") as upscaler:
            notes.append(upscaler.backend.notes[-1])
    assert "nodes run in WebGpuExecutionProvider" in notes[0]
    assert "CPU" not in notes[0]
    assert "on the CPU: IsInf, IsNaN, Round" in notes[1]


def test_a_model_whose_work_stays_on_the_cpu_is_refused(tmp_path) -> None:
    # WebGPU has no double.
    nodes = [
        helper.make_node("Cast", ["x"], ["a"], to=TensorProto.DOUBLE),
        helper.make_node("MatMul", ["a", "w"], ["b"]),
        helper.make_node("Cast", ["b"], ["y"], to=TensorProto.FLOAT),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * 4)],
        [numpy_helper.from_array(np.eye(32), "w")],
    )
    path = tmp_path / "m.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path
    )
    sr_runtime.load(path, backend="onnxruntime", device="cpu").close()
    with pytest.raises(BackendError, match=r"leaves MatMul of this model to the CPU"):
        sr_runtime.load(path, backend="webgpu")


@pytest.mark.slow
def test_a_buffer_over_the_adapters_limit_is_out_of_memory_and_a_small_one_still_runs(
    blurring,
) -> None:
    small = RANDOM.random((1, 3, 8, 9), np.float32)
    large = np.zeros((1, 3, 10000, 10000), np.float32)  # 1.2 GB, of which not a page is touched
    with closing(open_backend("webgpu", blurring, device="webgpu:0", precision="fp32")) as backend:
        before = infer(backend, small)
        with pytest.raises(OutOfMemoryError, match="not enough memory for a tile") as raised:
            infer(backend, large)
        assert "\n" not in str(raised.value)
        np.testing.assert_array_equal(infer(backend, small), before)


@pytest.mark.slow
def test_tiles_too_large_for_the_adapter_lead_to_smaller_ones(tmp_path) -> None:
    """The model adds 0 times the outer product of all pixels: 1.6 GB at 140×140, 96 MB at 70×70."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Slice", ["x", "zero", "one", "channel"], ["red"]),
        helper.make_node("Reshape", ["red", "column"], ["c"]),
        helper.make_node("Reshape", ["red", "row"], ["r"]),
        helper.make_node("Mul", ["c", "r"], ["outer"]),
        helper.make_node("Slice", ["outer", "zeros", "ones"], ["corner"]),
        helper.make_node("Mul", ["corner", "nothing"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["d"]),
        helper.make_node("DepthToSpace", ["d"], ["y"], blocksize=2),
    ]
    constants = {
        "w": doubling(),
        "nothing": np.zeros(1, np.float32),
        **{
            name: np.array(values, np.int64)
            for name, values in {
                "zero": [0], "one": [1], "channel": [1], "column": [-1, 1], "row": [1, -1],
                "zeros": [0, 0], "ones": [1, 1],
            }.items()
        },
    }  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, "h", "w"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * 4)],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    path = tmp_path / "m.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path
    )
    image = RANDOM.integers(0, 256, (140, 140, 3), np.uint8)
    with sr_runtime.load(path, backend="webgpu", tile=140, halo=0) as upscaler:
        with pytest.warns(RuntimeWarning, match=r"continuing with tiles of \d+ instead of 14"):
            result = upscaler.upscale(image)
        assert upscaler.max_tile < (140, 140)
    np.testing.assert_array_equal(result, image.repeat(2, 0).repeat(2, 1))


def test_a_model_that_is_refused_leaves_no_session(blurring, monkeypatch) -> None:
    """It would be dropped while another one runs, which ends the process."""
    opened = []

    def refuse(_model, run, *_: object) -> None:
        opened.append(run.__self__)
        raise ModelError("not a super-resolution model")

    monkeypatch.setattr(plugin, "probe_info", refuse)
    with pytest.raises(ModelError):
        sr_runtime.load(blurring, backend="webgpu")
    assert opened[0]._session is None


@pytest.mark.slow
def test_two_models_run_side_by_side(blurring) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SIDE_BY_SIDE, str(blurring)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "120 equal\n")


@pytest.mark.slow
def test_a_lost_gpu_is_one_sentence_and_the_next_image_opens_it_again(
    blurring, monkeypatch
) -> None:
    run = plugin.run_session

    def lost(*_: object) -> None:
        raise BackendError("onnxruntime could not run the model ([Device] is lost.)")

    with sr_runtime.load(blurring, backend="webgpu") as upscaler:
        expected = upscaler.upscale(PHOTO)
        monkeypatch.setattr(plugin, "run_session", lost)
        with pytest.raises(BackendError, match=r"the GPU was lost: .*try again"):
            upscaler.upscale(PHOTO)
        assert upscaler.backend._session is None
        monkeypatch.setattr(plugin, "run_session", run)
        np.testing.assert_array_equal(upscaler.upscale(PHOTO), expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "variable", "value", "says"),
    [
        ("webgpu", "VK_DRIVER_FILES", "/nonexistent", "no adapter opens (Failed to get a WebGPU"),
        ("webgpu", "ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER", "0", "the system lists no GPU"),
        ("plugin:webgpu", "ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER", "0", "it finds no device here"),
    ],
)
def test_without_an_adapter_nothing_is_computed_on_the_cpu_instead(
    backend, variable, value, says, tmp_path
) -> None:
    (device,) = plugin_devices("webgpu")
    if value == "0" and device.device.type.name != "CPU":
        pytest.skip("the system lists a GPU")
    done = subprocess.run(
        [sys.executable, "-m", "sr_runtime", "upscale", __file__, "--backend", backend,
         "-o", str(tmp_path / "out.png")],
        env={**os.environ, variable: value}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert f"error: backend {backend} does not work here: {says}" in done.stderr
    assert list(tmp_path.iterdir()) == []

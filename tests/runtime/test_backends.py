"""Every backend runs our files and anyone else's, and says clearly what it cannot."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import sr_runtime
from sr_runtime import (
    ArgumentError,
    BackendError,
    ModelError,
    NonFiniteError,
)
from sr_runtime.backends.registry import BackendRow, rows
from tests.conftest import tiny_generator
from tests.runtime.every_row import every_fast_row, every_row, shaders_kept  # noqa: F401

PHOTO = np.random.default_rng(0).integers(0, 256, (50, 41, 3), np.uint8)


def chosen(row: BackendRow) -> dict[str, str]:
    """The arguments of `load` for this backend, in the precision that comes closest to torch."""
    precision = "fp32" if row.kind == "cpu" else "auto"
    return {"backend": row.name, "device": row.kind, "precision": precision}


def expected(image: np.ndarray, **options: int) -> np.ndarray:
    """What torch makes of the image."""
    tensor = torch.from_numpy(image.transpose(2, 0, 1)[None] / np.float32(255))
    with torch.inference_mode():
        output = tiny_generator(**options)(tensor)[0].permute(1, 2, 0).numpy()
    return np.rint(output.clip(0, 1) * 255)


def foreign(path: Path, weights: np.ndarray, shape: list, dtype: int = TensorProto.FLOAT) -> Path:
    """A model without our facts: a 3×3 convolution, then depth to space ×2."""
    np_dtype = np.float16 if dtype == TensorProto.FLOAT16 else np.float32
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
            helper.make_node("DepthToSpace", ["a"], ["y"], blocksize=2),
        ],
        "g",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info("y", dtype, [None] * len(shape))],
        [numpy_helper.from_array(weights.astype(np_dtype), "w")],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path
    )
    return path


def doubling(channels: int = 3) -> np.ndarray:
    """Weights that repeat every pixel 2×2: DepthToSpace takes blocks first, then channels."""
    weights = np.zeros((4 * channels, channels, 3, 3), np.float32)
    for output in range(4 * channels):
        weights[output, output % channels, 1, 1] = 1
    return weights


@pytest.mark.slow
@every_fast_row
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("io", ["float32", "uint8"])
def test_every_kind_of_export_gives_torchs_picture(row, precision, io, tiny_onnx) -> None:
    with sr_runtime.load(tiny_onnx(precision, io), **chosen(row)) as upscaler:
        result = upscaler.upscale(PHOTO)
    assert np.abs(result - expected(PHOTO)).max() <= 1


@every_fast_row
@pytest.mark.parametrize("io", ["float32", "uint8"])
def test_tiles_of_a_real_network_equal_its_whole_image(row, io, tiny_onnx) -> None:
    model = tiny_onnx(io=io)
    with sr_runtime.load(model, **chosen(row), tile=48, halo="exact") as tiled:
        assert len(tiled.plan(*PHOTO.shape[:2])) > 1
        result = tiled.upscale(PHOTO)
    # Engines sum in another order for another shape: the last bit of a float may round away.
    assert np.abs(result - expected(PHOTO)).max() <= 1


@pytest.mark.slow
@every_fast_row
def test_an_unshuffle_model_takes_odd_sizes(row, tiny_onnx) -> None:
    options = {"scale_factor": 2, "unshuffle": 2}
    with sr_runtime.load(tiny_onnx(**options), **chosen(row)) as upscaler:
        result = upscaler.upscale(PHOTO)
    padded = np.pad(PHOTO, ((0, 0), (0, 1), (0, 0)), mode="edge")
    assert result.shape == (100, 82, 3)
    assert np.abs(result - expected(padded, **options)[:, :82]).max() <= 1


@every_row
def test_anyone_elses_dynamic_model_runs_and_its_facts_are_probed(row, tmp_path) -> None:
    model = foreign(tmp_path / "m.onnx", doubling(), ["n", 3, "h", "w"])
    with sr_runtime.load(model, **chosen(row)) as upscaler:
        assert (upscaler.info.scale, upscaler.info.in_channels, upscaler.halo) == (2, 3, 4)
        assert {"scale", "halo", "input_range"} < {*upscaler.info.measured}
        np.testing.assert_array_equal(upscaler.upscale(PHOTO), PHOTO.repeat(2, 0).repeat(2, 1))
    with pytest.raises(ArgumentError, match=r"exact.*receptive radius"):
        sr_runtime.load(model, **chosen(row), halo="exact")


@every_row
@pytest.mark.parametrize(
    "shape", [[1, 3, 24, 32], [2, 3, 24, 32], [1, 3, 24, "w"], [1, 3, "h", 32]]
)
def test_anyone_elses_fixed_size_model_runs_on_any_image(row, shape, tmp_path) -> None:
    model = foreign(tmp_path / "m.onnx", doubling(), shape)
    with sr_runtime.load(model, **chosen(row)) as upscaler:
        for image in (PHOTO, PHOTO[:1, :1], PHOTO[:5], PHOTO[:24, :32]):
            np.testing.assert_array_equal(upscaler.upscale(image), image.repeat(2, 0).repeat(2, 1))


@every_row
def test_tta_is_refused_where_a_turned_tile_does_not_fit(row, tmp_path) -> None:
    model = foreign(tmp_path / "m.onnx", doubling(), [1, 3, 24, 32])
    with pytest.raises(ArgumentError, match=r"tta.*\(24, 32\)"):
        sr_runtime.load(model, **chosen(row), tta=True)


@every_row
def test_a_model_with_half_inputs_and_a_gray_model_run(row, tmp_path) -> None:
    half = foreign(tmp_path / "h.onnx", doubling(), ["n", 3, "h", "w"], TensorProto.FLOAT16)
    gray = foreign(tmp_path / "g.onnx", doubling(1), ["n", 1, "h", "w"])
    with sr_runtime.load(half, **chosen(row)) as upscaler:
        assert (
            np.abs(upscaler.upscale(PHOTO) - PHOTO.repeat(2, 0).repeat(2, 1).astype(int)).max() <= 1
        )
    with sr_runtime.load(gray, **chosen(row)) as upscaler:
        image = PHOTO[:, :, :1]
        np.testing.assert_array_equal(upscaler.upscale(image), image.repeat(2, 0).repeat(2, 1))
        with pytest.raises(ArgumentError, match="takes 1 channel"):
            upscaler.upscale(PHOTO)


@every_row
def test_a_second_output_of_anyone_elses_model_is_ignored(row, tmp_path) -> None:
    path = foreign(tmp_path / "m.onnx", doubling(), ["n", 3, "h", "w"])
    model = onnx.load(path)
    model.graph.node.append(helper.make_node("Mul", ["y", "zero"], ["z"]))
    model.graph.initializer.append(numpy_helper.from_array(np.float32(0), "zero"))
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [None] * 4))
    onnx.save(model, path)
    with sr_runtime.load(path, **chosen(row)) as upscaler:
        np.testing.assert_array_equal(upscaler.upscale(PHOTO), PHOTO.repeat(2, 0).repeat(2, 1))


@every_row
def test_a_file_that_is_not_a_super_resolution_model_is_refused_with_the_reason(
    row, tmp_path
) -> None:
    text = tmp_path / "text.onnx"
    text.write_text("not a model")
    classes = np.zeros((10, 3, 3, 3), np.float32)
    cases = {
        text: "not a readable ONNX model",
        tmp_path / "missing.onnx": "no such model file",
        tmp_path: "this is a folder",
        foreign(tmp_path / "four.onnx", doubling(4), ["n", 4, "h", "w"]): "takes 4 channels",
        foreign(
            tmp_path / "other.onnx", np.repeat(classes, 2, 0), ["n", 3, "h", "w"]
        ): "enlarged by a whole factor",
    }
    for path, says in cases.items():
        with pytest.raises(ModelError, match=says) as raised:
            sr_runtime.load(path, **chosen(row))
        assert "\n" not in str(raised.value)
        assert str(path) in str(raised.value)


@every_fast_row
@pytest.mark.parametrize("io", ["float32", "uint8"])
def test_nan_weights_raise_where_uint8_would_hide_them(row, io, tiny_onnx, tmp_path) -> None:
    model = onnx.load(tiny_onnx(io=io))
    weights = next(
        tensor for tensor in model.graph.initializer if "conv_body.weight" in tensor.name
    )
    values = numpy_helper.to_array(weights).copy()
    values[0, 0, 0, 0] = np.nan
    weights.CopyFrom(numpy_helper.from_array(values, weights.name))
    onnx.save(model, tmp_path / "nan.onnx")
    with (
        sr_runtime.load(tmp_path / "nan.onnx", **chosen(row)) as upscaler,
        pytest.raises(NonFiniteError, match="NaN or infinity"),
    ):
        upscaler.upscale(PHOTO)


@every_row
def test_16_bits_are_refused_by_a_uint8_model(row, tiny_onnx) -> None:
    with (
        sr_runtime.load(tiny_onnx(io="uint8"), **chosen(row)) as upscaler,
        pytest.raises(ArgumentError, match=r"uint16.*--io float32"),
    ):
        upscaler.upscale(PHOTO.astype(np.uint16))


def test_auto_takes_bf16_only_where_the_processor_has_it(tiny_onnx) -> None:
    with sr_runtime.load(tiny_onnx()) as upscaler:
        assert upscaler.backend.name == "openvino"
        assert upscaler.backend.compute_dtype == rows("openvino")[0].load().precisions()[0]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (
            {"backend": "tensorflow"},
            "tensorflow.*onnxruntime, webgpu, openvino, plugin:NAME",
        ),
        ({"backend": "onnxruntime", "precision": "bf16"}, "bf16.*offers fp32"),
        ({"precision": "fp16"}, "fp16.*fp32"),
        ({"backend": "openvino", "device": "cuda"}, "device cuda .*openvino runs on cpu"),
        ({"halo": -1}, "halo -1"),
        ({"tile": 10}, "at least 33"),
    ],
)
def test_asking_for_something_unavailable_is_an_error(asked, says, tiny_onnx) -> None:
    with pytest.raises((ArgumentError, BackendError), match=says):
        sr_runtime.load(tiny_onnx(), **asked)


def test_damaged_facts_in_a_model_are_named(tiny_onnx, tmp_path) -> None:
    for key, value, says in [
        ("sr.scale", "four", "damaged"),
        ("sr.schema", "99", "update sr-toolkit"),
    ]:
        model = onnx.load(tiny_onnx())
        next(prop for prop in model.metadata_props if prop.key == key).value = value
        onnx.save(model, tmp_path / "m.onnx")
        with pytest.raises(ModelError, match=says):
            sr_runtime.load(tmp_path / "m.onnx")


def test_a_wrong_scale_in_the_metadata_is_found_at_the_first_tile(tiny_onnx, tmp_path) -> None:
    model = onnx.load(tiny_onnx())
    next(prop for prop in model.metadata_props if prop.key == "sr.scale").value = "2"
    onnx.save(model, tmp_path / "m.onnx")
    with (
        sr_runtime.load(tmp_path / "m.onnx") as upscaler,
        pytest.raises(ModelError, match=r"scale 2, multiple_of 1"),
    ):
        upscaler.upscale(PHOTO)

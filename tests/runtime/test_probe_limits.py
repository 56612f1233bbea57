"""What the probe refuses, what it cannot measure, and where it ends."""

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto

import sr_runtime
from sr_runtime import ModelError, Upscaler
from sr_runtime.__main__ import main
from sr_runtime.backends.probe import trial
from tests.runtime.foreign_models import ANY, nearest, node, save, scalar

PHOTO = np.random.default_rng(0).integers(0, 256, (90, 70, 3), np.uint8)
DOUBLED = PHOTO.repeat(2, 0).repeat(2, 1)
ENGINES = ["onnxruntime", "openvino"]


def load(model: Path, backend: str = "onnxruntime", **options: object) -> Upscaler:
    return sr_runtime.load(model, backend=backend, device="cpu", **options)


def typed_output(path: Path, nodes: list[NodeProto], dtype: int, **constants: np.ndarray) -> Path:
    model = onnx.load(save(path, nodes, **constants))
    model.graph.output[0].type.tensor_type.elem_type = dtype
    onnx.save(model, path)
    return path


def noisy(path: Path) -> Path:
    nodes = [
        node("RandomNormalLike", "x", "n", scale=0.02),
        node("Add", "x n", "a"),
        nearest("a", "y"),
    ]
    return save(path, nodes)


def mixing(path: Path) -> Path:
    """Every image of the batch is moved to the mean of all, as by batch statistics."""
    nodes = [
        node("ReduceMean", "x", "m", axes=[0], keepdims=1),
        node("Add", "x m", "a"),
        node("Mul", "a half", "b"),
        nearest("b", "y"),
    ]
    return save(path, nodes, [2, 3, "h", "w"], half=scalar(0.5))


@pytest.mark.parametrize("backend", ENGINES)
@pytest.mark.parametrize("build", [noisy, mixing])
def test_a_network_that_makes_another_picture_each_time_is_refused(
    build, backend: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"two runs on one image differ by .* model\.eval\(\)"):
        load(build(tmp_path / "m.onnx"), backend)


@pytest.mark.parametrize("shape", [ANY, [1, 3, 96, 80], [1, 3, 64, "w"]])
def test_a_network_that_pads_with_the_opposite_side_is_not_taken_for_one_that_tiles_suit(
    shape: list, tmp_path: Path
) -> None:
    nodes = [
        node("Pad", "x around", "p", mode="wrap"),
        node("AveragePool", "p", "a", kernel_shape=[9, 9]),
        nearest("a", "y"),
    ]
    model = onnx.load(save(tmp_path / "m.onnx", nodes, shape, around=np.array([0, 0, 4, 4] * 2)))
    model.opset_import[0].version = 19
    onnx.save(model, tmp_path / "m.onnx")
    with load(tmp_path / "m.onnx") as upscaler:
        assert upscaler.info.tile_error > 1
        assert "tile_error" in upscaler.info.measured


def test_swapped_colours_are_warned_of_at_every_start(tmp_path: Path) -> None:
    nodes = [node("Gather", "x backwards", "b", axis=1), nearest("b", "y")]
    model = save(tmp_path / "m.onnx", nodes, backwards=np.array([2, 1, 0]))
    for _ in range(2):
        with pytest.warns(RuntimeWarning, match="check the colours"):
            load(model).close()


@pytest.mark.parametrize("backend", ENGINES)
def test_a_picture_of_8_bits_is_read_as_0_to_255(backend: str, tmp_path: Path) -> None:
    nodes = [nearest("x", "r"), node("Mul", "r white", "w"), node("Round", "w", "i"),
             node("Cast", "i", "y", to=TensorProto.UINT8)]  # fmt: skip
    model = typed_output(tmp_path / "m.onnx", nodes, TensorProto.UINT8, white=scalar(255))
    with load(model, backend) as upscaler:
        assert upscaler.info.output_range == "0..255"
        np.testing.assert_array_equal(upscaler.upscale(PHOTO), DOUBLED)


def test_a_picture_of_another_type_is_refused_by_its_name(tmp_path: Path) -> None:
    nodes = [nearest("x", "r"), node("Mul", "r white", "w"),
             node("Cast", "w", "y", to=TensorProto.UINT16)]  # fmt: skip
    model = typed_output(tmp_path / "m.onnx", nodes, TensorProto.UINT16, white=scalar(65535))
    with pytest.raises(ModelError, match="uint16"):
        load(model)


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        ([0, 3, "h", "w"], "its input is 0×3"),
        ([1, 3, 1, 1], "too little for a tile"),
        ([1, 3, 60000, 60000], "1×3×60000×60000, and at most 16777216 pixels"),
        ([100000, 3, 64, 64], "100000×3×64×64, and at most 16777216 pixels"),
    ],
)
def test_a_shape_without_room_or_of_a_size_that_no_machine_holds_is_refused(
    shape: list, says: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=says):
        load(save(tmp_path / "m.onnx", [nearest("x", "y")], shape))


def test_a_scale_beyond_the_largest_is_refused_at_the_first_run(tmp_path: Path) -> None:
    factors = np.array([1, 1, 65, 65], np.float32)
    model = save(tmp_path / "m.onnx", [nearest("x", "y", "factors")], factors=factors)
    with pytest.raises(ModelError, match="enlarges 65 times, and 64"):
        load(model)


def test_a_large_fixed_size_is_measured_as_long_as_there_is_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save(tmp_path / "m.onnx", [nearest("x", "y")], [1, 3, 64, 96])
    words = ["info", str(model), "--backend", "onnxruntime", "--device", "cpu"]
    monkeypatch.setattr(trial, "MAX_PIXELS", 3 * 64 * 96)
    monkeypatch.setattr(trial, "MAX_SECONDS", 0)
    assert main(words) == 0
    said = capsys.readouterr()
    assert re.search("facts assumed .*phase 16", said.out)
    for text in said:
        assert "phase and halo are assumed: look for seams" in text
    monkeypatch.setenv("SR_CACHE", str(tmp_path / "another"))
    monkeypatch.setattr(trial, "MAX_SECONDS", 3600)
    assert main(words) == 0
    assert re.search("facts measured .*phase 1,", capsys.readouterr().out)


def test_a_range_that_no_network_has_is_warned_of_though_another_is_near(tmp_path: Path) -> None:
    nodes = [node("Clip", "x low high", "c"), nearest("c", "y")]  # black is -0.5, white 0.5
    model = save(tmp_path / "m.onnx", nodes, low=scalar(-0.5), high=scalar(0.5))
    with pytest.warns(RuntimeWarning, match="check the colours"):
        load(model).close()


def test_the_mean_of_the_whole_image_is_noticed(tmp_path: Path) -> None:
    nodes = [
        node("ReduceMean", "x", "m", axes=[2, 3], keepdims=1),
        node("Mul", "m tenth", "t"),
        node("Add", "x t", "a"),
        node("Mul", "a less", "l"),
        nearest("l", "y"),
    ]
    model = save(tmp_path / "m.onnx", nodes, tenth=scalar(0.1), less=scalar(1 / 1.05))
    with load(model) as upscaler:
        assert upscaler.info.tile_error > 1


@pytest.mark.parametrize("axis", [2, 3])
def test_windows_along_one_axis_alone_are_found(axis: int, tmp_path: Path) -> None:
    rows, columns = (8, 1) if axis == 2 else (1, 8)
    nodes = [
        node("MaxPool", "x", "p", kernel_shape=[rows, columns], strides=[rows, columns]),
        nearest("p", "q", "window"),
        node("Add", "x q", "a"),
        node("Mul", "a half", "m"),
        nearest("m", "y"),
    ]
    model = save(
        tmp_path / "m.onnx", nodes, half=scalar(0.5),
        window=np.array([1, 1, rows, columns], np.float32),
    )  # fmt: skip
    with load(model) as upscaler:
        assert upscaler.info.multiple_of == upscaler.info.phase == 8


def test_of_several_pictures_the_most_enlarged_is_the_result(tmp_path: Path) -> None:
    nodes = [node("Identity", "x", "clean"), nearest("x", "y")]
    with load(save(tmp_path / "m.onnx", nodes, outputs=("clean", "y"))) as upscaler:
        np.testing.assert_array_equal(upscaler.upscale(PHOTO), DOUBLED)

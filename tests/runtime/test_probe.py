"""The facts of other people's ONNX files are measured, and their pictures are right."""

from pathlib import Path

import numpy as np
import pytest
from onnx import NodeProto

import sr_runtime
from sr_runtime import ModelError, NonFiniteError, Upscaler
from sr_runtime.__main__ import main
from tests.runtime.foreign_models import (
    ANY,
    in_windows,
    nearest,
    node,
    save,
    scalar,
    unshuffling,
)

PHOTO = np.random.default_rng(0).integers(0, 256, (150, 131, 3), np.uint8)
DOUBLED = PHOTO.repeat(2, 0).repeat(2, 1)


def load(model: Path, **options: object) -> Upscaler:
    return sr_runtime.load(model, backend="onnxruntime", device="cpu", **options)


@pytest.mark.parametrize(
    ("ranges", "nodes"),
    [
        (("0..1", "0..1"), [nearest("x", "y")]),
        (("0..1", "0..255"), [nearest("x", "r"), node("Mul", "r white", "y")]),
        (
            ("0..1", "-1..1"),
            [nearest("x", "r"), node("Mul", "r two", "m"), node("Sub", "m one", "y")],
        ),
        (
            ("-1..1", "0..1"),
            [nearest("x", "r"), node("Add", "r one", "a"), node("Div", "a two", "y")],
        ),
        (
            ("0..255", "0..255"),  # with the mean colour subtracted inside, as EDSR does
            [node("Sub", "x mean", "a"), nearest("a", "r"), node("Mul", "r most", "g"),
             node("Add", "g mean", "y")],
        ),
    ],
    ids=lambda value: "→".join(value) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_a_value_range_is_found_and_the_picture_has_its_brightness(
    ranges: tuple[str, str], nodes: list[NodeProto], tmp_path: Path
) -> None:
    model = save(
        tmp_path / "m.onnx", nodes, white=scalar(255), two=scalar(2), one=scalar(1),
        mean=scalar(114), most=scalar(0.98),
    )  # fmt: skip
    with load(model) as upscaler:
        assert (upscaler.info.input_range, upscaler.info.output_range) == ranges
        assert {"input_range", "output_range"} <= {*upscaler.info.measured}
        assert np.abs(upscaler.upscale(PHOTO) - DOUBLED.astype(int)).max() <= 3


def test_a_network_that_returns_another_picture_is_warned_of(tmp_path: Path) -> None:
    model = save(
        tmp_path / "m.onnx",
        [node("Sub", "one x", "i"), nearest("i", "y")],
        one=scalar(1),
    )
    with pytest.warns(RuntimeWarning, match="value range"):
        upscaler = load(model)
    with upscaler:
        assert {"input_range", "output_range"} <= {*upscaler.info.assumed}
        np.testing.assert_array_equal(upscaler.upscale(PHOTO), 255 - DOUBLED)


@pytest.mark.parametrize("shape", [["n", "h", "w", 3], [1, 48, 56, 3]])
def test_channels_last_run(shape: list, tmp_path: Path) -> None:
    model = save(tmp_path / "m.onnx", [nearest("x", "y", "twice_last")], shape)
    with load(model) as upscaler:
        assert upscaler.info.layout == "NHWC"
        np.testing.assert_array_equal(upscaler.upscale(PHOTO), DOUBLED)


def test_the_picture_is_found_among_several_outputs(tmp_path: Path) -> None:
    nodes = [node("ReduceMean", "x", "mean", keepdims=0), nearest("x", "y")]
    with load(save(tmp_path / "m.onnx", nodes, outputs=("mean", "y"))) as upscaler:
        assert upscaler.info.output == 1
        np.testing.assert_array_equal(upscaler.upscale(PHOTO), DOUBLED)


@pytest.mark.parametrize("side", [2, 7, 8, 12, 64])
def test_windows_of_strict_sizes_are_found_by_two_witnesses(side: int, tmp_path: Path) -> None:
    with load(in_windows(tmp_path / "m.onnx", side, strict=True)) as upscaler:
        assert (upscaler.info.multiple_of, upscaler.info.phase) == (side, side)


@pytest.mark.parametrize("tta", [False, True])
@pytest.mark.parametrize("side", [6, 7, 8, 16])
def test_tiles_of_windows_that_are_padded_inside_equal_the_whole(
    side: int, tta: bool, tmp_path: Path
) -> None:
    model = in_windows(tmp_path / "m.onnx", side, strict=False)
    with load(model, tta=tta) as whole, load(model, tile=64, tta=tta) as tiled:
        assert whole.info.multiple_of == 1
        assert whole.info.phase % side == 0
        assert len(tiled.plan(150, 131)) > len(whole.plan(150, 131)) == 1
        difference = np.abs(tiled.upscale(PHOTO) - whole.upscale(PHOTO).astype(int))
        assert difference.max() <= 1


@pytest.mark.parametrize(("block", "side"), [(2, 64), (2, 50), (4, 64)])
def test_tiles_of_a_fixed_size_keep_to_the_blocks_of_a_pixel_unshuffle(
    block: int, side: int, tmp_path: Path
) -> None:
    fixed = unshuffling(tmp_path / "fixed.onnx", block, [1, 3, side, side])
    dynamic = unshuffling(tmp_path / "any.onnx", block, ANY)
    with load(fixed) as tiled, load(dynamic) as whole:
        assert tiled.info.phase == whole.info.phase == block
        assert len(tiled.plan(150, 131)) > len(whole.plan(150, 131)) == 1
        np.testing.assert_array_equal(tiled.upscale(PHOTO), whole.upscale(PHOTO))


def test_a_size_that_is_fixed_inside_is_found(tmp_path: Path) -> None:
    nodes = [node("Reshape", "x size", "i"), nearest("i", "y")]
    model = save(tmp_path / "m.onnx", nodes, size=np.array([1, 3, 64, 64]))
    with load(model) as upscaler:
        assert upscaler.info.fixed_side == 64
        np.testing.assert_array_equal(upscaler.upscale(PHOTO), DOUBLED)


def test_a_network_that_looks_at_the_whole_image_runs_whole_or_warns(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    recwarn: pytest.WarningsRecorder,
) -> None:
    monkeypatch.setattr("sr_runtime.tile_size.free_memory", lambda: 32_000_000_000)
    nodes = [
        node("GlobalMaxPool", "x", "most"),
        node("Mul", "x most", "m"),
        nearest("m", "y"),
    ]
    model = save(tmp_path / "m.onnx", nodes)
    wide = np.full((100, 900, 3), 60, np.uint8)
    wide[:, -5:] = 240
    expected = np.rint(wide * (240 / 255)).repeat(2, 0).repeat(2, 1)
    with load(model) as upscaler:
        assert upscaler.info.tile_error > 1
        np.testing.assert_array_equal(upscaler.upscale(wide), expected)
    assert not any("looks further" in str(one.message) for one in recwarn.list)
    with load(model, tile=128) as upscaler, pytest.warns(RuntimeWarning, match="looks further"):
        upscaler.upscale(wide)
    assert main(["info", str(model), "--backend", "onnxruntime", "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert f"tiles change the result by up to {upscaler.info.tile_error}/255" in said
    assert "facts measured" in said
    assert "facts assumed" in said
    assert "facts stated" not in said


@pytest.mark.parametrize(
    ("nodes", "shape", "says"),
    [
        ([nearest("x", "y")], [1, 4, "h", "w"], "takes 4 channels"),
        ([nearest("x", "y", "more")], ANY, r"whole factor.* gave 1×3×\d+×\d+"),
        ([node("Transpose", "x", "t", perm=[0, 2, 3, 1]), nearest("t", "y", "twice_last")],
         ANY, "input is NCHW and its output NHWC"),
        ([node("ReduceMean", "x", "y", keepdims=0)], ANY, "a scalar"),
    ],
    ids=["channels", "scale", "layouts", "scalar"],
)  # fmt: skip
def test_what_is_no_super_resolution_model_is_refused_with_the_reason(
    nodes: list[NodeProto], shape: list, says: str, tmp_path: Path
) -> None:
    model = save(tmp_path / "m.onnx", nodes, shape, more=np.array([1, 1, 1.5, 1.5], np.float32))
    with pytest.raises(ModelError, match=says) as raised:
        load(model)
    assert str(model) in str(raised.value)


def test_a_file_that_overflows_in_fp32_is_not_told_to_use_fp32(tmp_path: Path) -> None:
    nodes = [node("Mul", "x huge", "a"), node("Mul", "a huge", "b"), nearest("b", "y")]
    model = save(tmp_path / "m.onnx", nodes, huge=scalar(3e38))
    with pytest.warns(RuntimeWarning, match="value range"):
        upscaler = load(model)
    with upscaler, pytest.raises(NonFiniteError, match="NaN or infinity") as raised:
        upscaler.upscale(PHOTO)
    assert "precision fp32" not in str(raised.value)

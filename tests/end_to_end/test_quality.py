"""The published table: PSNR and SSIM of the ESRGAN authors' models on Set5."""

import json
import math
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sr_runtime
from benchmarks import quality
from sr_runtime.evaluation.metrics import psnr, ssim
from sr_runtime.evaluation.pairs import find_pairs
from sr_runtime.evaluation.scoring import TILE, Score, mean, score, upscale_whole
from tests.runtime.every_row import cpu_precisions

pytestmark = pytest.mark.slow

Mean = Callable[[Path, str, str], Score]


@pytest.fixture(scope="session")
def mean_score(data: Path) -> Mean:
    """Means of (model, data set, precision), each computed once."""

    @cache
    def measured(model: Path, name: str, precision: str) -> Score:
        with sr_runtime.load(model, precision=precision, tile=TILE) as upscaler:
            pairs = find_pairs(data / name / "x4")
            return mean(score(partial(upscale_whole, upscaler), pairs, scale=4))

    return measured


@pytest.fixture(scope="session")
def bf16() -> str:
    if "bf16" not in cpu_precisions():
        pytest.skip("no backend computes in bf16 on this processor")
    return "bf16"


def test_rrdb_psnr_reaches_its_published_scores_on_set5(psnr_onnx: Path, mean_score: Mean) -> None:
    result = mean_score(psnr_onnx, "set5", "fp32")
    assert result.psnr_y == pytest.approx(32.74, abs=0.01)
    assert result.ssim_y == pytest.approx(0.901, abs=0.001)
    assert result.psnr_rgb == pytest.approx(30.795, abs=0.01)


def test_rrdb_esrgan_reaches_its_published_scores_on_set5(
    esrgan_onnx: Path, mean_score: Mean
) -> None:
    result = mean_score(esrgan_onnx, "set5", "fp32")
    assert result.psnr_y == pytest.approx(30.47, abs=0.01)
    assert result.ssim_y == pytest.approx(0.8525, abs=0.001)
    assert result.psnr_rgb == pytest.approx(28.543, abs=0.01)


@pytest.mark.parametrize("model", ["psnr_onnx", "esrgan_onnx"])
def test_bf16_costs_at_most_a_twentieth_of_a_decibel(
    model: str, bf16: str, mean_score: Mean, request: pytest.FixtureRequest
) -> None:
    path = request.getfixturevalue(model)
    full, half = (mean_score(path, "set5", precision) for precision in ("fp32", bf16))
    assert half != full
    assert half.psnr_y == pytest.approx(full.psnr_y, abs=0.05)
    assert half.psnr_rgb == pytest.approx(full.psnr_rgb, abs=0.05)


def test_the_gan_needs_more_context_than_the_psnr_network(
    psnr_onnx: Path, esrgan_onnx: Path
) -> None:
    halos = []
    for model in (psnr_onnx, esrgan_onnx):
        with sr_runtime.load(model) as upscaler:
            assert upscaler.info.receptive_radius == 349
            halos.append(upscaler.halo)
    assert halos == [24, 40]  # on the photo that they were exported with


@pytest.fixture
def nearest_onnx(tmp_path: Path) -> Path:
    """Somebody else's model, whose answer is known: every pixel repeated twice along both axes."""
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    shape = ["n", 3, "h", "w"]
    graph = helper.make_graph(
        [
            helper.make_node(
                "Resize",
                ["x", "", "scales"],
                ["y"],
                mode="nearest",
                coordinate_transformation_mode="asymmetric",
                nearest_mode="floor",
            )
        ],
        "nearest",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 3, "h2", "w2"])],
        [helper.make_tensor("scales", onnx.TensorProto.FLOAT, [4], [1, 1, 2, 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "nearest.onnx")
    return tmp_path / "nearest.onnx"


@pytest.fixture
def small_set(tmp_path: Path) -> Path:
    """Two high-resolution images of noise."""
    folder = tmp_path / "small"
    folder.mkdir()
    for seed, name in enumerate(["a", "b"]):
        pixels = np.random.default_rng(seed).integers(0, 256, (41, 52, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder


def test_the_command_prints_and_stores_what_the_metrics_say(
    nearest_onnx: Path, small_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = tmp_path / "scores.json"
    command = ["--model", str(nearest_onnx), "--data", str(small_set), "--precision", "fp32"]
    assert quality.main([*command, "--crop", "3", "--json", str(stored)]) == 0
    (result,) = json.loads(stored.read_text(encoding="utf-8"))
    assert [row["name"] for row in result["images"]] == ["a", "b"]
    for pair, row in zip(find_pairs(small_set), result["images"], strict=True):
        lr, hr = pair.read(2)
        sr = lr.repeat(2, axis=0).repeat(2, axis=1)
        assert row["psnr_y"] == psnr(sr, hr, channel="y", crop=3)
        assert row["ssim_rgb"] == ssim(sr, hr, channel="rgb", crop=3)
    assert math.isfinite(result["bicubic"]["psnr_y"])
    printed = capsys.readouterr().out
    assert "3 pixels" in printed
    assert f"| mean         | {result['mean']['psnr_y']:.3f} |" in printed
    assert f"| bicubic mean | {result['bicubic']['psnr_y']:.3f} |" in printed


def test_the_command_ends_with_one_sentence_on_a_folder_without_images(
    nearest_onnx: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert quality.main(["--model", str(nearest_onnx), "--data", str(empty)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert "holds no images" in line

"""Networks of several scales in one table: the results of the larger ones are shrunk."""

import json
from pathlib import Path

import pytest

from sr_runtime.errors import ArgumentError
from sr_runtime.evaluation import metrics
from sr_runtime.evaluation.pairs import Pair
from sr_runtime.resize import resize
from sr_train.checkpoint import save_generator
from sr_train.evaluate import evaluate
from sr_train.inference import upscale_torch
from tests.conftest import tiny_generator


def test_networks_of_two_scales_are_compared_at_the_smaller_one(
    pairs: list[Pair], tmp_path: Path
) -> None:
    two, four = tiny_generator(scale_factor=2), tiny_generator()
    for name, generator in (("two", two), ("four", four)):
        save_generator(generator, tmp_path / f"{name}.pth")
    models = [tmp_path / "two.pth", tmp_path / "four.pth"]
    folder, out = str(pairs[0].hr.parent), tmp_path / "scores.json"
    evaluate(models, [folder], root=tmp_path, result_scale=2, device="cpu", lpips=False, json=out)
    lr, hr = pairs[0].read(2)
    results = {
        str(models[0]): upscale_torch(two, lr),
        str(models[1]): resize(upscale_torch(four, lr), *hr.shape[:2]),
        "bicubic": resize(lr, *hr.shape[:2]),
    }
    (measured,) = json.loads(out.read_text())["results"]
    assert measured["scale"] == measured["crop"] == 2
    for name, result in results.items():
        expected = metrics.psnr(result, hr, channel="rgb", crop=2)
        assert measured["models"][name]["images"][0]["psnr_rgb"] == pytest.approx(expected)


def test_a_scale_that_a_network_does_not_reach_is_refused(
    pairs: list[Pair], tmp_path: Path
) -> None:
    models = []
    for scale in (4, 3, 2):
        models.append(tmp_path / f"{scale}.safetensors")
        save_generator(tiny_generator(scale_factor=scale), models[-1])
    folder = str(pairs[0].hr.parent)
    with pytest.raises(ArgumentError, match="or --result-scale 2"):
        evaluate(models, [folder], root=tmp_path, lpips=False)
    for scale in (0, 3):
        with pytest.raises(ArgumentError, match=rf"{scale}, and .*2\.safeten.* ×2: .* 1 to 2"):
            evaluate(models[::-1], [folder], root=tmp_path, result_scale=scale, lpips=False)

"""Measuring on whole images: during training, and of any models in one table."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from sr_runtime.embedded import model_file
from sr_runtime.errors import ArgumentError, BackendError, NonFiniteError, SRError
from sr_runtime.evaluation import metrics
from sr_runtime.evaluation.pairs import Pair
from sr_train.checkpoint import save_generator
from sr_train.config.schema import ContentLoss, PerceptualLoss, Validation
from sr_train.data.build.prepare import prepare
from sr_train.evaluate import evaluate
from sr_train.inference import tensor_from_image, upscale_torch
from sr_train.lpips import load_lpips
from sr_train.models.generator import Generator
from sr_train.pretrained import load_features
from sr_train.validation import Result, mean, validate
from tests.conftest import tiny_generator

CPU = torch.device("cpu")


def measured(generator: Generator, pairs: list[Pair], **options: object) -> list[Result]:
    given: dict[str, object] = {
        "scale": 4,
        "content": ContentLoss(),
        "perceptual": None,
        "lpips": None,
        "precision": torch.float32,
    }
    return [row[0] for row in validate(generator, pairs, **(given | options))]  # type: ignore


def test_validation_measures_whole_images_as_training_and_literature_do(
    pairs: list[Pair],
) -> None:
    generator = tiny_generator()
    for pair, (result, lr, sr, hr) in zip(
        pairs,
        validate(
            generator,
            pairs,
            scale=4,
            content=ContentLoss(loss_f="l1"),
            perceptual=None,
            lpips=None,
            precision=torch.float32,
        ),
        strict=True,
    ):
        low, high = pair.read(4)
        np.testing.assert_array_equal(lr, low)
        np.testing.assert_array_equal(hr, high)
        with torch.no_grad():
            output = generator(tensor_from_image(low, CPU))
        expected = (output.double() - tensor_from_image(high, CPU).double()).abs().mean().item()
        assert output.min() < 0  # the loss is of the output before clamping
        assert result.content == pytest.approx(expected, rel=1e-5)
        rounded = (output[0].permute(1, 2, 0) * 255).round().clamp(0, 255).byte().numpy()
        np.testing.assert_array_equal(sr, rounded)
        assert result.psnr_y == metrics.psnr(rounded, high, channel="y", crop=4)
        expected = metrics.ssim(rounded, high, channel="rgb", crop=4)
        assert result.ssim_rgb == pytest.approx(expected, rel=1e-9)
        assert result.name == pair.name
        assert result.perceptual is None
        assert result.lpips is None
        assert not torch.is_inference_mode_enabled()  # the caller goes on training


def test_validation_measures_features_and_lpips(pairs: list[Pair], data: Path) -> None:
    weights = data / "weights"
    squeezenet = str(weights / "squeezenet1_1_features.pth")
    config = PerceptualLoss(
        vgg_type="squeezenet1_1", layer_weights={"fire2": 1.0}, weights=squeezenet
    )
    features = load_features(config, Path("nowhere"))
    lpips = load_lpips(
        Validation(
            squeezenet_weights=squeezenet,
            lpips_weights=str(weights / "lpips_squeeze_linear.pth"),
        ),
        Path("nowhere"),
    )
    generator = tiny_generator()
    results = measured(generator, pairs, perceptual=(features, config), lpips=lpips)
    for pair, result in zip(pairs, results, strict=True):
        low, high = pair.read(4)
        target = tensor_from_image(high, CPU)
        with torch.no_grad():
            of_sr, of_hr = features(generator(tensor_from_image(low, CPU))), features(target)
        expected = (of_sr["fire2"] - of_hr["fire2"]).abs().mean().item()
        assert result.perceptual == pytest.approx(expected, rel=1e-4)
        sr = tensor_from_image(upscale_torch(generator, low), CPU)
        inner = (..., slice(4, -4), slice(4, -4))
        assert result.lpips == pytest.approx(lpips(sr[inner], target[inner]).item(), rel=1e-4)
    means = mean(results)
    assert set(means) == set(Result.__dataclass_fields__) - {"name", "st_lpips", "vgg19"}
    assert means["lpips"] == pytest.approx(sum(r.lpips or 0 for r in results) / 2)


def test_the_mean_leaves_out_what_was_not_measured(pairs: list[Pair]) -> None:
    means = mean(measured(tiny_generator(), pairs))
    assert set(means) == {"content", "psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb"}


def test_bf16_and_channels_last_change_little(pairs: list[Pair]) -> None:
    generator = tiny_generator()
    full = mean(measured(generator, pairs))
    generator = generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    reduced = mean(measured(generator, pairs, precision=torch.bfloat16))
    assert reduced != full
    assert reduced["psnr_y"] == pytest.approx(full["psnr_y"], abs=0.1)


def test_an_output_with_nan_is_an_error(pairs: list[Pair]) -> None:
    generator = tiny_generator()
    assert isinstance(generator.conv_last.bias, nn.Parameter)
    generator.conv_last.bias.data.fill_(torch.nan)
    with pytest.raises(NonFiniteError):
        measured(generator, pairs)


def test_one_table_shows_checkpoints_and_exported_models(
    pairs: list[Pair],
    tiny_onnx: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The same network as a checkpoint and as ONNX scores the same."""
    checkpoint, onnx, stored = tmp_path / "tiny.safetensors", tiny_onnx(), tmp_path / "scores.json"
    save_generator(tiny_generator(), checkpoint)
    folder = str(pairs[0].hr.parent)
    evaluate(
        [checkpoint, onnx],
        [folder],
        root=tmp_path,
        device="cpu",
        lpips=False,
        images=True,
        json=stored,
    )
    (result,) = json.loads(stored.read_text("utf-8"))["results"]
    models = result["models"]
    assert list(models) == [str(checkpoint), str(onnx), "bicubic"]
    ours, exported, bicubic = (models[name]["mean"]["psnr_y"] for name in models)
    assert ours == pytest.approx(exported, abs=0.01)
    assert bicubic > ours  # the network is untrained
    assert [row["name"] for row in models["bicubic"]["images"]] == ["first", "second"]
    printed = capsys.readouterr().out
    assert f"{folder}, ×4, computed in fp32" in printed
    assert "2 images, each as a whole, 4 pixels cropped" in printed
    *_, first, second, third = printed.splitlines()
    rows = {checkpoint.name: ours, onnx.name: exported, "bicubic": bicubic}
    for line, (name, value) in zip((first, second, third), rows.items(), strict=True):
        assert line.startswith(f"| {name} ")
        assert f" {value:.3f} |" in line
    assert printed.count("| first ") == 3


def test_arguments_that_do_not_fit_are_refused_before_anything_is_measured(
    pairs: list[Pair], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two, four = tmp_path / "two.pth", tmp_path / "four.pth"
    save_generator(tiny_generator(scale_factor=2), two)
    save_generator(tiny_generator(), four)
    folder = str(pairs[0].hr.parent)
    with pytest.raises(ArgumentError, match=r"two\.pth .*×2 .*four\.pth ×4"):
        evaluate([two, four], [folder], root=tmp_path, lpips=False)
    with pytest.raises(ArgumentError, match="set5"):
        evaluate([four], [folder, "set5"], root=tmp_path, lpips=False)
    with pytest.raises(ArgumentError, match=r"nowhere: not a folder"):
        evaluate([four], [str(tmp_path / "nowhere")], root=tmp_path, lpips=False)
    with pytest.raises(ArgumentError, match=r"four\.pth: .*overwritten"):
        evaluate([four], [folder], root=tmp_path, lpips=False, json=four)
    with pytest.raises(ArgumentError, match="does not exist"):
        evaluate([four], [folder], root=tmp_path, lpips=False, json=tmp_path / "no" / "a.json")
    assert capsys.readouterr().out == ""


def test_a_failure_names_the_model_and_the_image(pairs: list[Pair], tmp_path: Path) -> None:
    gray, broken, good = (tmp_path / f"{name}.pth" for name in ("gray", "broken", "good"))
    save_generator(tiny_generator(img_channels=1), gray)
    generator = tiny_generator()
    save_generator(generator, good)
    with torch.no_grad():
        generator.conv_last.weight *= 1e38
        generator.conv_hr.weight *= 1e38
    save_generator(generator, broken)
    folder = pairs[0].hr.parent
    for path, reason in ((gray, "1 channel"), (broken, "NaN")):
        with pytest.raises(SRError, match=rf"{path.name} on first of .*stripes: .*{reason}"):
            evaluate([path], [str(folder)], root=tmp_path, device="cpu", lpips=False)
    Image.new("RGBA", (32, 32)).save(folder / "clear.png")
    with pytest.raises(ArgumentError, match=r"stripes.clear: .*remove its transparency"):
        evaluate([good], [str(folder)], root=tmp_path, device="cpu", lpips=False)
    (folder / "clear.png").unlink()
    for mode, reason in (("RGBA", "remove its transparency"), ("I;16", "LR has 16 bits .* HR 8")):
        for name, size, kind in (("HR", (64, 64), "L"), ("LR", (16, 16), mode)):
            (tmp_path / "both" / name).mkdir(parents=True, exist_ok=True)
            Image.new(kind, size).save(tmp_path / "both" / name / "a.png")
        with pytest.raises(ArgumentError, match=rf"^[^ ]*both.a: .*{reason}"):
            evaluate([good], [str(tmp_path / "both")], root=tmp_path, device="cpu", lpips=False)
    Image.new("RGB", (3, 3)).save(folder / "dot.png")
    with pytest.raises(ArgumentError, match=r"stripes.dot: .*3×3"):
        evaluate([good], [str(folder)], root=tmp_path, device="cpu", lpips=False)


@pytest.mark.slow
def test_the_authors_checkpoint_scores_as_its_exported_file_does(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On Set5's butterfly; tests/end_to_end/test_quality.py has the published means of the file."""
    stored, folder = tmp_path / "scores.json", tmp_path / "butterfly"
    folder.mkdir()
    for image in (data / "set5" / "x4").glob("img_003_*.png"):
        shutil.copy(image, folder)
    weights = data / "weights" / "RRDB_PSNR_x4.pth"
    evaluate([weights], [str(folder)], root=data, device="cpu", json=stored)
    models = json.loads(stored.read_text("utf-8"))["results"][0]["models"]
    result, bicubic = models[str(weights)]["mean"], models["bicubic"]["mean"]
    assert result["psnr_y"] == pytest.approx(29.475, abs=0.01)
    assert result["psnr_rgb"] == pytest.approx(28.047, abs=0.01)
    assert result["ssim_y"] == pytest.approx(0.9351, abs=0.001)
    assert 0 < result["lpips"] < bicubic["lpips"]
    assert "|  LPIPS |" in capsys.readouterr().out


def test_a_prepared_data_set_scores_as_the_folder_it_was_made_from(
    pairs: list[Pair], tmp_path: Path
) -> None:
    checkpoint, stored = tmp_path / "tiny.pth", tmp_path / "scores.json"
    save_generator(tiny_generator(), checkpoint)
    folder = pairs[0].hr.parent
    prepare(str(folder), root=tmp_path / "root", source=None, scale=4, jobs=1)
    evaluate(
        [checkpoint],
        [str(folder), folder.name],
        root=tmp_path / "root",
        device="cpu",
        lpips=False,
        json=stored,
    )
    from_folder, from_packed = json.loads(stored.read_text("utf-8"))["results"]
    assert from_folder["models"] == from_packed["models"]


def test_an_embedded_model_is_measured_by_its_name(pairs: list[Pair], tmp_path: Path) -> None:
    stored = tmp_path / "scores.json"
    folder = str(pairs[0].hr.parent)
    models = ["psnr", model_file("psnr")]
    evaluate(models, [folder], root=tmp_path, device="cpu", lpips=False, json=stored)
    (result,) = json.loads(stored.read_text("utf-8"))["results"]
    assert result["models"]["psnr"] == result["models"][str(model_file("psnr"))]


def test_an_exported_model_runs_on_the_device_that_was_asked_for(
    pairs: list[Pair],
    tiny_onnx: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """PyTorch finds two GPUs here, and the runtime none: it must not fall back to the CPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    folder = str(pairs[0].hr.parent)
    with pytest.raises(BackendError, match="cuda:1"):
        evaluate([tiny_onnx()], [folder], root=tmp_path, device="cuda:1", lpips=False)
    evaluate([tiny_onnx()], [folder], root=tmp_path, device="auto", lpips=False)

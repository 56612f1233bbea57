"""Both stages on real photographs, and what users do with the result, on the command line."""

import csv
import json
from pathlib import Path

import PIL.Image
import pytest

from sr_train.__main__ import main

pytestmark = pytest.mark.slow


def _run(*arguments: str) -> None:
    assert main(arguments) == 0


@pytest.fixture(scope="module")
def folder(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data prepared in `data`, and in `demo` a run of the preset `tiny` with fewer epochs."""
    folder = tmp_path_factory.mktemp("training")
    root = f"{folder}/data"
    _run("prepare", "bsds500", "--from", f"{data}/bsds500/train", "--root", root)
    _run("prepare", "set5", "--from", f"{data}/set5/x4", "--root", root)
    weights = ("squeezenet1_1", "lpips_squeeze")
    _run("prepare", *weights, "--from", f"{data}/weights", "--root", root)
    _run(
        "fit", "--preset", "tiny", "--run", f"{folder}/demo", "--data_root", root,
        "--pretraining.num_epoch", "10", "--pretraining.val_datasets", '["set5:test"]',
        "--training.num_epoch", "2", "--training.val_datasets", '["set5:test"]',
        "--pretraining.cr_patch_size", "[48, 48]", "--training.cr_patch_size", "[48, 48]",
    )  # fmt: skip
    return folder


def test_both_stages_learn_and_write_what_the_readme_lists(folder: Path) -> None:
    run = folder / "demo"
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    first, *_, last = (float(row["content"]) for row in rows if row["content"])
    assert last < 0.5 * first
    assert {row["stage"] for row in rows} == {"pretraining", "training"}
    for column in ("perceptual", "g_adversarial", "d_adversarial", "val_psnr_y", "val_lpips"):
        assert any(row[column] for row in rows), column
    names = {path.stem for path in (run / "weights").iterdir()}
    assert names == {"psnr", "esrgan", "best", "interpolated"}
    for picture in (run / "curves.png", *(run / "samples").iterdir()):
        with PIL.Image.open(picture) as image:
            assert image.width > 400
    assert (run / "config.yaml").exists()


def test_its_models_are_interpolated_averaged_and_measured_in_one_table(folder: Path) -> None:
    weights = folder / "demo" / "weights"
    half, mean, table = folder / "half.safetensors", folder / "mean.pth", folder / "table.json"
    psnr, esrgan = f"{weights}/psnr.safetensors", f"{weights}/esrgan.safetensors"
    _run("interpolate", psnr, esrgan, "--alpha", "0.5", "-o", str(half))
    _run("average", psnr, esrgan, "-o", str(mean))
    _run(
        "evaluate", psnr, str(half), str(mean),
        "--data", "set5", "--root", f"{folder}/data", "--no-lpips", "--json", str(table),
    )  # fmt: skip
    (result,) = json.loads(table.read_text())["results"]
    means = {Path(name).stem: facts["mean"] for name, facts in result["models"].items()}
    assert set(means) == {"psnr", "half", "mean", "bicubic"}
    # Half of each of two networks is their average.
    assert means["half"]["psnr_y"] == pytest.approx(means["mean"]["psnr_y"], abs=1e-3)
    # After two minutes of training it is so close to bicubic that nothing can be shifted.
    assert means["psnr"]["psnr_y"] > means["bicubic"]["psnr_y"] - 1.5

"""The preset `finetune` as its page uses it: prepare, fit and evaluate, with a tiny network."""

from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file

from sr_train.__main__ import main
from sr_train.checkpoint import save_generator
from sr_train.data.prepared import prepared
from sr_train.models.rrdbnet import RRDBNet
from tests.train.conftest import PHOTOS
from tests.train.resumable_run import rows, write_loss_weights

pytestmark = pytest.mark.slow


def save_photos(folder: Path) -> None:
    """Parts of the shipped photos, and the small copies that a messenger would make of them."""
    for kind in ("HR", "LR"):
        (folder / kind).mkdir(parents=True)
    for path in sorted(PHOTOS.glob("*.png")):
        with Image.open(path) as image:
            photo = image.convert("RGB")
        for left in (0, 128):
            part = photo.crop((left, 0, left + 128, 128))
            part.save(folder / "HR" / f"{path.stem}{left}.png")
            small = part.resize((32, 32), Image.Resampling.LANCZOS)
            small.save(folder / "LR" / f"{path.stem}{left}.jpg", quality=60)


@pytest.mark.filterwarnings("error:.*validates on the same images")
def test_photos_with_their_small_copies_make_a_model_that_is_measured_on_those_held_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save_photos(Path("photos"))
    write_loss_weights(tmp_path)
    start = RRDBNet(rrdb_channels=8, growth_channels=4, num_basic_blocks=1)
    save_generator(start, Path("start.safetensors"))

    assert main(["prepare", "photos", "--hold-out", "0.2", "--jobs", "1"]) == 0
    # fmt: off
    words = [
        "fit", "--preset", "finetune", "--run", "mine", "--init", "start.safetensors",
        "--pretraining.num_steps", "3", "--training.num_steps", "2",
        "--validation.every_steps", "2", "--batch_size", "2", "--device", "cpu", "--workers", "0",
        "--perceptual_loss.weights", "squeezenet.pth",
        "--validation.squeezenet_weights", "squeezenet.pth",
        "--validation.lpips_weights", "lpips.pth",
    ]
    # fmt: on
    assert main(words) == 0
    run = Path("runs/mine")
    assert [row["step"] for row in rows(run) if row["val_lpips"]] == ["2", "3", "5"]
    weights = {path.stem: load_file(path) for path in (run / "weights").iterdir()}
    assert weights.keys() == {"psnr", "esrgan", "best", "interpolated"}
    before = load_file("start.safetensors")
    for name in ("psnr", "esrgan"):
        assert any((weights[name][key] != before[key]).any() for key in before)
    (held_out,) = prepared("photos:val", root=Path("data"), scale=4, purpose="val")
    shown = {path.stem.rpartition("_")[0] for path in (run / "samples").iterdir()}
    assert shown == {*held_out.names}

    capsys.readouterr()
    model = str(run / "weights/esrgan.safetensors")
    assert main(["evaluate", model, "--data", "photos:val", "--no-lpips"]) == 0
    assert Path(model).name in capsys.readouterr().out

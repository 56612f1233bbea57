"""What users do with a checkpoint works for every architecture in the registry."""

import json
from pathlib import Path

import pytest
import torch

from sr_export.__main__ import main as sr_export
from sr_train.__main__ import main as sr_train
from sr_train.checkpoint import load_generator, weights_sha256
from sr_train.models.generator import Generator
from sr_train.models.registry import ARCHITECTURES
from tests.small_generators import small_generators

pytestmark = pytest.mark.slow


@pytest.fixture(params=ARCHITECTURES)
def network(request: pytest.FixtureRequest) -> Generator:
    return next(network for network in small_generators() if network.arch == request.param)


@pytest.fixture
def checkpoint(network: Generator, tmp_path: Path) -> Path:
    torch.save({"params_ema": network.state_dict()}, tmp_path / "theirs.pth")
    return tmp_path / "theirs.pth"


def test_it_is_converted_exported_and_evaluated(
    network: Generator, checkpoint: Path, tmp_path: Path, data_root: Path
) -> None:
    ours, onnx = tmp_path / "ours.safetensors", tmp_path / "model.onnx"
    assert sr_train(["convert", str(checkpoint), "-o", str(ours)]) == 0
    assert weights_sha256(load_generator(ours)) == weights_sha256(network)
    assert sr_export(["onnx", str(ours), "-o", str(onnx)]) == 0
    photos, table = str(data_root.parent / "small"), tmp_path / "table.json"
    arguments = ["--data", photos, "--no-lpips", "--device", "cpu", "--json", str(table)]
    assert sr_train(["evaluate", str(checkpoint), str(onnx), *arguments]) == 0
    (result,) = json.loads(table.read_text())["results"]
    theirs, exported = (result["models"][str(path)]["mean"] for path in (checkpoint, onnx))
    assert theirs["psnr_y"] == pytest.approx(exported["psnr_y"], abs=0.01)


def test_training_starts_from_it(
    network: Generator,
    checkpoint: Path,
    tmp_path: Path,
    data_root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # LPIPS is not worth a download here
    run = tmp_path / "run"
    code = sr_train(
        [
            "fit", "--run", str(run), "--init", str(checkpoint), "--stages", "pretraining",
            "--data_root", str(data_root), "--batch_size", "4", "--workers", "0",
            "--pretraining.num_epoch", "1", "--pretraining.cr_patch_size", "[32, 32]",
            "--pretraining.train_datasets", '["patches"]',
            "--pretraining.val_datasets", '["small"]',
        ]
    )  # fmt: skip
    assert code == 0
    trained = load_generator(run / "weights" / "psnr.safetensors")
    assert trained.architecture == network.architecture
    assert weights_sha256(trained) != weights_sha256(network)

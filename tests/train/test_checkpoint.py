"""Our own files: a saved generator comes back, and one that would not is never written."""

import hashlib
import json
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch

from sr_runtime.errors import ArgumentError, ModelError, SRError, StorageError
from sr_train.checkpoint import load_generator, save_generator, weights_sha256
from sr_train.models.compact import SRVGGNetCompact
from sr_train.models.generator import Generator
from sr_train.models.rrdbnet import RRDBNet
from tests.small_generators import generator_id, small_generators

SMALL = {"rrdb_channels": 4, "growth_channels": 2, "num_basic_blocks": 1}
COMPACT = SRVGGNetCompact(scale_factor=2, num_features=4, num_convolutions=2)
# Names and shapes of these are those of a plain ×2 and a plain ×4 network.
UNRECORDED = [RRDBNet(scale_factor=3, **SMALL), RRDBNet(residual_scaling=0.1, **SMALL)]


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".SafeTensors"])
@pytest.mark.parametrize("network", small_generators(), ids=generator_id)
def test_a_saved_generator_comes_back(network: Generator, suffix: str, tmp_path: Path) -> None:
    save_generator(network, tmp_path / f"model{suffix}")
    loaded = load_generator(tmp_path / f"model{suffix}")
    image = torch.rand(1, network.in_channels, 8, 12)
    assert loaded.architecture == network.architecture
    assert weights_sha256(loaded) == weights_sha256(network)
    assert torch.equal(loaded(image), network(image))
    assert [path.name for path in tmp_path.iterdir()] == [f"model{suffix}"]


@pytest.mark.parametrize("network", UNRECORDED, ids=generator_id)
def test_safetensors_record_what_names_and_shapes_do_not(network: RRDBNet, tmp_path: Path) -> None:
    save_generator(network, tmp_path / "model.safetensors")
    loaded = load_generator(tmp_path / "model.safetensors")
    image = torch.rand(1, 3, 4, 4)
    assert loaded.architecture == network.architecture
    assert torch.equal(loaded(image), network(image))


@pytest.mark.parametrize("network", UNRECORDED, ids=generator_id)
def test_a_pth_that_would_be_read_as_another_network_is_not_written(
    network: RRDBNet, tmp_path: Path
) -> None:
    with pytest.raises(
        ArgumentError, match=r"\{'(scale_factor|residual_scaling)': [\d.]+\}.*\.safetensors"
    ):
        save_generator(network, tmp_path / "model.pth")
    assert not list(tmp_path.iterdir())


def test_pth_is_what_basicsr_reads(tmp_path: Path) -> None:
    network = RRDBNet(**SMALL)
    save_generator(network, tmp_path / "model.pth")
    content = torch.load(tmp_path / "model.pth", weights_only=True)
    assert list(content) == ["params"]
    assert content["params"].keys() == network.state_dict().keys()


def test_the_same_generator_is_written_as_the_same_bytes(tmp_path: Path) -> None:
    network = RRDBNet(**SMALL)
    for name in ("a.safetensors", "b.safetensors"):
        save_generator(network.to(memory_format=torch.channels_last), tmp_path / name)
        network = load_generator(tmp_path / name)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("model.onnx", ArgumentError),
        ("model", ArgumentError),
        ("missing/model.pth", StorageError),
        ("taken.safetensors", ArgumentError),
    ],
)
def test_a_place_that_cannot_be_written_is_named(
    name: str, error: type[SRError], tmp_path: Path
) -> None:
    (tmp_path / "taken.safetensors").mkdir()
    with pytest.raises(error) as caught:
        save_generator(COMPACT, tmp_path / name)
    assert caught.value.path == tmp_path / name
    assert [path.name for path in tmp_path.rglob("*")] == ["taken.safetensors"]


def test_scale_of_our_own_file_cannot_be_overridden(tmp_path: Path) -> None:
    save_generator(RRDBNet(scale_factor=2, **SMALL), tmp_path / "model.safetensors")
    assert load_generator(tmp_path / "model.safetensors", scale=2).scale_factor == 2
    with pytest.raises(ModelError, match=r"scale 2 .* scale 3"):
        load_generator(tmp_path / "model.safetensors", scale=3)


@pytest.mark.parametrize(
    "metadata",
    [
        "not JSON",
        "[]",
        "{}",
        json.dumps({"arch": "SwinIR", "architecture": {}}),
        json.dumps({"arch": "RRDBNet", "architecture": {"unheard_of": 1}}),
        json.dumps({"arch": "RRDBNet", "architecture": {"rrdb_channels": "64"}}),
        json.dumps({"arch": "RRDBNet", "architecture": {"scale_factor": 5}}),
    ],
)
def test_damaged_metadata_is_refused(metadata: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file(COMPACT.state_dict(), path, {"sr.generator": metadata})
    with pytest.raises(ModelError, match=r"metadata.*convert"):
        load_generator(path)


def test_metadata_of_another_network_is_refused(tmp_path: Path) -> None:
    save_generator(COMPACT, tmp_path / "model.safetensors")
    with safetensors.safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        metadata = file.metadata()
    path = tmp_path / "other.safetensors"
    safetensors.torch.save_file(RRDBNet(**SMALL).state_dict(), path, metadata)
    with pytest.raises(ModelError, match=r"metadata claims .* convert the original again"):
        load_generator(path)


def test_the_digest_covers_names_shapes_and_fp32_values() -> None:
    network = SRVGGNetCompact(num_features=1, num_convolutions=0, img_channels=1, scale_factor=1)
    with torch.no_grad():
        for value, parameter in enumerate(network.parameters()):
            parameter.fill_(value)
    digest = hashlib.sha256()
    for name, shape, values in (
        ("body.0.bias", (1,), [1]),
        ("body.0.weight", (1, 1, 3, 3), [0] * 9),
        ("body.1.weight", (1,), [2]),
        ("body.2.bias", (1,), [4]),
        ("body.2.weight", (1, 1, 3, 3), [3] * 9),
    ):
        digest.update(f"{name} {shape}\n".encode())
        digest.update(torch.tensor(values, dtype=torch.float32).numpy().tobytes())
    assert weights_sha256(network) == digest.hexdigest()
    assert weights_sha256(network.half()) == digest.hexdigest()
    assert weights_sha256(network.to(memory_format=torch.channels_last)) == digest.hexdigest()

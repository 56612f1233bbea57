"""Pretrained weights: where they are looked for, what is accepted, what is said without network."""

from pathlib import Path

import pytest
import torch

from sr_runtime.errors import ArgumentError, ModelError, StorageError
from sr_train import pretrained
from sr_train.config.schema import PerceptualLoss
from sr_train.models.features import build_features
from sr_train.pretrained import (
    WEIGHTS,
    load_features,
    load_tensors,
    prepare_weights,
    weights_file,
)


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test data to find, and addresses that nobody answers."""
    monkeypatch.setenv("SR_DATA", str(tmp_path / "no data"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")


def saved(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)
    return path


def test_a_given_file_comes_first_and_must_exist(tmp_path: Path) -> None:
    given = saved(tmp_path / "mine.pth", {})
    saved(tmp_path / "weights" / "vgg19-dcbb9e9d.pth", {})
    assert weights_file("vgg19", given=str(given), root=tmp_path) == given
    with pytest.raises(ArgumentError, match=r"absent\.pth: there is no such file"):
        weights_file("vgg19", given=str(tmp_path / "absent.pth"), root=tmp_path)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("vgg11", "vgg11-8a719046.pth"),
        ("vgg13", "vgg13-19584684.pth"),
        ("vgg16", "vgg16-397923af.pth"),
        ("vgg19", "vgg19-dcbb9e9d.pth"),
        ("squeezenet1_1", "squeezenet1_1-b8a52dc0.pth"),
        ("squeezenet1_1", "squeezenet1_1_features.pth"),
        ("lpips_squeeze", "lpips_squeeze_linear.pth"),
    ],
)
def test_weights_are_found_in_the_root_and_then_in_the_test_data(
    name: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SR_DATA", str(tmp_path / "shared"))
    shared = saved(tmp_path / "shared" / "weights" / file, {})
    assert weights_file(name, given=None, root=tmp_path / "root") == shared
    own = saved(tmp_path / "root" / "weights" / file, {})
    assert weights_file(name, given=None, root=tmp_path / "root") == own


def test_without_network_the_error_says_which_file_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unreachable = pretrained.OfficialWeights("http://127.0.0.1:9/vgg19-dcbb9e9d.pth", {"v.pth": ""})
    monkeypatch.setattr(pretrained, "WEIGHTS", {"vgg19": unreachable})
    with pytest.raises(StorageError) as error:
        load_features(PerceptualLoss(), tmp_path)
    said = str(error.value)
    assert unreachable.url in said
    assert str(tmp_path / "weights" / "v.pth") in said
    assert f"prepare vgg19 --from FOLDER --root {tmp_path}" in said


@pytest.mark.parametrize("prefix", ["", "features."])
def test_deeper_layers_and_the_classifier_are_left_out(prefix: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    deep = build_features("squeezenet1_1", ["fire3", "fire9"])
    content = {prefix + name: tensor for name, tensor in deep.state_dict().items()}
    content["classifier.1.weight"] = torch.zeros(1000, 512, 1, 1)
    path = saved(tmp_path / "squeezenet1_1-b8a52dc0.pth", content)
    config = PerceptualLoss(
        vgg_type="squeezenet1_1",
        layer_weights={"fire3": 1.0},
        weights=str(path),
    )
    network = load_features(config, tmp_path)
    image = torch.rand(1, 3, 32, 32)
    assert torch.equal(network(image)["fire3"], deep(image)["fire3"])


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    network = build_features("vgg11", ["conv2_1"])
    missing = saved(tmp_path / "missing.pth", {"0.weight": torch.zeros(64, 3, 3, 3)})
    with pytest.raises(ModelError, match=r"missing\.pth .*'0\.bias' .*\(64,\) and is absent"):
        load_tensors(network, missing)
    shape = saved(tmp_path / "shape.pth", {"0.weight": torch.zeros(64, 3, 11, 11)})
    with pytest.raises(ModelError, match=r"\(64, 3, 3, 3\) and is of shape \(64, 3, 11, 11\)"):
        load_tensors(network, shape)
    broken = tmp_path / "broken.pth"
    broken.write_bytes(b"<html>not found</html>")
    with pytest.raises(ModelError, match=r"broken\.pth: is no PyTorch checkpoint"):
        load_tensors(network, broken)


def test_preparing_copies_files_whose_digest_is_known(data: Path, tmp_path: Path) -> None:
    for name in ("squeezenet1_1", "lpips_squeeze"):
        for source in (data, data / "weights"):
            path = prepare_weights(name, root=tmp_path, source=source)
            assert path.parent == tmp_path / "weights"
            assert path.read_bytes() == (data / "weights" / path.name).read_bytes()
        assert weights_file(name, given=None, root=tmp_path) == path
        assert prepare_weights(name, root=tmp_path, source=None) == path


def test_preparing_refuses_damaged_and_absent_files(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"expected lpips_squeeze_linear\.pth or squeeze\.pth"):
        prepare_weights("lpips_squeeze", root=tmp_path / "root", source=tmp_path)
    saved(tmp_path / "vgg16-397923af.pth", {})
    with pytest.raises(ArgumentError, match=r"should begin 397923af; remove it and fetch https"):
        prepare_weights("vgg16", root=tmp_path / "root", source=tmp_path)
    assert not (tmp_path / "root").exists()


def test_every_address_ends_in_a_known_file_name() -> None:
    assert set(WEIGHTS) == {"vgg11", "vgg13", "vgg16", "vgg19", "squeezenet1_1", "lpips_squeeze"}
    for official in WEIGHTS.values():
        assert official.url.rpartition("/")[2] in official.digests

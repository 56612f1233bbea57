"""Pretrained weights: where they are looked for, which files are accepted, and what errors say."""

import hashlib
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sr_runtime.errors import ArgumentError, DataError, ModelError, StorageError
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
    """A server that nobody answers for."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")


def saved(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)
    return path


def test_a_given_file_comes_first_and_must_exist(tmp_path: Path) -> None:
    given = saved(tmp_path / "mine.pth", {})
    saved(tmp_path / "weights" / "vgg19-dcbb9e9d.pth", {})
    assert weights_file("vgg19", given=str(given), root=tmp_path) == given
    with pytest.raises(ArgumentError, match=r"absent\.pth: .*vgg19"):
        weights_file("vgg19", given=str(tmp_path / "absent.pth"), root=tmp_path)


def test_a_given_file_may_have_an_official_name_and_other_bytes(tmp_path: Path) -> None:
    given = saved(tmp_path / "squeezenet1_1_features.pth", {})
    assert weights_file("squeezenet1_1", given=str(given), root=tmp_path) == given


@pytest.fixture
def official(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The content of vgg19's official file, under each of its two names."""
    content = b"weights"
    sha256 = hashlib.sha256(content).hexdigest()
    unreachable = pretrained.OfficialWeights(
        "http://127.0.0.1:9/vgg19.pth", {"vgg19.pth": sha256[:8], "vgg19_features.pth": sha256}
    )
    monkeypatch.setattr(pretrained, "WEIGHTS", {"vgg19": unreachable})
    return content


@pytest.mark.parametrize("file", ["vgg19.pth", "vgg19_features.pth"])
def test_an_official_file_is_found_in_the_root_under_each_of_its_names(
    file: str, official: bytes, tmp_path: Path
) -> None:
    (tmp_path / "weights").mkdir()
    path = tmp_path / "weights" / file
    path.write_bytes(official)
    assert weights_file("vgg19", given=None, root=tmp_path) == path


@pytest.mark.parametrize("file", ["vgg19.pth", "vgg19_features.pth"])
def test_an_official_name_with_other_bytes_is_refused_when_it_is_used(
    file: str, official: bytes, tmp_path: Path
) -> None:
    path = saved(tmp_path / "weights" / file, {})
    with pytest.raises(
        DataError,
        match=r"sha256 is [0-9a-f]{8,64}, expected [0-9a-f]{8,64}: .*127\.0\.0\.1.*delete",
    ) as error:
        weights_file("vgg19", given=None, root=tmp_path)
    assert error.value.path == path


def test_nothing_outside_the_root_is_looked_at(
    official: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "project" / "here"
    for folder in (tmp_path / "elsewhere", here / ".." / "shared" / "data", here):
        (folder / "weights").mkdir(parents=True)
        (folder / "weights" / "vgg19.pth").write_bytes(official)
    monkeypatch.chdir(here)
    monkeypatch.setenv("SR_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(StorageError, match=r"127\.0\.0\.1"):
        weights_file("vgg19", given=None, root=tmp_path / "root")


def test_without_network_the_error_says_which_file_to_put_where(
    official: bytes, tmp_path: Path
) -> None:
    with pytest.raises(StorageError) as error:
        load_features(PerceptualLoss(), tmp_path)
    said = str(error.value)
    assert "http://127.0.0.1:9/vgg19.pth" in said
    assert str(tmp_path / "weights" / "vgg19.pth") in said
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
    with pytest.raises(ModelError, match=r"missing\.pth: .*'0\.bias'.*\(64,\)"):
        load_tensors(network, missing)
    shape = saved(tmp_path / "shape.pth", {"0.weight": torch.zeros(64, 3, 11, 11)})
    with pytest.raises(ModelError, match=r"shape\.pth: .*\(64, 3, 11, 11\).*\(64, 3, 3, 3\)"):
        load_tensors(network, shape)
    broken = tmp_path / "broken.pth"
    broken.write_bytes(b"<html>not found</html>")
    with pytest.raises(ModelError, match=r"broken\.pth: .*web page"):
        load_tensors(network, broken)


@pytest.mark.parametrize(
    ("stored", "says"),
    [
        (lambda _: 3, "no tensor '0.weight'"),
        (torch.Tensor.to_sparse, "no tensor '0.weight'"),
        (lambda weight: weight.to("meta"), "no tensor '0.weight'"),
        (lambda weight: weight.to(torch.int8), "stored as torch.int8"),
        (lambda weight: weight.to(torch.complex64), "stored as torch.complex64"),
        (lambda weight: weight * math.nan, "0.weight holds NaN"),
    ],
)
def test_what_is_no_dense_finite_float_is_refused(
    stored: Callable[[Tensor], object], says: str, tmp_path: Path
) -> None:
    network = build_features("vgg11", ["conv1_1"])
    weights = network.state_dict()
    path = saved(tmp_path / "w.pth", {**weights, "0.weight": stored(weights["0.weight"])})
    with pytest.raises(ModelError, match=rf"w\.pth: .*{says}"):
        load_tensors(network, path)


def test_half_precision_weights_are_loaded_in_fp32(tmp_path: Path) -> None:
    network = build_features("vgg11", ["conv1_1"])
    half = {name: tensor.bfloat16() for name, tensor in network.state_dict().items()}
    load_tensors(network, saved(tmp_path / "w.pth", half))
    assert torch.equal(network.state_dict()["0.weight"], half["0.weight"].float())


def test_preparing_copies_files_whose_digest_is_known(data: Path, tmp_path: Path) -> None:
    for name in ("squeezenet1_1", "lpips_squeeze"):
        for source in (data, data / "weights"):
            path = prepare_weights(name, root=tmp_path, source=source)
            assert path.parent == tmp_path / "weights"
            assert path.read_bytes() == (data / "weights" / path.name).read_bytes()
        assert weights_file(name, given=None, root=tmp_path) == path
        assert prepare_weights(name, root=tmp_path, source=None) == path


def test_preparing_refuses_damaged_and_absent_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"lpips_squeeze_linear\.pth or squeeze\.pth"):
        prepare_weights("lpips_squeeze", root=tmp_path / "root", source=tmp_path)
    saved(tmp_path / "vgg16-397923af.pth", {})
    with pytest.raises(DataError, match=r"expected 397923af: .*https.*: delete it"):
        prepare_weights("vgg16", root=tmp_path / "root", source=tmp_path)
    assert not (tmp_path / "root").exists()


def test_every_address_ends_in_a_known_file_name() -> None:
    assert set(WEIGHTS) == {"vgg11", "vgg13", "vgg16", "vgg19", "squeezenet1_1", "lpips_squeeze"}
    for official in WEIGHTS.values():
        assert official.url.rpartition("/")[2] in official.digests

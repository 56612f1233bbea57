"""A file without a usable generator is refused in one sentence: what was found and expected."""

import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sr_runtime.errors import StorageError
from sr_train.checkpoint import load_generator
from sr_train.models.compact import SRVGGNetCompact
from sr_train.models.generator import Generator
from sr_train.models.registry import ARCHITECTURES
from sr_train.models.rrdbnet import RRDBNet
from tests.small_generators import generator_id, small_generators
from tests.train.refusals import refusal, refusal_of

SMALL = {"rrdb_channels": 4, "growth_channels": 2, "num_basic_blocks": 2}


class Trap:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return open, (str(self.path), "w")


class ShellTrap(Trap):
    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("trap", [Trap, ShellTrap])
@pytest.mark.parametrize("save", [torch.save, lambda o, path: path.write_bytes(pickle.dumps(o))])
def test_pickled_code_never_runs(
    save: Callable[[object, Path], object], trap: type[Trap], tmp_path: Path
) -> None:
    sprung = tmp_path / "sprung"
    state = RRDBNet(**SMALL).state_dict()
    for content in (trap(sprung), {"params": state, "hook": trap(sprung)}, [trap(sprung)]):
        save(content, tmp_path / "model.pth")
        refusal(tmp_path / "model.pth")
        assert not sprung.exists()


def test_pickled_code_is_named_with_a_remedy(tmp_path: Path) -> None:
    assert re.search(
        r"\(io\.open\).*torch\.save\(",
        refusal_of({"params": {}, "hook": Trap(tmp_path / "sprung")}, tmp_path),
    )
    assert "torch.nn.modules.conv.Conv2d" in refusal_of(nn.Conv2d(1, 1, 1), tmp_path)


def test_a_missing_file_and_a_folder_are_named_as_such(tmp_path: Path) -> None:
    for name in ("missing.pth", "nul\0.pth"):
        assert "no such file" in refusal(tmp_path / name)
    with pytest.raises(StorageError, match="cannot be read"):
        load_generator(tmp_path / ("long" * 100))
    assert "a folder" in refusal(tmp_path)


def test_the_state_of_a_run_points_to_its_generators(tmp_path: Path) -> None:
    torch.save({"position": {}}, tmp_path / "state.pt")
    for path in (tmp_path, tmp_path / "state.pt"):
        assert str(tmp_path / "weights" / "*.safetensors") in refusal(path)


def test_an_onnx_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\x08\n")
    assert "ONNX model" in refusal(tmp_path / "model.onnx")


@pytest.mark.parametrize("name", ["model.pth", "model.safetensors"])
@pytest.mark.parametrize(
    "content", [b"", b"a text file\n", b"<!DOCTYPE html>", b"PK\x03\x04", b"\0"]
)
def test_bytes_of_another_kind_are_refused(content: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert re.search("PyTorch checkpoint|empty|web page", refusal(tmp_path / name))


def test_the_first_bytes_of_another_kind_of_file_are_shown(tmp_path: Path) -> None:
    (tmp_path / "model.pth").write_text("Some weights\n")
    assert "begin with b'Some weights" in refusal(tmp_path / "model.pth")


def some_state(*names: str) -> dict[str, Tensor]:
    return {name: torch.rand(2, 2) for name in names}


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ([torch.rand(2)], "holds a list"),
        (torch.rand(2), "holds a Tensor"),
        ({}, "holds no tensors"),
        ({"params_ema": {}, "params": {"a": 1}}, "holds no tensors, only ['params_ema', 'params']"),
        ({"params": some_state("features.0.weight", "a")}, "'params' with 2 tensors such as 'feat"),
        (some_state("conv0.weight", "conv9.weight"), "2 tensors such as 'conv0.weight'"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).state_dict(), "such as '0.weight'"),
        ({1: torch.rand(2)}, "no tensors, only [1]"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_tensors_of_another_kind_are_named(content: object, found: str, tmp_path: Path) -> None:
    message = refusal_of(content, tmp_path)
    assert found in message
    assert "expected" in message or ", ".join(ARCHITECTURES) in message


def test_names_that_many_networks_use_do_not_make_an_rrdbnet(tmp_path: Path) -> None:
    layers = {f"conv{i}": nn.Conv2d(3, 3, 3) for i in (1, 2, 3)}
    said = refusal_of({"params": nn.ModuleDict(layers).state_dict()}, tmp_path)
    assert "6 tensors" in said
    assert "conv1" in said


@pytest.mark.parametrize("network", small_generators(), ids=generator_id)
@pytest.mark.parametrize("place", range(4))
def test_a_missing_tensor_is_named(network: Generator, place: int, tmp_path: Path) -> None:
    state = dict(network.state_dict())
    name = list(state)[[2, 5, -4, -1][place]]
    del state[name]
    assert f"'{name}' missing" in refusal_of(state, tmp_path)


@pytest.mark.parametrize("network", small_generators(), ids=generator_id)
def test_the_first_few_tensors_left_over_are_named(network: Generator, tmp_path: Path) -> None:
    state = network.state_dict() | some_state("extra.a", "extra.b", "extra.c", "extra.d")
    message = refusal_of(state, tmp_path)
    assert "'extra.a', 'extra.b', 'extra.c' and 1 more left over" in message


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("conv_first.weight", (4, 5, 3, 3)),
        ("conv_first.weight", (4,)),
        ("conv_last.weight", (0, 4, 3, 3)),
        ("body.0.rdb2.conv3.weight", (2, 4, 3, 3)),
        ("body.1.rdb1.conv1.bias", (7,)),
        ("conv_up1.weight", (5, 4, 3, 3)),
        ("conv_hr.weight", (4, 4, 1, 1)),
    ],
)
def test_shapes_that_make_no_network_are_shown(
    name: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    state = RRDBNet(**SMALL).state_dict() | {name: torch.zeros(shape)}
    message = refusal_of(state, tmp_path)
    assert f"{shape}" in message or "5 channels" in message or "with 5: " in message


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_tensor_with_nan_or_infinity_is_named(value: float, tmp_path: Path) -> None:
    state = RRDBNet(**SMALL).state_dict()
    state["body.1.rdb2.conv3.bias"][1] = value
    assert "body.1.rdb2.conv3.bias holds NaN or infinity" in refusal_of(state, tmp_path)


@pytest.mark.parametrize("stored", [torch.Tensor.to_sparse, lambda t: t.to("meta")])
def test_sparse_and_empty_tensors_count_as_missing(
    stored: Callable[[Tensor], Tensor], tmp_path: Path
) -> None:
    state = RRDBNet(**SMALL).state_dict()
    state["conv_hr.bias"] = stored(state["conv_hr.bias"])
    assert "'conv_hr.bias' missing" in refusal_of(state, tmp_path)
    every = {name: stored(tensor) for name, tensor in RRDBNet(**SMALL).state_dict().items()}
    assert "are sparse, or on the meta device" in refusal_of(every, tmp_path)


def test_integer_weights_are_refused(tmp_path: Path) -> None:
    state = {name: tensor.to(torch.int8) for name, tensor in RRDBNet(**SMALL).state_dict().items()}
    assert "torch.int8" in refusal_of(state, tmp_path)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), zipped=st.booleans())
def test_a_file_cut_anywhere_is_refused(data: st.DataObject, zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    state = SRVGGNetCompact(num_features=2, num_convolutions=1).state_dict()
    torch.save({"params": state}, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    said = refusal(path)
    assert "cut short" in said or not path.read_bytes().startswith(b"PK")


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=64), suffix=st.sampled_from([".pth", ".safetensors"]))
def test_any_bytes_are_refused_in_a_sentence(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    refusal(path)


def test_safetensors_cut_short_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file(RRDBNet(**SMALL).state_dict(), path)
    path.write_bytes(path.read_bytes()[:-100])
    assert "safetensors" in refusal(path)

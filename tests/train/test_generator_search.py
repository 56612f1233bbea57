"""The generator is found wherever a file keeps it, and doubt about which one is meant is told."""

import collections
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sr_runtime.errors import ModelError
from sr_train.checkpoint import load_generator
from sr_train.generator_search import MAX_VALUES, find_generator
from sr_train.models.compact import SRVGGNetCompact
from sr_train.models.generator import Generator
from sr_train.models.rrdbnet import RRDBNet
from tests.train.foreign_layouts import assert_same, old_arch, renamed

SMALL = {"rrdb_channels": 4, "growth_channels": 2, "num_basic_blocks": 2}


def prefixed(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


def loaded_from(content: object, tmp_path: Path, **options: Any) -> Generator:
    torch.save(content, tmp_path / "model.pth")
    return load_generator(tmp_path / "model.pth", **options)


STATE = RRDBNet(**SMALL).state_dict()
CRITIC = {"net.0.weight": torch.rand(4, 3, 3, 3), "net.0.bias": torch.rand(4)}
OPTIMISER = {"state": {0: {"exp_avg": torch.rand(4), "step": torch.tensor(1)}}, "param_groups": []}


@pytest.mark.parametrize(
    "content",
    [
        {"net_g": STATE, "optimizer": OPTIMISER},
        {"generator": prefixed("module.", STATE), "discriminator": CRITIC, "epoch": 3},
        {"state_dict": prefixed("net_g.", STATE) | prefixed("net_d.", CRITIC)},
        {"state_dict": prefixed("model.backbone.", STATE), "lr_schedulers": [{}]},
        {"a name that nobody thought of": {"deeper": [{"deepest": STATE}]}},
        [STATE, OPTIMISER],
        (CRITIC, STATE),
        {"models": [CRITIC, prefixed("_orig_mod.module.", STATE)]},
        {"params": {k.replace("body.0.", "body.0._orig_mod."): v for k, v in STATE.items()}},
        {"params": STATE, "params_ema": {}, "history": collections.Counter({5: 1})},
        {**STATE, "params_ema": None, "optimizer": OPTIMISER},
        {"one": STATE, "the same again": STATE},
        {"params": {k: v.double() for k, v in STATE.items()}},
    ],
    ids=lambda content: str(next(iter(content)))[:20] if isinstance(content, dict) else "",
)
def test_any_mapping_and_any_prefix_may_hold_it(content: object, tmp_path: Path) -> None:
    generator = RRDBNet(**SMALL)
    generator.load_state_dict(STATE)
    with warnings.catch_warnings(action="error"):
        assert_same(loaded_from(content, tmp_path), generator.eval())


@pytest.mark.parametrize(
    "network",
    [RRDBNet(**SMALL), SRVGGNetCompact(num_features=4, num_convolutions=2)],
    ids=lambda n: n.arch,
)
def test_what_profilers_and_averages_leave_beside_it_is_ignored(
    network: Generator, tmp_path: Path
) -> None:
    state = dict(network.state_dict())
    for module, _ in network.named_modules():
        prefix = f"{module}." if module else ""
        state |= {f"{prefix}total_ops": torch.zeros(1), f"{prefix}total_params": torch.zeros(1)}
    state |= {"n_averaged": torch.tensor(7), "step": torch.tensor(1)}
    assert_same(loaded_from(state, tmp_path), network.eval())


@pytest.mark.parametrize(
    ("averaged", "raw"),
    [
        ("params_ema", "params"),
        ("params-ema", "params"),
        ("ema_state_dict", "state_dict"),
        ("netG_EMA", "netG"),
        ("swa_model", "model"),
        ("ema", "best"),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_averaged_weights_are_preferred_and_the_choice_is_said(
    averaged: str, raw: str, wrapped: bool, tmp_path: Path
) -> None:
    networks = {raw: RRDBNet(**SMALL), averaged: RRDBNet(**SMALL)}
    content: dict[str, Any] = {name: network.state_dict() for name, network in networks.items()}
    if not wrapped:
        content = {f"{name}.{k}": v for name, state in content.items() for k, v in state.items()}
    with pytest.warns(RuntimeWarning, match=f"'{averaged}' is read.*'{raw}' is left out"):
        assert_same(loaded_from(content, tmp_path), networks[averaged].eval())


def test_averaged_weights_that_are_damaged_are_left_out_with_the_reason(tmp_path: Path) -> None:
    network = RRDBNet(**SMALL)
    damaged = {k: v for k, v in network.state_dict().items() if k != "conv_body.bias"}
    content = {"params": network.state_dict(), "params_ema": damaged}
    with pytest.warns(RuntimeWarning, match=r"'params_ema' is left out: .*'conv_body\.bias'"):
        assert_same(loaded_from(content, tmp_path), network.eval())


@pytest.mark.parametrize("names", [("netG_A", "netG_B"), ("ema_0.99", "ema_0.999")])
def test_two_generators_between_which_nothing_decides_are_both_named(
    names: tuple[str, str], tmp_path: Path
) -> None:
    content = {name: RRDBNet(**SMALL).state_dict() for name in names}
    with pytest.raises(ModelError, match=f"'{names[0]}', '{names[1]}'.*torch.save"):
        loaded_from(content, tmp_path)


def test_names_within_another_network_make_no_generator(tmp_path: Path) -> None:
    blocks = nn.ModuleDict({"body": nn.Sequential(*(nn.Conv2d(3, 3, 3) for _ in range(3)))})
    state = prefixed("trunk.", blocks.state_dict()) | prefixed("head.", STATE | CRITIC)
    del state["head.conv_last.bias"]
    with pytest.raises(ModelError, match=r"conv_last\.bias"):
        loaded_from(state, tmp_path)


def test_a_file_in_an_old_layout_is_found_below_a_prefix_that_resembles_it(tmp_path: Path) -> None:
    network = RRDBNet(**SMALL).eval()
    content = {"model": prefixed("model.", renamed(network, old_arch))}
    assert_same(loaded_from(content, tmp_path), network)


def test_a_mapping_that_holds_itself_ends_the_search() -> None:
    content: dict[str, object] = {"params": {"a": torch.rand(2)}}
    content["self"] = [content]
    with pytest.raises(ModelError, match="1 tensors"):
        find_generator(content, {}, size=100)


def test_endless_depth_and_endless_width_end_the_search() -> None:
    deep: object = STATE
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ModelError, match="no tensors"):
        find_generator({"params": deep}, {}, size=100)
    with pytest.raises(ModelError, match=f"more than {MAX_VALUES:,} values"):
        find_generator({"params": dict.fromkeys(range(MAX_VALUES + 1))}, {}, size=100)


def test_indices_without_tensors_between_them_are_no_sizes(tmp_path: Path) -> None:
    tensor = torch.zeros(1)
    names = [f"body.{i}.rdb1.conv1.weight" for i in range(0, 4_000, 4)]
    names += [f"body.0.rdb{j}.conv1.weight" for j in range(0, 4_000, 4)]
    names += [f"body.0.rdb1.conv{k}.weight" for k in range(0, 4_000, 4)]
    with pytest.raises(ModelError, match="no known generator"):
        find_generator({"params": dict.fromkeys(names, tensor)}, {}, size=100)

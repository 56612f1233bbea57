"""Files as other trainers write them: the generator's weights are found among everything else."""

import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from sr_train.checkpoint import load_generator
from sr_train.models.rrdbnet import RRDBNet
from tests.train.foreign_layouts import assert_same, basicsr, old_arch, renamed

SMALL = {"rrdb_channels": 4, "growth_channels": 2, "num_basic_blocks": 2}

WRAPPERS = ["params_ema", "params-ema", "params", "ema_state_dict", "model_state_dict"]
WRAPPERS += ["g_model_state_dict", "state_dict", "model", "net"]
PREFIXES = ["", "module.", "_orig_mod.", "netG.", "generator.", "generator_ema.module."]
PREFIXES += ["module._orig_mod.", "_orig_mod.module.", "module.generator."]


@pytest.mark.parametrize("wrapper", [None, *WRAPPERS])
@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("renaming", [basicsr, old_arch])
def test_wrappers_and_prefixes_come_off(
    renaming: Callable[..., str], prefix: str, wrapper: str | None, tmp_path: Path
) -> None:
    network = RRDBNet(**SMALL)
    state = {prefix + name: tensor for name, tensor in renamed(network, renaming).items()}
    state |= {"n_averaged": torch.tensor(7), "step": torch.tensor(1), "initted": torch.tensor(True)}
    content = state if wrapper is None else {wrapper: state, "epoch": 3, "optimizer": {"state": {}}}
    torch.save(content, tmp_path / "model.pth")
    loaded = load_generator(tmp_path / "model.pth")
    assert torch.equal(loaded.state_dict()["conv_last.weight"], network.conv_last.weight)
    assert loaded.architecture == network.architecture


def mmagic_state(averaged: RRDBNet | None, raw: RRDBNet) -> dict[str, Tensor]:
    state = {f"generator.{k}": v for k, v in raw.state_dict().items()}
    state |= {"discriminator.conv.weight": torch.rand(2, 2), "step_counter": torch.tensor(5)}
    state |= {"perceptual_loss.vgg.mean": torch.rand(3), "data_preprocessor.mean": torch.rand(3)}
    if averaged is not None:
        state |= {f"generator_ema.{k}": v for k, v in averaged.state_dict().items()}
        state["generator_ema.steps"] = torch.tensor(9)
    return state


def test_mmagic_gives_its_averaged_generator_and_nothing_else(tmp_path: Path) -> None:
    averaged, raw = RRDBNet(**SMALL), RRDBNet(**SMALL)
    torch.save({"meta": {}, "state_dict": mmagic_state(averaged, raw)}, tmp_path / "ema.pth")
    torch.save({"meta": {}, "state_dict": mmagic_state(None, raw)}, tmp_path / "raw.pth")
    with pytest.warns(RuntimeWarning, match=r"'state_dict\.generator_ema' is read"):
        assert_same(load_generator(tmp_path / "ema.pth"), averaged)
    assert_same(load_generator(tmp_path / "raw.pth"), raw)


@pytest.fixture
def history_buffer(monkeypatch: pytest.MonkeyPatch) -> Iterator[type]:
    """Stands for mmengine's class, which pickle writes by its name."""
    name = "mmengine.logging.history_buffer"
    module = types.ModuleType(name)
    module.HistoryBuffer = type("HistoryBuffer", (), {"__module__": name})
    with monkeypatch.context() as patch:
        for parent in ("mmengine", "mmengine.logging"):
            patch.setitem(sys.modules, parent, types.ModuleType(parent))
        patch.setitem(sys.modules, name, module)
        yield module.HistoryBuffer


def test_a_training_checkpoint_loads_beside_its_logs_and_numpy_values(
    history_buffer: type, tmp_path: Path
) -> None:
    network, log = RRDBNet(**SMALL), history_buffer()
    log.history = np.arange(5.0)
    content = {"state_dict": mmagic_state(network, network), "message_hub": {"loss": log}}
    content |= {"best_psnr": np.float64(31.5), "rng": np.random.RandomState(0).get_state()}
    torch.save(content, tmp_path / "iter_5000.pth")
    assert_same(load_generator(tmp_path / "iter_5000.pth"), network)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_half_precision_files_load_into_fp32(
    suffix: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    network = RRDBNet(**SMALL).to(dtype)
    save = torch.save if suffix == ".pth" else safetensors.torch.save_file
    save(network.state_dict(), tmp_path / f"model{suffix}")
    assert_same(load_generator(tmp_path / f"model{suffix}"), network.float().eval())


@pytest.mark.parametrize("name", ["model.pth", "модель ×4.pt", "x.pth.tar", "MODEL.PTH"])
@pytest.mark.parametrize("zipped", [True, False])
def test_any_name_and_both_of_pytorchs_formats_load(
    zipped: bool, name: str, tmp_path: Path
) -> None:
    network = RRDBNet(**SMALL)
    torch.save(network.state_dict(), tmp_path / name, _use_new_zipfile_serialization=zipped)
    assert_same(load_generator(tmp_path / name), network)


def test_loaded_weights_outlive_the_file(tmp_path: Path) -> None:
    network = RRDBNet(**SMALL)
    path = tmp_path / "model.pth"
    torch.save(network.state_dict(), path)
    loaded = load_generator(path)
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
    assert_same(loaded, network)
    assert all(parameter.requires_grad for parameter in loaded.parameters())

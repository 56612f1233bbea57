"""Checkpoints as other trainers write them load, and compute what they did before."""

import re
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from sr_train.checkpoint import CheckpointError, load_generator
from sr_train.models import Generator, RRDBNet, SRVGGNetCompact

SMALL = {"rrdb_channels": 4, "growth_channels": 2, "num_basic_blocks": 2}
DENSE = re.compile(r"body\.(\d+)\.rdb(\d+)\.conv(\d+)")


def xinntao(name: str, blocks: int, stages: int) -> str:
    name = DENSE.sub(r"RRDB_trunk.\1.RDB\2.conv\3", name)
    return (
        name.replace("conv_body", "trunk_conv")
        .replace("conv_up", "upconv")
        .replace("conv_hr", "HRconv")
    )


def old_arch(name: str, blocks: int, stages: int) -> str:
    places = {"first": "0", "body": f"1.sub.{blocks}"}
    places |= {"hr": str(3 * stages + 2), "last": str(3 * stages + 4)}
    places |= {f"up{k}": str(3 * k) for k in range(1, stages + 1)}
    name = DENSE.sub(r"model.1.sub.\1.RDB\2.conv\3.0", name)
    return re.sub(r"conv_(\w+)", lambda m: f"model.{places[m[1]]}", name)


def lornatang(name: str, blocks: int, stages: int) -> str:
    name = DENSE.sub(r"trunk.\1.rdb\2.conv\3", name)
    name = re.sub(r"conv_up(\d+)", r"upsampling\1.0", name)
    heads = {"conv_first": "conv1", "conv_body": "conv2", "conv_hr": "conv3.0"}
    return re.sub(r"conv_\w+", lambda m: heads.get(m[0], "conv4"), name)


def torch_sr(name: str, blocks: int, stages: int) -> str:
    def dense(m: re.Match[str]) -> str:
        rdb, conv = int(m[2]) - 1, int(m[3]) - 1
        return f"rrdb_blocks.rrdb_{m[1]}.dense_blocks.rdb_{rdb}.blocks.{conv}.conv"

    def up(m: re.Match[str]) -> str:
        return f"upsampling_blocks.upsampling_{int(m[1]) - 1}.block.conv"

    name = re.sub(r"conv_up(\d+)", up, DENSE.sub(dense, name))
    name = name.replace("conv_first", "in_conv").replace("conv_body", "rrdb_blocks.out_conv")
    name = name.replace("conv_hr", "upsampling_blocks.out_conv.0")
    return name.replace("conv_last", "upsampling_blocks.out_conv.2")


def basicsr(name: str, blocks: int, stages: int) -> str:
    return name


RENAMINGS = [basicsr, xinntao, old_arch, lornatang, torch_sr]


def renamed(
    network: RRDBNet, renaming: Callable[[str, int, int], str], scaling: float = 0.2
) -> dict[str, Tensor]:
    """The state dict as a trainer of that layout saves it."""
    blocks, stages = network.architecture["num_basic_blocks"], len(network.stages)
    state = {renaming(k, blocks, stages): v for k, v in network.state_dict().items()}
    if renaming is torch_sr:
        for i in range(blocks):
            state[f"rrdb_blocks.rrdb_{i}.residual_scaling"] = torch.tensor(scaling)
            for j in range(network.architecture["num_dense_blocks"]):
                name = f"rrdb_blocks.rrdb_{i}.dense_blocks.rdb_{j}.residual_scaling"
                state[name] = torch.tensor(scaling)
    return state


def trained(network: Generator) -> Generator:
    """With weights whose every one reaches the output."""
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return network.eval()


def assert_same(loaded: Generator, original: Generator) -> None:
    image = torch.rand(1, original.img_channels, 8, 12)
    assert type(loaded) is type(original)
    assert loaded.architecture == original.architecture
    assert not loaded.training
    assert torch.equal(loaded(image), original(image))


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
@pytest.mark.parametrize("renaming", RENAMINGS)
def test_every_layout_loads_to_the_same_outputs(
    renaming: Callable[..., str], scale: int, tmp_path: Path
) -> None:
    network = trained(RRDBNet(scale_factor=scale, **SMALL))
    torch.save(renamed(network, renaming), tmp_path / "model.pth")
    assert_same(load_generator(tmp_path / "model.pth"), network)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    renaming=st.sampled_from(RENAMINGS),
    options=st.fixed_dictionaries(
        {
            "scale_factor": st.sampled_from([1, 2, 4, 8, 16]),
            "img_channels": st.sampled_from([1, 3]),
            "rrdb_channels": st.integers(1, 6),
            "growth_channels": st.integers(1, 6),
            "num_basic_blocks": st.integers(1, 12),
            "num_dense_blocks": st.integers(1, 4),
            "num_residual_blocks": st.integers(2, 6),
            "use_subpixel_conv": st.booleans(),
            "unshuffle": st.sampled_from([1, 2, 4]),
        }
    ),
)
def test_architecture_is_inferred_whatever_its_sizes(
    renaming: Callable[..., str], options: dict[str, int], tmp_path: Path
) -> None:
    if options["scale_factor"] * options["unshuffle"] == 1:
        options["use_subpixel_conv"] = False  # there is no stage to tell
    network = RRDBNet(**options)
    safetensors.torch.save_file(renamed(network, renaming), tmp_path / "model.safetensors")
    loaded = load_generator(tmp_path / "model.safetensors")
    assert loaded.architecture == network.architecture
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)


@pytest.mark.parametrize("renaming", RENAMINGS)
def test_x3_loads_when_asked_for_since_its_tensors_look_like_x2(
    renaming: Callable[..., str], tmp_path: Path
) -> None:
    network = trained(RRDBNet(scale_factor=3, **SMALL))
    torch.save(renamed(network, renaming), tmp_path / "model.pth")
    assert load_generator(tmp_path / "model.pth").scale_factor == 2
    assert_same(load_generator(tmp_path / "model.pth", scale=3), network)


def test_subpixel_x3_is_told_by_its_nine_times_as_many_channels(tmp_path: Path) -> None:
    network = trained(RRDBNet(scale_factor=3, use_subpixel_conv=True, **SMALL))
    torch.save(network.state_dict(), tmp_path / "model.pth")
    assert_same(load_generator(tmp_path / "model.pth"), network)


@pytest.mark.parametrize(
    ("network", "scale"),
    [
        (RRDBNet(scale_factor=4, **SMALL), 3),
        (RRDBNet(scale_factor=4, **SMALL), 2),
        (RRDBNet(scale_factor=1, unshuffle=2, **SMALL), 3),
        (RRDBNet(scale_factor=2, use_subpixel_conv=True, **SMALL), 3),
        (SRVGGNetCompact(scale_factor=4, num_features=4, num_convolutions=1), 2),
    ],
    ids=lambda v: v if isinstance(v, int) else f"{v.arch}-x{v.scale_factor}-{v.multiple_of}",
)
def test_a_scale_that_the_tensors_cannot_make_is_refused(
    network: Generator, scale: int, tmp_path: Path
) -> None:
    torch.save(network.state_dict(), tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match=f"cannot be loaded for scale {scale}"):
        load_generator(tmp_path / "model.pth", scale=scale)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_compact_loads_with_its_sizes(scale: int, tmp_path: Path) -> None:
    options = {"img_channels": 1, "num_features": 5, "num_convolutions": 6}
    network = trained(SRVGGNetCompact(scale_factor=scale, **options))
    torch.save({"params": network.state_dict()}, tmp_path / "model.pth")
    assert_same(load_generator(tmp_path / "model.pth"), network)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("scaling", [0.2, 0.1, 0.15])
def test_torch_srs_residual_scaling_becomes_part_of_the_architecture(
    scaling: float, dtype: torch.dtype, tmp_path: Path
) -> None:
    network = RRDBNet(residual_scaling=scaling, **SMALL)
    state = {k: v.to(dtype) for k, v in renamed(network, torch_sr, scaling).items()}
    torch.save({"g_model_state_dict": state, "d_model_state_dict": {}}, tmp_path / "model.pth")
    assert load_generator(tmp_path / "model.pth").architecture == network.architecture


def test_blocks_that_scale_differently_are_refused(tmp_path: Path) -> None:
    state = renamed(RRDBNet(**SMALL), torch_sr)
    state["rrdb_blocks.rrdb_1.residual_scaling"] = torch.tensor(0.5)
    torch.save({"model_state_dict": state}, tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match=r"differently from block to block"):
        load_generator(tmp_path / "model.pth")


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


@pytest.mark.parametrize(
    ("better", "worse"), [("params_ema", "params"), ("ema_state_dict", "state_dict")]
)
def test_averaged_weights_are_preferred(better: str, worse: str, tmp_path: Path) -> None:
    averaged, raw = RRDBNet(**SMALL), RRDBNet(**SMALL)
    torch.save({worse: raw.state_dict(), better: averaged.state_dict()}, tmp_path / "model.pth")
    assert_same(load_generator(tmp_path / "model.pth"), averaged)
    torch.save({worse: raw.state_dict(), better: {}}, tmp_path / "model.pth")
    assert_same(load_generator(tmp_path / "model.pth"), raw)


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

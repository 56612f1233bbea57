"""Files that are mistaken for an ESRGAN checkpoint are told by what they are."""

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from sr_train.checkpoint import load_generator, save_generator
from sr_train.models.compact import SRVGGNetCompact
from sr_train.models.discriminator import UNetDiscriminator, VGGDiscriminator
from sr_train.models.realplksr import RealPLKSR
from sr_train.models.rrdbnet import RRDBNet
from sr_train.models.span import SPAN
from tests.train.refusals import refusal, refusal_of

SMALL = {"rrdb_channels": 4, "growth_channels": 2, "num_basic_blocks": 1}


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "PNG")
    return file.getvalue()


def array() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>Log in</html>", "web page"),
        (b"\n<HTML><head>", "web page"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "XML"),
        (b'{"error": "Repository not found"}', "JSON"),
        (b"\x08\x08\x12\x07pytorch\x1a\x052.1.0:", "ONNX model"),
        (b"ftrt\0\0\0\0\xef\0\0\0", "engine of TensorRT"),
        (b"7767517\n75 83\nInput data 0 1 data\n", "ncnn"),
        (b"\x47\x6b\x30\x01\0\0\0\0", "ncnn"),
        (b"GGUF\x03\0\0\0", "GGUF"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"\x1c\0\0\0TFL3", "TensorFlow Lite"),
        (tarfile.TarInfo("model.pth").tobuf(), "tar archive"),
        (b"\x1f\x8b\x08\0", "compressed archive"),
        (b"7z\xbc\xaf\x27\x1c", "compressed archive"),
        (b"Rar!\x1a\x07\x01\0", "compressed archive"),
        (bytes(4096), "begins with zeros"),
        (png(), "an image"),
        (array(), "NumPy"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
@pytest.mark.parametrize("name", ["model.pth", "model.safetensors"])
def test_the_first_bytes_tell_what_a_file_is(
    content: bytes, said: str, name: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    assert said in refusal(tmp_path / name)


@pytest.mark.parametrize("name", ["model.onnx", "model.engine", "model.plan"])
def test_a_model_that_was_exported_is_told_by_its_name(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"anything")
    assert "cannot be read back" in refusal(tmp_path / name)


def test_half_a_download_is_told(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save(RRDBNet(**SMALL).state_dict(), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    said = refusal(path)
    assert "cut short" in said
    assert f"{path.stat().st_size:,} bytes" in said


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchscript_is_told(tmp_path: Path) -> None:
    torch.jit.trace(nn.ReLU(), torch.rand(1, 3, 2, 2)).save(tmp_path / "model.pt")
    assert "TorchScript" in refusal(tmp_path / "model.pt")


@pytest.mark.slow
def test_a_program_of_torch_export_is_told(tmp_path: Path) -> None:
    program = torch.export.export(nn.ReLU(), (torch.rand(1, 3, 2, 2),))
    torch.export.save(program, tmp_path / "model.pt2")
    assert "torch.export" in refusal(tmp_path / "model.pt2")


def test_a_part_of_a_split_checkpoint_is_told_and_a_single_part_is_read(tmp_path: Path) -> None:
    parts = tmp_path / "model-00002-of-00003.safetensors", tmp_path / "m-00001-of-00001.safetensors"
    for path in parts:
        save_generator(RRDBNet(**SMALL), path)
    assert "one of the 3 files" in refusal(parts[0])
    load_generator(parts[1])


def test_a_checkpoint_of_torch_distributed_names_the_command_that_converts_it(
    tmp_path: Path,
) -> None:
    for name in (".metadata", "__0_0.distcp"):
        (tmp_path / name).write_bytes(b"PK\x03\x04")
    for path in (tmp_path, tmp_path / "__0_0.distcp"):
        assert f"dcp_to_torch {tmp_path} model.pth" in refusal(path)


def test_an_archive_names_the_weights_inside(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.pth", "w") as archive:
        archive.writestr("readme.txt", "Thanks for downloading")
        archive.writestr("models/4x_best.pth", "weights")
    assert "'models/4x_best.pth'" in refusal(tmp_path / "model.pth")


def test_arrays_instead_of_tensors_are_told(tmp_path: Path) -> None:
    state = {name: tensor.numpy() for name, tensor in RRDBNet(**SMALL).state_dict().items()}
    said = refusal_of({"params": state}, tmp_path)
    assert "'conv_first.weight' that are no tensors" in said
    assert "torch.from_numpy" in said


def test_the_state_of_an_optimiser_is_told(tmp_path: Path) -> None:
    adam = {"state": {0: {"step": torch.tensor(1.0), "exp_avg": torch.rand(3)}}}
    adam["param_groups"] = [{"lr": 1e-4, "params": [0]}]
    assert "optimizer" in refusal_of(adam, tmp_path)
    assert "optimizer" in refusal_of({"epoch": 3, "iter": 9, "optimizers": [adam]}, tmp_path)


@pytest.mark.parametrize(
    "network",
    [
        UNetDiscriminator(img_channels=3, unet_channels=4),
        VGGDiscriminator(
            img_channels=3,
            vgg_blk_ch=(4, 4),
            fc_features=(4,),
            patch_size=(16, 16),
            batch_norm=True,
        ),
    ],
    ids=["unet", "vgg"],
)
def test_our_own_discriminators_are_no_generators(network: nn.Module, tmp_path: Path) -> None:
    refusal_of({"params": network.state_dict()}, tmp_path)


# Names of tensors as the programs of these networks save them, a few of each.
OTHERS = {
    "SwinIR": "patch_embed.norm.weight layers.0.residual_group.blocks.0.norm1.weight",
    "Swin2SR": "conv_first.weight layers.0.residual_group.blocks.0.attn.logit_scale",
    "HAT": "layers.0.residual_group.blocks.0.norm1.weight "
    "layers.0.residual_group.overlap_attn.relative_position_bias_table",
    "DAT": "before_RG.1.weight layers.0.blocks.0.norm1.weight",
    "DRCT": "layers.0.swin1.norm1.weight layers.0.adjust1.weight",
    "PLKSR": "feats.0.weight feats.1.lk.conv.weight feats.1.channe_mixer.0.weight",
    "RealPLKSR with DySample": "feats.0.weight feats.1.channel_mixer.0.weight to_img.init_pos",
    "OmniSR": "residual_layer.0.residual_layer.0.layer.0.fn.0.weight input.weight",
    "RCAN": "head.0.weight body.0.body.0.body.0.weight body.0.body.0.body.3.conv_du.0.weight",
    "EDSR": "conv_first.weight body.0.conv1.weight body.0.conv2.weight conv_after_body.weight",
    "SRResNet": "conv_first.weight body.0.conv1.weight upconv1.weight conv_hr.weight",
    "RealCUGAN": "unet1.conv1.conv.0.weight unet2.conv1.conv.0.weight",
    "GFPGAN": "stylegan_decoder.style_mlp.1.weight",
    "a discriminator": "conv0.weight conv1.weight_orig conv1.weight_u conv9.weight",
    "VGG": "features.0.weight features.0.bias classifier.0.weight",
    "LPIPS": "lin0.model.1.weight lin1.model.1.weight",
    "LoRA": "lora_unet_down_blocks_0_attentions_0_proj_in.lora_up.weight",
    "Stable Diffusion": "model.diffusion_model.input_blocks.0.0.weight",
}


def named(names: str) -> dict[str, Tensor]:
    return {name: torch.zeros(2) for name in names.split()}


@pytest.mark.parametrize("prefix", ["", "module.", "net_g."])
@pytest.mark.parametrize("network", OTHERS)
def test_other_networks_are_named_with_what_to_do(
    network: str, prefix: str, tmp_path: Path
) -> None:
    tensors = {prefix + name: value for name, value in named(OTHERS[network]).items()}
    said = refusal_of({"params": tensors}, tmp_path)
    assert network in said
    assert "`python -m sr_export onnx`" in said or "give the generator's file" in said


@pytest.mark.parametrize(
    "network",
    [
        RRDBNet(**SMALL),
        SRVGGNetCompact(num_convolutions=1),
        SPAN(num_features=4),
        RealPLKSR(num_features=4, num_blocks=1),
    ],
    ids=lambda n: n.arch,
)
def test_a_damaged_generator_is_not_taken_for_another_network(
    network: nn.Module, tmp_path: Path
) -> None:
    state = dict(network.state_dict()) | named("net_d.conv0.weight net_d.conv1.weight_orig")
    assert "left over" in refusal_of(state, tmp_path)

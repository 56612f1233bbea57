"""Networks of other people's architectures are exported faithfully, or refused in one sentence."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import sr_runtime
from benchmarks.architectures.networks import NETWORKS, save_network
from benchmarks.architectures.row import REAL
from sr_export.__main__ import main
from sr_export.photos import CALIBRATION, crops, tensor_from_crop
from sr_export.traceable import traceable
from sr_runtime.errors import ModelError
from sr_train.checkpoint import load_any_generator, load_generator
from sr_train.models.registry import build_generator
from sr_train.models.spandrel_network import SpandrelNetwork, import_spandrel


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`network("SwinIR")`: a checkpoint of a small network of that architecture."""
    for package in ("spandrel", "einops"):
        if not any(Path(folder, package).is_dir() for folder in sys.path):
            pytest.skip(f"{package}, of the extra spandrel, is not installed")
    folder = tmp_path_factory.mktemp("spandrel")

    def checkpoint(name: str) -> Path:
        path = folder / f"{name}.pth"
        if not path.exists():
            save_network(name, path)
        return path

    return checkpoint


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A folder with one of the photos on which the halo is measured."""
    folder = tmp_path / "photo"
    folder.mkdir()
    shutil.copy(CALIBRATION / "astronaut.png", folder)
    return folder


def by_torch(checkpoint: Path, pixels: np.ndarray) -> np.ndarray:
    """A network's result for an image that needs no padding."""
    with torch.inference_mode():
        planes = load_any_generator(checkpoint)(tensor_from_crop(pixels))[0]
    return (planes.clamp(0, 1) * 255).round().numpy().transpose(1, 2, 0)


@pytest.mark.slow
def test_a_network_of_windows_is_exported_for_every_size_with_its_facts(
    network, photo, tmp_path, capsys
) -> None:
    model, checkpoint = tmp_path / "m.onnx", network("SwinIR")
    assert main(["onnx", str(checkpoint), "-o", str(model), "--calibrate", str(photo)]) == 0
    assert "SwinIR ×4" in capsys.readouterr().out
    (pixels,) = crops(1, 40, 72, channels=3)
    with sr_runtime.load(model, device="cpu", precision="fp32") as upscaler:
        info = upscaler.info
        assert (info.arch, info.scale, info.multiple_of, info.min_side) == ("SwinIR", 4, 8, 16)
        assert info.phase % 8 == 0
        assert np.abs(upscaler.upscale(pixels) - by_torch(checkpoint, pixels)).max() <= 1
        assert upscaler.upscale(pixels[:5, :3]).shape == (20, 12, 3)  # padded up to 16×16
    assert main(["verify", str(checkpoint), str(model)]) == 0


@pytest.mark.slow
def test_a_file_in_half_for_bytes_of_one_tile_size_runs_images_of_any_size(
    network, photo, tmp_path, capsys
) -> None:
    model, checkpoint = tmp_path / "m.onnx", network("MoSR")
    command = ["onnx", str(checkpoint), "-o", str(model), "--calibrate", str(photo)]
    options = ["--precision", "fp16", "--io", "uint8", "--tile-size", "64"]
    assert main([*command, *options]) == 0
    assert "for tiles of 64×64 pixels only" in capsys.readouterr().out
    (pixels,) = crops(1, 100, 84, channels=3)
    with sr_runtime.load(model, device="cpu", precision="fp32") as upscaler:
        assert (upscaler.info.weights_dtype, upscaler.info.io) == ("float16", "uint8")
        assert upscaler.max_tile == (64, 64)
        assert np.abs(upscaler.upscale(pixels) - by_torch(checkpoint, pixels)).max() <= 2


def test_half_is_refused_where_spandrel_calls_a_network_unfit_for_it(
    network, tmp_path, capsys
) -> None:
    command = ["onnx", str(network("SwinIR")), "-o", str(tmp_path / "m.onnx")]
    assert main([*command, "--precision", "fp16"]) == 2
    said = capsys.readouterr().err
    assert "SwinIR cannot be computed in half" in said
    assert "--precision fp32" in said
    assert main([*command, "--tile-size", "60"]) == 2
    assert "60 is not a multiple of 8 from 16 to" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["SwinIR", "DAT", "HAT", "ATD", "SeemoRe"])
def test_what_is_traced_computes_the_same(name: str, network) -> None:
    generator = load_any_generator(network(name))
    multiple = max(generator.multiple_of, 16)
    image = torch.rand(1, 3, multiple, 2 * multiple)
    with torch.inference_mode():
        wanted = generator(image)
        with traceable(generator):
            traced = generator.folded()(image)
        assert torch.equal(generator(image), wanted)
    torch.testing.assert_close(traced, wanted, rtol=0, atol=1e-6)


def test_pixels_that_atd_puts_into_one_category_keep_their_order(network, monkeypatch) -> None:
    """PyTorch's sort has another order with each kind of processor, and none in ONNX."""
    generator, sort, called = load_any_generator(network("ATD")), torch.sort, []

    class Recording(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            called.append(func)
            return func(*args, **kwargs or {})

    image = torch.rand(1, 3, 32, 48)
    with torch.inference_mode():
        with Recording():
            result = generator(image)
        monkeypatch.setattr(
            torch, "sort", lambda each, dim, stable: sort(each, dim=dim, stable=True)
        )
        assert torch.equal(result, generator.network(image))
    assert torch.ops.aten.topk.default in called
    assert not {torch.ops.aten.sort.default, torch.ops.aten.sort.stable} & {*called}


def test_a_network_is_found_in_a_trainers_file_and_averaged_weights_are_preferred(
    network, tmp_path
) -> None:
    state = torch.load(network("SwinIR"))["params"]
    other = {name: tensor + tensor.is_floating_point() for name, tensor in state.items()}
    wrapped = {f"module.{name}": tensor for name, tensor in state.items()}
    content = {"epoch": 3, "gen": {"params": other, "params_ema": wrapped}}
    torch.save(content, tmp_path / "m.pth")
    found = load_any_generator(tmp_path / "m.pth")
    assert torch.equal(found.state_dict()["network.conv_first.weight"], state["conv_first.weight"])


@pytest.mark.parametrize(
    ("arch", "architecture", "options"),
    [
        ("SPAN", "SPAN", {"num_features": 8}),
        ("RealPLKSR", "PLKSR", {"num_features": 8, "num_blocks": 1, "kernel_size": 5}),
    ],
)
def test_a_network_of_ours_computes_what_spandrels_does(
    arch: str, architecture: str, options: dict[str, int], network
) -> None:
    network("SwinIR")
    ours = build_generator(arch, options).eval()
    found = import_spandrel().MAIN_REGISTRY[architecture].architecture
    theirs = found.load({name: tensor.clone() for name, tensor in ours.stored().items()}).model
    image = torch.rand(1, 3, 9, 13, dtype=torch.float64)
    with torch.inference_mode():
        wanted = theirs.eval().double()(image)
        torch.testing.assert_close(ours.double()(image), wanted, rtol=1e-7, atol=1e-7)


def test_the_matrix_has_a_row_for_every_architecture_that_enlarges(network) -> None:
    network("SwinIR")
    restoring = (
        "DRUNet DnCNN FBCNN FFTformer GFPGAN HVICIDNet KBNet LaMa MixDehazeNet NAFNet "
        "RestoreFormer RetinexFormer SCUNet Uformer"
    )
    known = {each.architecture.id for each in import_spandrel().MAIN_REGISTRY}
    rows = {each.architecture for each in NETWORKS.values()} | REAL.keys()
    assert rows == known - {*restoring.split()}


def test_training_refuses_a_network_that_is_only_exported(network) -> None:
    with pytest.raises(ModelError, match=r"SwinIR.*cannot be trained.*sr_export onnx") as raised:
        load_generator(network("SwinIR"))
    assert raised.value.path == network("SwinIR")


def test_a_network_with_a_missing_tensor_is_refused_in_one_sentence(network, tmp_path) -> None:
    state = torch.load(network("SwinIR"))["params"]
    del state["conv_after_body.weight"]
    torch.save(state, tmp_path / "m.pth")
    with pytest.raises(ModelError, match=r"architecture SwinIR.*cannot build it") as raised:
        load_any_generator(tmp_path / "m.pth")
    assert "\n" not in str(raised.value)


def test_names_that_count_layers_without_end_are_refused(network, tmp_path) -> None:
    state = torch.load(network("SwinIR"))["params"]
    state["layers.99999999.x"] = torch.zeros(1)
    torch.save(state, tmp_path / "m.pth")
    with pytest.raises(ModelError, match="count up to 99999999"):
        load_any_generator(tmp_path / "m.pth")


def test_a_shape_that_makes_a_network_many_times_larger_than_its_file_is_refused(
    network, tmp_path
) -> None:
    state = torch.load(network("SwinIR"))["params"]
    state["conv_first.weight"] = torch.zeros(1).expand(8000, 3, 3, 3)
    torch.save(state, tmp_path / "m.pth")
    with pytest.raises(ModelError, match="many times more weights than the file"):
        load_any_generator(tmp_path / "m.pth")


def test_spandrel_leaves_no_stand_in_for_torchvision(network) -> None:
    assert isinstance(load_any_generator(network("SwinIR")), SpandrelNetwork)
    assert "torchvision" not in sys.modules or sys.modules["torchvision"].__spec__ is not None


def test_without_the_extra_the_message_names_it(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "spandrel", None)
    names = ("layers.0.residual_group.blocks.0.norm1.weight", "conv_first.weight", "a.b", "c.d")
    torch.save({name: torch.zeros(1) for name in names}, tmp_path / "m.pth")
    with pytest.raises(ModelError, match=r"SwinIR, which.*pip install \"sr-toolkit\[spandrel\]\""):
        load_any_generator(tmp_path / "m.pth")


def test_a_network_that_nobody_knows_is_told_so(network, tmp_path) -> None:
    network("SwinIR")
    torch.save({f"odd.{i}.weight": torch.zeros(1) for i in range(9)}, tmp_path / "m.pth")
    with pytest.raises(ModelError, match=r"odd\.0\.weight.*spandrel does not recognise its"):
        load_any_generator(tmp_path / "m.pth")

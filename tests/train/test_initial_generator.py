"""The generator that a run begins with."""

from pathlib import Path

import pytest
import torch

from sr_runtime.backends.onnx_header import read_header
from sr_runtime.embedded import EMBEDDED, model_file
from sr_runtime.errors import ArgumentError
from sr_train.checkpoint import save_generator, weights_sha256
from sr_train.config.file import preset
from sr_train.config.schema import Config, GeneratorConfig, Pretraining
from sr_train.initial_generator import initial_generator
from sr_train.models.compact import SRVGGNetCompact
from sr_train.models.generator import Generator
from sr_train.models.realplksr import RealPLKSR
from sr_train.models.rrdbnet import RRDBNet
from sr_train.models.span import SPAN


def tiny(**options: int) -> RRDBNet:
    sizes = {"rrdb_channels": 4, "growth_channels": 2, "num_basic_blocks": 1}
    return RRDBNet(**(sizes | options))  # type: ignore[arg-type]


def saved(generator: Generator, folder: Path) -> str:
    path = folder / "init.safetensors"
    save_generator(generator, path)
    return str(path)


@pytest.mark.parametrize("name", EMBEDDED)
def test_a_run_begins_with_an_embedded_model_by_its_name(name: str) -> None:
    info = read_header(model_file(name)).info
    assert info is not None
    generator = initial_generator(Config(init=name))
    assert (generator.arch, generator.scale_factor) == (info.arch, info.scale)
    assert weights_sha256(generator) == info.weights_sha256


def test_the_preset_for_fine_tuning_begins_with_psnr() -> None:
    assert preset("finetune").init == "psnr"


def test_a_type_that_was_chosen_is_never_silently_replaced_by_that_of_init(tmp_path: Path) -> None:
    span, rrdbnet = GeneratorConfig(type="span"), GeneratorConfig(type="rrdbnet")
    with pytest.raises(ArgumentError, match=r"generator.type is span.*init is of.*RRDBNet"):
        initial_generator(Config(init=saved(tiny(), tmp_path), generator=span))
    init = saved(SPAN(num_features=4), tmp_path)
    with pytest.raises(ArgumentError, match=r"generator.type is rrdbnet.*SPAN: set .* to null"):
        initial_generator(Config(init=init, generator=rrdbnet))
    for chosen in (span, GeneratorConfig()):
        assert initial_generator(Config(init=init, generator=chosen)).arch == "SPAN"


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [(4, 2, "conv_up2"), (2, 4, "conv_up2"), (4, 3, "conv_up2"), (2, 3, "none")],
)
def test_another_scale_takes_over_every_layer_that_it_has(
    tmp_path: Path, before: int, after: int, changed: str
) -> None:
    old = tiny(scale_factor=before)
    crop = Pretraining(cr_patch_size=(48, 48))
    config = Config(
        init=saved(old, tmp_path), scale_factor=after, stages="pretraining", pretraining=crop
    )
    with pytest.warns(RuntimeWarning, match=rf"scale {before}.*scale {after}.*{changed}"):
        new = initial_generator(config)
    assert new.scale_factor == after
    known = old.state_dict()
    for layer, value in new.state_dict().items():
        assert layer not in known or torch.equal(value, known[layer])
    assert new(torch.zeros(1, 3, 5, 6)).shape == (1, 3, 5 * after, 6 * after)


@pytest.mark.parametrize(
    ("network", "last"),
    [
        (SRVGGNetCompact(num_features=4, num_convolutions=1), "body.4"),
        (SPAN(num_features=4), "upsampler.0"),
        (RealPLKSR(num_features=4, num_blocks=1), "feats.3"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.arch,
)
def test_where_all_is_computed_at_low_resolution_another_scale_changes_the_last_layer_alone(
    network: Generator, last: str, tmp_path: Path
) -> None:
    with pytest.warns(
        RuntimeWarning, match=rf"left out: {last}; layers with fresh weights: {last};"
    ):
        new = initial_generator(Config(init=saved(network, tmp_path), scale_factor=2))
    assert new(torch.zeros(1, 3, 5, 6)).shape == (1, 3, 10, 12)
    for layer, value in network.state_dict().items():
        assert layer.startswith(last) or torch.equal(value, new.state_dict()[layer])


def test_other_channels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"1 channels.*img_channels is 3"):
        initial_generator(Config(init=saved(tiny(img_channels=1), tmp_path)))

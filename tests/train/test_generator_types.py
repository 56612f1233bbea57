"""The types of generator that a configuration chooses from, and what works for each of them."""

import json
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

import sr_export
import sr_runtime
import sr_train
from sr_runtime.backends.tensorrt.engine_file import read_engine
from sr_runtime.backends.tensorrt.options import Profile
from sr_runtime.errors import ArgumentError
from sr_train import trainer
from sr_train.checkpoint import load_generator
from sr_train.config.file import fit_arguments, read_config, write_config
from sr_train.config.fixed import check_unchanged, fixed_values
from sr_train.config.generator import ROWS, architecture_of, described
from sr_train.config.schema import Config, GeneratorConfig
from sr_train.config.sections import GeneratorType
from sr_train.inference import upscale_torch
from sr_train.initial_generator import fresh_generator
from sr_train.stages import GanStage
from tests.simulated_tensorrt import simulated
from tests.tolerances import LARGEST_DIFFERENCE
from tests.train.resumable_run import Killed, write_config_of

TYPES = get_args(GeneratorType)
SMALL: dict[GeneratorType, dict[str, Any]] = {
    "rrdbnet": {"rrdb_channels": 4, "growth_channels": 2, "num_basic_blocks": 1},
    "compact": {"compact_channels": 4, "compact_convolutions": 1},
    "span": {"span_channels": 4},
    "realplksr": {"realplksr_channels": 8, "realplksr_blocks": 1, "realplksr_kernel_size": 5},
}


def test_the_defaults_are_the_documented_ones() -> None:
    told = {kind: architecture_of(GeneratorConfig(type=kind))[1] for kind in TYPES}
    assert told["rrdbnet"]["num_basic_blocks"] == 16
    assert told["compact"] == {"num_features": 64, "num_convolutions": 16}
    assert told["span"] == {"num_features": 48}
    assert told["realplksr"] == {"num_features": 64, "num_blocks": 28, "kernel_size": 17}
    assert GeneratorConfig().kind == "rrdbnet"


@pytest.mark.parametrize(
    ("field", "value", "limit"),
    [
        ("type", "swinir", "one of 'rrdbnet', 'compact', 'span', 'realplksr'"),
        ("compact_convolutions", 1001, "from 1 to 1000"),
        ("realplksr_blocks", 0, "from 1 to 1000"),
        ("realplksr_channels", 3, "at least 4"),
        ("realplksr_kernel_size", 16, "odd"),
    ],
)
def test_a_size_that_no_network_has_is_refused(field: str, value: Any, limit: str) -> None:
    with pytest.raises(ArgumentError, match=rf"generator.{field} is {value}: .*{limit}"):
        Config(generator=GeneratorConfig(**{field: value}))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", TYPES)
def test_a_configuration_describes_its_own_network(kind: GeneratorType, channels: int) -> None:
    sizes = GeneratorConfig(type=kind, **SMALL[kind])
    network = fresh_generator(Config(generator=sizes, img_channels=channels, scale_factor=2))
    assert (network.arch, network.scale_factor) == (ROWS[kind].arch, 2)
    assert (network.in_channels, network.out_channels) == (channels, channels)
    other = GeneratorConfig(type="rrdbnet" if kind == "span" else "span")
    told = described(other, network.arch, network.architecture)
    assert architecture_of(told) == architecture_of(sizes)
    Config(generator=told)


def test_every_field_gives_a_size_of_one_type() -> None:
    named = [field for row in ROWS.values() for field in row.arguments]
    assert sorted(named) == sorted({f.name for f in fields(GeneratorConfig)} - {"type"})


def test_the_type_and_its_sizes_stay_while_a_run_lasts(tmp_path: Path) -> None:
    span = Config(generator=GeneratorConfig(type="span"))
    before = json.loads(json.dumps(fixed_values(span)))
    check_unchanged(span, before, tmp_path)
    for sizes in (GeneratorConfig(type="span", span_channels=32), GeneratorConfig(type="compact")):
        with pytest.raises(ArgumentError, match="generator cannot change"):
            check_unchanged(replace(span, generator=sizes), before, tmp_path)


def test_a_run_that_began_before_there_were_types_goes_on(tmp_path: Path) -> None:
    config = Config()
    sizes = {name: asdict(config.generator)[name] for name in ROWS["rrdbnet"].arguments}
    check_unchanged(config, fixed_values(config) | {"generator": sizes}, tmp_path)


def test_a_type_takes_its_own_sizes_and_none_of_a_preset_for_another(tmp_path: Path) -> None:
    words = ["--preset", "embedded", "--generator.type", "span", "--generator.span_channels", "8"]
    config = fit_arguments(words).config
    assert config.generator == GeneratorConfig(type="span", span_channels=8)
    file = tmp_path / "config.yaml"
    write_config(config, file)
    assert read_config(file) == config
    assert read_config(file, ["--generator.type=compact"]).generator == GeneratorConfig(
        type="compact"
    )
    of_rrdbnet = ["--generator.rrdb_channels", "8"]
    said = r"generator.rrdb_channels is 8, .* type (span|compact) has no such size: leave it out"
    compact = ["--preset", "real", "--init", "null", "--generator.type", "compact"]
    for given in (words, compact, ["--config", str(file)]):
        with pytest.raises(ArgumentError, match=said):
            fit_arguments([*given, *of_rrdbnet])
    file.write_text("generator: {type: span, rrdb_channels: 8}")
    with pytest.raises(ArgumentError, match=said):
        read_config(file)
    fit_arguments(["--preset", "embedded", "--init", "psnr"])


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in TYPES if kind != "rrdbnet"])
def test_it_is_trained_killed_resumed_exported_run_and_made_an_engine(
    kind: GeneratorType, data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_config_of(tmp_path / "config.yaml", data_root)
    config = replace(
        config,
        generator=GeneratorConfig(type=kind, **SMALL[kind]),
        pretraining=replace(config.pretraining, num_epoch=None, num_steps=3),
        training=replace(config.training, num_epoch=None, num_steps=3),
        save_every=2,
    )
    whole = sr_train.fit(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(GanStage, "step", _kill_before(2, GanStage.step))
        with pytest.raises(Killed):
            sr_train.fit(config, tmp_path / "killed")
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "write_results", _kill)  # the pictures are not worth a second
        with pytest.raises(Killed):
            sr_train.fit(config, tmp_path / "killed", resume=True)
    for name in ("weights/psnr.safetensors", "weights/esrgan.safetensors", "state.pt"):
        assert (whole.folder / name).read_bytes() == (tmp_path / "killed" / name).read_bytes(), name
    assert read_config(whole.folder / "config.yaml").generator.type == kind

    output = tmp_path / "half.onnx"
    report = sr_export.export_onnx(whole.weights["esrgan"], output, precision="fp16")
    assert (report.arch, report.scale) == (ROWS[kind].arch, 4)
    image = np.random.default_rng(0).integers(0, 256, (24, 31, 3), np.uint8)
    wanted = upscale_torch(load_generator(whole.weights["esrgan"]), image)
    with sr_runtime.load(output, device="cpu", precision="fp32") as upscaler:
        got = upscaler.upscale(image)
    assert np.abs(got.astype(int) - wanted).max() <= LARGEST_DIFFERENCE["fp16"]

    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")
    options = {
        "compute_capabilities": ("8.9",),
        "profile": Profile.parse("1x48x48", "1x48x48", "1x64x64"),
    }
    with simulated(None, rtx=True, driver=False):  # it builds without a GPU
        sr_export.build_engine(output, tmp_path / "m.engine", kind="tensorrt-rtx", **options)
    assert read_engine(tmp_path / "m.engine")[1].model.arch == ROWS[kind].arch


def _kill(*_: object) -> None:
    raise Killed


def _kill_before(number: int, step: Any) -> Any:
    """The step, which ends the process before mini-batch `number` of the stage."""

    def killed(stage: GanStage, lr: Any, hr: Any, batch: int) -> Any:
        return _kill() if batch == number else step(stage, lr, hr, batch)

    return killed

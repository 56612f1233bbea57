"""Configurations from presets, files and the command line."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sr_train.config
from sr_runtime.errors import ArgumentError
from sr_train.config.file import (
    PRESETS,
    SECTIONS,
    config_text,
    fit_arguments,
    read_config,
    write_config,
)
from sr_train.config.limits import field_types
from sr_train.config.schema import (
    Config,
    GeneratorConfig,
    PerceptualLoss,
    Pretraining,
    Training,
    Wandb,
)
from tests.train.test_config_mistakes import sentence


def config(*arguments: str) -> Config:
    return fit_arguments(arguments).config


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def test_no_arguments_give_the_defaults() -> None:
    assert config() == Config()


def test_fields_of_every_kind_are_read_from_the_command_line() -> None:
    assert config(
        *("--pretraining.lr", "1e-4"),
        *("--pretraining.cr_patch_size", "null"),
        *("--training.train_datasets", "[div2k, bsds500:train+test]"),
        *("--training.g_sched_steps=[]", "--compile=true", "--stages=pretraining,training"),
        *("--perceptual_loss.layer_weights", "{conv1_1: 1e-1}"),
        *("--wandb.project", "mine", "--grad_clip", "1"),
    ) == Config(
        pretraining=Pretraining(lr=1e-4, cr_patch_size=None),
        training=Training(train_datasets=("div2k", "bsds500:train+test"), g_sched_steps=()),
        compile=True,
        perceptual_loss=PerceptualLoss(layer_weights={"conv1_1": 0.1}),
        wandb=Wandb(project="mine"),
        grad_clip=1.0,
    )


def test_the_command_line_wins_over_the_file_and_the_file_over_the_preset(file: Path) -> None:
    file.write_text("pretraining: {lr: 5e-4, num_epoch: 7}")
    # The order on the command line changes nothing.
    read = config("--pretraining.lr", "3e-4", "--config", str(file), "--preset", "128_23_div2k")
    assert read.pretraining.lr == 3e-4
    assert read.pretraining.num_epoch == 7
    assert read.pretraining.sched_step == 175000
    assert read.generator.num_basic_blocks == 23


def test_a_length_in_epochs_replaces_one_in_steps_and_the_other_way_round(file: Path) -> None:
    file.write_text("pretraining: {num_steps: 300}\nvalidation: {every_steps: 20}")
    read = config("--config", str(file), "--preset", "128_23_div2k", "--validation.every_epochs=2")
    assert (read.pretraining.num_epoch, read.pretraining.num_steps) == (None, 300)
    assert (read.training.num_epoch, read.training.num_steps) == (6000, None)
    assert (read.validation.every_epochs, read.validation.every_steps) == (2, None)


def test_layer_weights_are_replaced_as_a_whole_or_changed_one_by_one(file: Path) -> None:
    file.write_text("perceptual_loss: {layer_weights: {conv3_4: 0.5}}")
    assert read_config(file).perceptual_loss.layer_weights == {"conv3_4": 0.5}
    more = read_config(file, ["--perceptual_loss.layer_weights.conv5_4", "1"])
    assert more.perceptual_loss.layer_weights == {"conv3_4": 0.5, "conv5_4": 1.0}


def test_json_is_read_as_yaml_is(tmp_path: Path) -> None:
    content = {"seed": 3, "pretraining": {"cr_patch_size": [64, 64], "lr": 1e-3}}
    path = tmp_path / "config.json"
    path.write_text(json.dumps(content, indent="\t"))
    assert read_config(path) == Config(
        seed=3, pretraining=Pretraining(cr_patch_size=(64, 64), lr=1e-3)
    )


@pytest.mark.parametrize("preset", sorted(path.stem for path in PRESETS.glob("*.yaml")))
def test_every_preset_is_a_configuration_and_survives_a_file(preset: str, file: Path) -> None:
    read = config("--preset", preset)
    write_config(read, file)
    assert read_config(file) == read


def test_presets_are_the_documented_ones() -> None:
    assert {path.stem for path in PRESETS.glob("*")} == {
        "default",
        "embedded",
        "finetune",
        "128_23_div2k",
        "p192_t128_23_div2k_bsds500",
        "192_23_div2k",
        "p192_t128_16_div2k_bsds500",
        "paper",
        "psnr",
        "real",
        "tiny",
    }
    assert config("--preset", "default") == Config()


@pytest.mark.parametrize(
    ("preset", "crops", "blocks", "data"),
    [
        ("128_23_div2k", (128, 128), 23, ("div2k",)),
        ("p192_t128_23_div2k_bsds500", (192, 128), 23, ("div2k", "bsds500")),
        ("192_23_div2k", (192, 192), 23, ("div2k",)),
        ("p192_t128_16_div2k_bsds500", (192, 128), 16, ("div2k", "bsds500")),
    ],
)
def test_presets_of_published_executions_have_their_published_values(
    preset: str, crops: tuple[int, int], blocks: int, data: tuple[str, ...]
) -> None:
    read = config("--preset", preset)
    assert read.generator.num_basic_blocks == blocks
    assert read.pretraining == Pretraining(
        num_epoch=8000,
        cr_patch_size=(crops[0], crops[0]),
        sched_step=175000,
        train_datasets=data,
        val_datasets=("div2k",),
    )
    assert read.training == Training(
        num_epoch=6000,
        cr_patch_size=(crops[1], crops[1]),
        g_sched_steps=(50000, 100000, 175000, 250000),
        d_sched_steps=(50000, 100000, 175000, 250000),
        train_datasets=data,
        val_datasets=("div2k",),
    )


def test_the_paper_preset_trains_as_long_as_the_paper() -> None:
    read = config("--preset", "paper")
    assert read.pretraining.num_steps == 1_000_000
    assert read.training.num_steps == 400_000
    assert read.generator.num_basic_blocks == 23
    assert read.pretraining.betas == read.training.betas == (0.9, 0.999)
    assert read.augmentation.symmetry == "d4"
    assert read.augmentation.compression == read.augmentation.coarse_dropout == 0
    assert read.training.train_datasets == ("div2k", "flickr2k")


def test_odd_values_survive_a_file(file: Path) -> None:
    odd = Config(
        data_root="null",
        init="12",
        pretraining=Pretraining(cr_patch_size=None, lr=1e-20, train_datasets=("yes", "1e3", "é")),
        training=Training(g_sched_steps=()),
        perceptual_loss=PerceptualLoss(layer_weights={"conv1_1": 1e-5, "conv5_4": 2.0}),
        wandb=Wandb(project="a: b"),
    )
    write_config(odd, file)
    assert read_config(file) == odd
    assert file.read_text(encoding="utf-8") == config_text(odd)


def test_python_gets_a_preset_by_its_name() -> None:
    assert sr_train.config.preset("tiny") == config("--preset", "tiny")
    with pytest.raises(ArgumentError, match=r"large.*128_23_div2k, .*tiny"):
        sr_train.config.preset("large")


TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1).filter(str.strip)
"""Names. Surrogates have no UTF-8."""


@pytest.mark.slow
@settings(deadline=None, max_examples=20, derandomize=True)
@given(text=TEXTS, more=st.lists(TEXTS, min_size=1), weight=st.floats(1e-30, 1e30))
def test_any_text_and_number_survives_a_file(text: str, more: list[str], weight: float) -> None:
    written = Config(
        data_root=text,
        init=text,
        wandb=Wandb(project=text),
        training=Training(train_datasets=tuple(more), g_lr=weight),
        perceptual_loss=PerceptualLoss(layer_weights={"conv1_1": weight}),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.yaml")
        write_config(written, path)
        assert read_config(path) == written


@pytest.mark.parametrize(
    ("text", "project"),
    [
        ("7", "7"), ("007", "007"), ("1.50", "1.50"), ("1_0", "1_0"), ("1:30", "1:30"),
        ("2026-11-26", "2026-11-26"), ("1e3", "1e3"), ("'null'", "null"), ("null", None),
    ],
)  # fmt: skip
def test_texts_that_look_like_something_else_stay_texts(
    text: str, project: str | None, file: Path
) -> None:
    file.write_text(f"wandb: {{project: {text}}}")
    assert read_config(file).wandb.project == project


def test_numbers_may_be_quoted_or_tagged_or_have_an_exponent(file: Path) -> None:
    file.write_text(
        "batch_size: '4'\nsave_every: 1_000\n"
        "pretraining: {lr: !!float 7e-4, betas: [9e-1, 0.9], train_datasets: [007]}\n"
        "perceptual_loss: {layer_weights: {conv5_4: 1e-1}}"
    )
    assert read_config(file) == Config(
        batch_size=4,
        save_every=1000,
        pretraining=Pretraining(lr=7e-4, betas=(0.9, 0.9), train_datasets=("007",)),
        perceptual_loss=PerceptualLoss(layer_weights={"conv5_4": 0.1}),
    )


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    for name, text in (("a.yaml", "seed: 3"), ("a.json", '{"seed": 3}')):
        (tmp_path / name).write_text(text, encoding="utf-8-sig")
        assert read_config(tmp_path / name) == Config(seed=3)


def test_a_merged_section_may_be_changed(file: Path) -> None:
    file.write_text("pretraining: &one {num_epoch: 3}\ntraining: {<<: *one, num_epoch: 4}")
    assert read_config(file).training.num_epoch == 4


def test_an_empty_file_changes_nothing(file: Path) -> None:
    file.touch()
    assert read_config(file) == Config()


def test_a_resumed_run_keeps_its_configuration_except_for_fields_that_are_given(file: Path) -> None:
    write_config(Config(seed=5, batch_size=4), file)
    resumed = fit_arguments(["--resume", str(file.parent), "--pretraining.num_epoch", "3"])
    assert resumed.resume == file.parent
    assert resumed.config == Config(seed=5, batch_size=4, pretraining=Pretraining(num_epoch=3))


def test_a_run_is_resumed_by_its_name_or_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in (Path("runs", "one"), Path("two")):
        folder.mkdir(parents=True)
        write_config(Config(), folder / "config.yaml")
    for name, folder in (("one", "runs/one"), ("runs/one", "runs/one"), ("two", "two")):
        assert fit_arguments(["--resume", name]).resume == Path(folder)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("generator.num_basic_blocks", "3"),
        ("discriminator.type", "unet"),
        ("scale_factor", "2"),
        ("seed", "1"),
        ("batch_size", "8"),
        ("init", "photo"),
        ("training.train_datasets", "[bsds500]"),
        ("pretraining.val_datasets", "[set14]"),
        ("validation.degradation", "real"),
    ],
)
def test_a_resumed_run_refuses_to_change_what_its_state_depends_on(
    field: str, value: str, file: Path
) -> None:
    write_config(Config(), file)
    said = sentence("--resume", str(file.parent), f"--{field}", value)
    assert field.partition(".")[0] in said
    assert "cannot change when" in said


def test_the_sizes_of_the_network_of_init_do_not_change_either(file: Path) -> None:
    write_config(Config(init="psnr", generator=GeneratorConfig(type="rrdbnet")), file)
    said = sentence("--resume", str(file.parent), "--generator.num_basic_blocks", "3")
    assert "generator cannot change when" in said


def test_the_help_describes_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        fit_arguments(["--help"])
    assert ended.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    for name in field_types(Config):
        assert f"--{name} " in shown
    assert "Learning rate. (a finite number, above 0; default 0.0002)" in shown
    assert "{vgg | unet}" in shown
    for section in SECTIONS.values():
        assert f"{section.__doc__.rstrip('.')}:" in shown
    assert "None" not in shown

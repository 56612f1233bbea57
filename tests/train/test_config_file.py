"""Configurations from presets, files and the command line."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sr_train.config
from sr_runtime.embedded import FOLDER
from sr_runtime.errors import ArgumentError, SRError
from sr_train.config.file import (
    PRESETS,
    SECTIONS,
    config_text,
    fit_arguments,
    read_config,
    write_config,
)
from sr_train.config.limits import field_types
from sr_train.config.schema import Config, PerceptualLoss, Pretraining, Training, Wandb


def config(*arguments: str) -> Config:
    return fit_arguments(arguments).config


def sentence(*arguments: str) -> str:
    """The message of the error that these arguments of `fit` raise."""
    with pytest.raises(SRError) as refused:
        fit_arguments(arguments)
    assert "\n" not in str(refused.value)
    return str(refused.value)


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
        "128_23_div2k",
        "p192_t128_23_div2k_bsds500",
        "192_23_div2k",
        "p192_t128_16_div2k_bsds500",
        "paper",
        "tiny",
    }
    assert config("--preset", "default") == Config()


def test_the_preset_of_the_embedded_models_is_what_they_were_trained_with() -> None:
    trained = read_config(FOLDER / "training" / "config.yaml")
    assert replace(config("--preset", "embedded"), precision=trained.precision) == trained


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
    batches = -(-(800 + 2650) // read.batch_size)
    assert 1_000_000 <= read.pretraining.num_epoch * batches < 1_000_000 + batches
    assert 400_000 <= read.training.num_epoch * batches < 400_000 + batches
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


TEXTS = st.text(st.characters(exclude_characters="\x85", exclude_categories=["Cs"]))
"""PyYAML writes U+0085 as it is, and reads it as a line break. Surrogates have no UTF-8."""


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
    [("7", "7"), ("2026-11-26", "2026-11-26"), ("1e3", "1e3"), ("'null'", "null"), ("null", None)],
)
def test_texts_that_look_like_something_else_stay_texts(
    text: str, project: str | None, file: Path
) -> None:
    file.write_text(f"wandb: {{project: {text}}}")
    assert read_config(file).wandb.project == project


def test_numbers_may_be_quoted_or_have_an_exponent(file: Path) -> None:
    file.write_text(
        "batch_size: '4'\npretraining: {lr: 7e-4, betas: [9e-1, 0.9]}\n"
        "perceptual_loss: {layer_weights: {conv5_4: 1e-1}}"
    )
    assert read_config(file) == Config(
        batch_size=4,
        pretraining=Pretraining(lr=7e-4, betas=(0.9, 0.9)),
        perceptual_loss=PerceptualLoss(layer_weights={"conv5_4": 0.1}),
    )


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    for name, text in (("a.yaml", "seed: 3"), ("a.json", '{"seed": 3}')):
        (tmp_path / name).write_text(text, encoding="utf-8-sig")
        assert read_config(tmp_path / name) == Config(seed=3)


# The arguments, and what the refusal must name: the field, the value, the limit or the next step.
@pytest.mark.parametrize(
    ("arguments", "facts"),
    [
        (["--pretrainin.lr", "1"], ["pretrainin.lr", "did you mean pretraining.lr"]),
        (["--lr=1"], ["lr", "did you mean pretraining.lr?"]),
        (["--presets", "tiny"], ["presets", "did you mean preset"]),
        (["--zzzz", "1"], ["zzzz", "`sr-train fit --help`"]),
        (["--pretraining", "1"], ["pretraining is a section", "pretraining.num_epoch"]),
        (["demo"], ["demo"]),
        (["--discriminator.type", "x"], ["discriminator.type is x", "'vgg', 'unet'"]),
        (["--pretraining.lr", "fast"], ["pretraining.lr is fast", "number, above 0"]),
        (["--pretraining.lr"], ["--pretraining.lr", "argument", "number, above 0"]),
        (["--grad_clip="], ["grad_clip is ", "above 0, or null"]),
        (["--grad_clip", "x"], ["grad_clip is x", "above 0, or null"]),
        (["--batch_size", "2.5"], ["batch_size is 2.5", "whole number"]),
        (["--batch_size", "0"], ["batch_size is 0", "from 1 to 65536"]),
        (["--compile", "1"], ["compile is 1", "true or false"]),
        (["--seed", "null"], ["seed is null", "whole number"]),
        (["--training.train_datasets", "div2k"], ["training.train_datasets is div2k", "[a, b, …]"]),
        (
            ["--pretraining.cr_patch_size", "[64]"],
            ["pretraining.cr_patch_size is [64]", "[a, b]", "or null"],
        ),
        (
            ["--perceptual_loss.layer_weights", "{conv5_4:1.0}"],
            ["perceptual_loss.layer_weights", "conv5_4:1.0", "space after each colon"],
        ),
        (
            ["--perceptual_loss.layer_weights.conv5_4", "x"],
            ["perceptual_loss.layer_weights.conv5_4 is x", "number, above 0"],
        ),
        (["--perceptual_loss.layer_weights.conv9", "1"], ["conv9", "vgg19", "conv5_4"]),
        (["--run"], ["--run", "argument"]),
        (["--resume"], ["--resume", "argument"]),
        (["--print_config=3"], ["--print_config", "'3'"]),
        (["--preset=tiny", "--preset=paper"], ["--preset", "twice", "tiny", "paper"]),
        (["--config=a", "--config=b"], ["--config", "twice", "a and b"]),
        (["--preset", "large"], ["large", "128_23_div2k, ", "tiny"]),
        (["--config", "missing.yaml"], ["missing.yaml: ", "No such file"]),
        (["--resume", "missing"], ["missing", "config.yaml"]),
        (
            ["--resume", "a", "--run", "b"],
            ["--resume", "leave out --run, --preset and --config", "--save_every 100"],
        ),
    ],
)
def test_a_mistake_on_the_command_line_is_refused_with_what_was_meant(
    arguments: list[str], facts: list[str]
) -> None:
    said = sentence(*arguments)
    assert [fact for fact in facts if fact not in said] == [], said


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("pretraning: {lr: 1}", ["pretraning", "did you mean pretraining"]),
        ("pretraining: {lrr: 1}", ["pretraining.lrr", "did you mean pretraining.lr"]),
        ("pretraining: 5", ["pretraining is 5", "section"]),
        ("pretraining:", ["pretraining is null", "section"]),
        ("batch_size: large", ["batch_size is large", "whole number"]),
        ("batch_size: true", ["batch_size is true", "whole number"]),
        ("batch_size: null", ["batch_size is null", "whole number"]),
        ("batch_size: 0", ["batch_size is 0", "from 1 to 65536"]),
        ("data_root: null", ["data_root is null", "text"]),
        ("data_root: [a]", ['data_root is ["a"]', "text"]),
        ("wandb: {project: yes}", ["wandb.project is true", "text, or null"]),
        ("pretraining: {lr: .nan}", ["pretraining.lr is NaN", "finite number"]),
        ("pretraining: {lr: 1%s}" % ("0" * 400), ["pretraining.lr", "finite number"]),
        ("wandb: {mode: on}", ["wandb.mode is true", "'online', 'offline'"]),
        ("preset: tiny", ["preset is not a field"]),
        ("7: 7", ["7 is not a field"]),
        ("just text", ["just text", "fields"]),
        ("seed: 1\nbatch_size: 2\nseed: 3", ["seed", "twice"]),
        ("pretraining: {lr: 1, lr: 2}", ["lr", "twice"]),
        ("? [1]\n: 2", ["YAML or JSON"]),
        ("a: [", ["YAML or JSON"]),
    ],
)
def test_a_mistake_in_a_file_is_refused_with_the_path_of_the_file(
    text: str, facts: list[str], file: Path
) -> None:
    file.write_text(text)
    said = sentence("--config", str(file))
    assert said.startswith(f"{file}: ")
    assert [fact for fact in facts if fact not in said] == [], said


def test_a_field_twice_in_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"wandb": {"entity": "a", "entity": "b"}}')
    assert "entity appears twice" in sentence("--config", str(path))


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
        ("training.train_datasets", "[bsds500]"),
    ],
)
def test_a_resumed_run_refuses_to_change_what_its_state_depends_on(
    field: str, value: str, file: Path
) -> None:
    write_config(Config(), file)
    said = sentence("--resume", str(file.parent), f"--{field}", value)
    assert field.partition(".")[0] in said
    assert "cannot change when" in said


def test_the_help_describes_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        fit_arguments(["--help"])
    assert ended.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    for name in field_types(Config):
        assert f"--{name} " in shown
    assert "Learning rate of Adam. (a finite number, above 0; default 0.0002)" in shown
    assert "{vgg | unet}" in shown
    for section in SECTIONS.values():
        assert f"{section.__doc__.rstrip('.')}:" in shown
    assert "None" not in shown

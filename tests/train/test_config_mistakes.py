"""Mistakes on the command line of `fit` and in files: one sentence, with field and limit."""

import os
from pathlib import Path

import pytest

from sr_runtime.errors import SRError
from sr_train.config.file import fit_arguments


def sentence(*arguments: str) -> str:
    """The message of the error that these arguments of `fit` raise."""
    with pytest.raises(SRError) as refused:
        fit_arguments(arguments)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


# The arguments, and what the refusal must name: the field, the value, the limit or the next step.
@pytest.mark.parametrize(
    ("arguments", "facts"),
    [
        (["--pretrainin.lr", "1"], ["pretrainin.lr", "did you mean pretraining.lr"]),
        (["--lr=1"], ["lr", "did you mean pretraining.lr?"]),
        (["--presets", "tiny"], ["presets", "did you mean preset"]),
        (["--zzzz", "1"], ["zzzz", "`python -m sr_train fit --help`"]),
        (
            ["--training.num_epoch", "3", "--training.num_steps", "300"],
            ["training.num_epoch is 3 and training.num_steps is 300", "null"],
        ),
        (["--validation.every_epochs", "null"], ["every_epochs is null", "every_steps is null"]),
        (["--pretraining", "1"], ["pretraining is a section", "pretraining.num_epoch"]),
        (["demo"], ["demo"]),
        (["preset=tiny"], ["'preset=tiny'", "write --preset=tiny"]),
        (["-preset", "tiny"], ["'-preset'", "write --preset"]),
        (["tiny"], ["write --preset tiny"]),
        (["—seed", "3"], ["begins with a long dash: write --seed"]),
        (["--epochs", "3"], ["epochs", "pretraining.num_epoch"]),
        (["mine.yaml"], ["write --config mine.yaml"]),
        (["--discriminator.type", "x"], ["discriminator.type is x", "'vgg', 'unet'"]),
        (["--pretraining.lr", "fast"], ["pretraining.lr is fast", "number, above 0"]),
        (["--pretraining.lr"], ["--pretraining.lr", "argument", "number, above 0"]),
        (["--grad_clip="], ["grad_clip is ", "above 0, or null"]),
        (["--grad_clip", "x"], ["grad_clip is x", "above 0, or null"]),
        (["--batch_size", "2.5"], ["batch_size is 2.5", "whole number"]),
        (["--batch_size", "0"], ["batch_size is 0", "from 1 to 65536"]),
        (["--compile", "1"], ["compile is 1", "true or false"]),
        (["--degradation.real", "1"], ["is a section", "degradation.real.first.blur_probability"]),
        (
            ["--degradation.mild.first.kernels", "{round: 1}"],
            ["degradation.mild.first.kernels is {round: 1}", "one of 'isotropic', "],
        ),
        (["--degradation.real.first.resize", "{up: 0}"], ["resize is {up: 0}", "not all 0"]),
        (["--degradation.real.first.resize_factor", "[1.2, 2]"], ["[1.2, 2]", "1 between them"]),
        (["--degradation.real.second.jpeg_quality", "[95, 30]"], ["[95, 30]", "the smaller first"]),
        (["--degradation.real.first.resize_factor", "[0.5, 17]"], ["[0.5, 17]", "none above 16"]),
        (["--degradation.real.first.kernel_size", "[7, 8]"], ["[7, 8]", "odd and from 1 to 101"]),
        (["--degradation.real.first.kernel_size", "[7, 103]"], ["[7, 103]", "from 1 to 101"]),
        (["--seed", "null"], ["seed is null", "whole number"]),
        (
            ["--training.train_datasets", "div2k"],
            ["train_datasets is div2k", "[a, b, …]", "write [div2k]"],
        ),
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
        (["--perceptual_loss.layer_weights.conv5_4.x", "1"], ["layer_weights.conv5_4.x"]),
        (["--run"], ["--run", "argument"]),
        (["--resume"], ["--resume", "argument"]),
        (["--print_config=3"], ["--print_config", "'3'"]),
        (["--preset=tiny", "--preset=paper"], ["--preset", "twice", "tiny", "paper"]),
        (["--config=a", "--config=b"], ["--config", "twice", "a and b"]),
        (["--preset", "large"], ["large", "128_23_div2k, ", "tiny"]),
        (["--preset", "tinny"], ["tinny", "did you mean tiny?"]),
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


# Ten to the eighth values in 500 bytes.
BOMB = "".join(f"- &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 8))


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
        ("data_root: [a]", ["data_root is [a]", "text"]),
        ("wandb: {project: yes}", ["wandb.project is true", "text, ", "or null"]),
        ("pretraining: {lr: .nan}", ["pretraining.lr is .nan", "finite number"]),
        ("pretraining: {lr: 1%s}" % ("0" * 400), ["line 1", "000…", "finite number"]),
        ("wandb: {mode: on}", ["wandb.mode is true", "'online', 'offline'"]),
        ("preset: tiny", ["preset is not a field"]),
        ("7: 7", ["7 is not a field"]),
        ("just text", ["just text", "fields"]),
        ("seed: 1\nbatch_size: 2\nseed: 3", ["seed", "twice"]),
        ("pretraining: {lr: 1, lr: 2}", ["lr", "twice"]),
        ("? [1]\n: 2", ["line 1", "YAML"]),
        ("a: [", ["line 1", "YAML"]),
        ("seed: 1\nseed:\t- 1", ["line 2", "YAML"]),
        ("seed: 1\n\tlog_every: 1", ["line 2", "YAML"]),
        ("seed: 1\nlog_every: 0", ["line 2", "log_every is 0"]),
        ("seed: 1\npretraining:\n  lrr: 1", ["line 3", "pretraining.lr"]),
        ("seed: " + "9" * 5000, ["line 1", "999…"]),
        ("seed: 0x" + "F" * 5000, ["line 1", "FFF…", "whole number"]),
        ("seed: !!int 0b" + "1" * 20000, ["line 1", "111…", "whole number"]),
        ("seed: 9223372036854775808", ["line 1", "9223372036854775808", "9223372036854775807"]),
        ("pretraining: {num_epoch: 9223372036854775808}", ["line 1", "whole number"]),
        ("seed: 010", ["line 1", "seed is 010", "whole number"]),
        ("pretraining: {lr: 1:30}", ["line 1", "pretraining.lr is 1:30", "finite number"]),
        ("pretraining.lr: 1\npretraining: {lr: 2}", ["line 2", "pretraining.lr", "twice"]),
        ('data_root: "\\ud800"', ["line 1", "data_root", "control"]),
        ("seed: " + "x" * 5000, ["line 1", "seed is xxx", "whole number"]),
        ("seed: &a [*a]", ["line 1", "contains itself"]),
        ("seed: !!set {a}", ["line 1", "!!set"]),
        ("seed: !!python/object/apply:os.getcwd []", ["line 1", "python/object"]),
        ("seed: !!bool maybe", ["line 1", "maybe"]),
        ("seed: *nothing", ["line 1", "undefined alias"]),
        ("seed: \0", ["YAML"]),
        ("[" * 5000, ["nested"]),
        ("a: " + "[" * 5000 + "]" * 5000, ["nested"]),
        ("stages:\n- &a0 [a, a, a, a, a, a, a, a, a, a]\n" + BOMB, ["line 1", "10,000"]),
        ("#" * 70_000, ["65,536 bytes"]),
        ("data_root: ''", ["line 1", "data_root is empty"]),
        ('data_root: "a\\0b"', ["line 1", "data_root is a", "control"]),
        ("init: ' '", ["line 1", "init is empty"]),
        ("validation: {lpips_weights: ''}", ["line 1", "validation.lpips_weights is empty"]),
        ("pretraining: {train_datasets: ['']}", ["line 1", "pretraining.train_datasets", "empty"]),
    ],
)
def test_a_mistake_in_a_file_is_refused_with_the_path_of_the_file(
    text: str, facts: list[str], file: Path
) -> None:
    file.write_text(text)
    said = sentence("--config", str(file))
    assert said.startswith(f"{file}: ")
    assert len(said) < 700
    assert [fact for fact in facts if fact not in said] == [], said


def test_a_field_twice_in_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"wandb": {"entity": "a", "entity": "b"}}')
    assert "entity appears twice" in sentence("--config", str(path))


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        (b"seed: 1\nproject: \xff", "line 2 is not UTF-8"),
        ("seed: 1".encode("utf-16"), "line 1 is not UTF-8"),
        (b"\x00\x01\x02", "YAML"),
    ],
)
def test_a_file_that_is_no_text_is_refused(content: bytes, fact: str, file: Path) -> None:
    file.write_bytes(content)
    said = sentence("--config", str(file))
    assert said.startswith(f"{file}: ")
    assert fact in said


def test_a_byte_order_mark_is_no_mistake(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbfseed: 7\r\n")
    assert fit_arguments(["--config", str(file)]).config.seed == 7


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5000, '{"a":' * 5000, '{"seed": NaN}', '{"seed": 1e999}', '{"seed": 1, "seed": 2}',
        '{"seed": %s}' % ("9" * 5000), '{"generator": []}', '{"": 1}', '{"seed": "\\ud800"}', "\0",
    ],
)  # fmt: skip
def test_a_mistake_in_json_is_one_sentence(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    said = sentence("--config", str(path))
    assert said.startswith(f"{path}: ")
    assert len(said) < 700


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
def test_a_pipe_as_a_file_is_refused_instead_of_waited_for(file: Path) -> None:
    os.mkfifo(file)
    assert "a pipe" in sentence("--config", str(file))
    assert "a pipe" in sentence("--resume", str(file.parent))


def test_an_empty_configuration_of_a_run_is_not_taken_for_the_defaults(file: Path) -> None:
    file.touch()
    assert "is empty" in sentence("--resume", str(file.parent))


def test_a_run_that_is_not_there_is_told_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "portraits").mkdir()
    said = sentence("--resume", str(tmp_path / "portrait"))
    assert f"did you mean {tmp_path / 'portraits'}?" in said

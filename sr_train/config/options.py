"""The command line of `fit`: every field of the configuration is an option."""

import argparse
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, Literal, get_args, get_origin

from docstring_parser import parse_from_object

from sr_runtime.cli.completion import suggest
from sr_runtime.cli.help import HelpFormatter, add_general_options, examples_text
from sr_runtime.embedded import EMBEDDED
from sr_train.config import limits
from sr_train.config.names import FIELDS, OPTIONS, PRESET_NAMES, SECTIONS, fit_command
from sr_train.config.schema import Config

__all__ = ["add_fit_options", "fit_parser"]

ABOUT = """\
Train an ESRGAN in two stages: the generator alone minimises the content loss, then it is trained
against a discriminator. Values come from the preset, then the configuration file, then the command
line.

{examples}

Most runs change --preset, --init, --data_root, --batch_size, and of each stage train_datasets,
val_datasets, num_steps and the learning rates."""

EXAMPLES = {
    "--preset tiny --run demo": "from the start",
    "--preset finetune --run mine": "on your own photos",
    "--resume runs/demo": "after an interruption",
    "--preset paper --batch_size 8 --run small": "",
}

WIDTH = 80
"""Columns that an option with its choices may take in the help."""

DEFAULTS = Config()

# One layer's weight can be set alone: `--perceptual_loss.layer_weights.conv5_4 1`.
LAYER_WEIGHTS = "perceptual_loss.layer_weights"


def fit_parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """A parser that knows the names in `arguments` and keeps each value as a text."""
    program = fit_command()
    parser = argparse.ArgumentParser(
        prog=program,
        usage=f"{program} --run NAME [options]\n       {program} --resume RUN [options]",
        description=ABOUT.format(examples=examples_text(program, EXAMPLES)),
        formatter_class=HelpFormatter,
        add_help=False,
        exit_on_error=False,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    add_fit_options(parser)
    add_general_options(parser)
    for word in {word.partition("=")[0] for word in arguments}:
        section, _, layer = word.rpartition(".")
        if section == f"--{LAYER_WEIGHTS}" and layer:
            parser.add_argument(word, help=argparse.SUPPRESS)
    return parser


def add_fit_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a run, and the fields of its configuration in their sections."""
    run = parser.add_argument_group("a new run, or an old one")
    for name, (metavar, about_it) in OPTIONS.items():
        option = run.add_argument(f"--{name}", metavar=metavar, action="append", help=about_it)
        suggest(option, *(PRESET_NAMES if name == "preset" else ()), files=name != "preset")
    run.add_argument("--print_config", action="store_true", help="print the configuration and stop")
    explained: dict[Any, str] = {}
    for section, schema in {"": Config, **SECTIONS}.items():
        alike = explained.setdefault(schema, section)
        group = parser.add_argument_group(
            (schema.__doc__ or "").rstrip("."),
            f"The fields are those of {alike}." if alike != section else None,
        )
        names = (name for name in FIELDS if name.rpartition(".")[0] == section)
        _add_fields(group, schema, names, explain=alike == section)


def _add_fields(
    group: argparse._ArgumentGroup, schema: Any, names: Iterable[str], *, explain: bool
) -> None:
    helps = {each.arg_name: each.description for each in parse_from_object(schema).params}
    for name in names:
        hint = FIELDS[name]
        kind, null = (get_args(hint)[0], ("null",)) if limits.takes_null(hint) else (hint, ())
        choices = (*get_args(kind), *null) if get_origin(kind) is Literal else ()
        choices = ("true", "false") if hint is bool else choices
        shown = "{" + " | ".join(choices) + "}"
        wanted = f"{limits.wanted(hint, briefly=True)}; "
        if len(f"  --{name} {shown}") > WIDTH:
            shown, wanted = "VALUE", f"{', '.join(choices)}; "
        elif choices:
            wanted = ""
        default = f"default {limits.as_text(attrgetter(name)(DEFAULTS))}"
        option = group.add_argument(
            f"--{name}",
            metavar=shown if choices else "VALUE",
            help=f"{helps[name.rpartition('.')[2]]} ({wanted}{default})" if explain else default,
        )
        words = EMBEDDED if name == "init" else choices
        suggest(option, *words, files=limits.is_text(hint) and not choices)

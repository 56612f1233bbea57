"""`Config` from presets, YAML or JSON files and the command line, and back to YAML.

Every source is read into a mapping from dotted field names to values; later sources win.
"""

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import yaml

from sr_runtime.errors import ArgumentError, about
from sr_runtime.nearest import nearest, nearest_file
from sr_runtime.storage.atomic import atomic_path
from sr_train.config import limits
from sr_train.config.document import parse_yaml, read_document
from sr_train.config.fixed import check_unchanged, fixed_values, unchangeable
from sr_train.config.generator import architecture_of, foreign_sizes
from sr_train.config.limits import Positive, as_text
from sr_train.config.names import (
    FIELDS,
    OPTIONS,
    PRESET_NAMES,
    PRESETS,
    SECTIONS,
    fit_command,
    stray,
    unknown,
)
from sr_train.config.options import fit_parser
from sr_train.config.schema import EPOCHS_OR_STEPS, Config
from sr_train.run_folder import run_path

__all__ = ["FitArguments", "config_text", "fit_arguments", "preset", "read_config", "write_config"]

DEFAULTS = Config()
PREVIEW = "degradation.preview"


@dataclass(frozen=True, kw_only=True)
class FitArguments:
    """The command line of `fit`."""

    config: Config
    run: str | None
    """Name or folder of a new run."""
    resume: Path | None
    """Folder of the run to continue."""
    print_config: bool
    preview: Path | None
    """Folder for pictures of training crops, in place of a run."""


def fit_arguments(arguments: Sequence[str]) -> FitArguments:
    """Read the command line of `fit` and the files that it names; `--help` prints and exits."""
    options, values = _command_line(arguments)
    print_config, preview = options.pop("print_config", False), options.pop(PREVIEW, None)
    if print_config and preview is not None:
        raise ArgumentError(
            f"--print_config prints the configuration and --{PREVIEW} draws crops: give one of them"
        )
    if "run" in options and preview is not None:
        raise ArgumentError(f"--{PREVIEW} draws crops and starts no run: leave out --run")
    if "resume" not in options:
        preset_values = _preset_values(options["preset"]) if "preset" in options else {}
        file_values = _file_values(Path(options["config"])) if "config" in options else {}
        config, folder = _config(preset_values, file_values, values), None
    elif len(options) > 1:
        raise ArgumentError(
            "--resume continues with the run's own configuration: leave out --run, --preset and "
            "--config; single fields can be changed, as with --save_every 100"
        )
    else:
        folder = run_path(options["resume"], resume=True)
        config = _resumed(folder, values)
    return FitArguments(
        config=config,
        run=options.get("run"),
        resume=folder,
        print_config=print_config,
        preview=None if preview is None else Path(preview),
    )


def preset(name: str) -> Config:
    """The configuration of a preset, such as "tiny"; ArgumentError if no preset has this name."""
    return _config(_preset_values(name))


def read_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """The configuration in a YAML or JSON file, changed by arguments as `--pretraining.lr 1e-4`."""
    return _config(_file_values(path), _command_line(overrides)[1])


def write_config(config: Config, path: Path, *, is_new: bool = False) -> None:
    """Write every field as YAML; `read_config` returns an equal configuration.

    Raises ArgumentError if `is_new` and there is a file of other content, which is someone's own.
    """
    text = config_text(config)
    if is_new and path.exists() and path.read_text("utf-8", "replace") != text:
        raise ArgumentError(
            "there already is a file, which the run would replace by its whole configuration: "
            "rename it, or choose another name for the run",
            path=path,
        )
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def config_text(config: Config) -> str:
    """Every field, as YAML."""
    values = json.loads(json.dumps(asdict(config)))  # tuples become lists
    text: str = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, default_flow_style=None)
    return text


def _resumed(folder: Path, changes: dict[str, Any]) -> Config:
    path = folder / "config.yaml"
    if not path.exists():
        hint = nearest_file(folder) or "; check --resume"
        raise ArgumentError(f"{folder} is not a run: {path} is missing{hint}")
    values = _file_values(path)
    if not values:  # the defaults would be another run
        raise ArgumentError(
            "is empty, so it is not what the run wrote: put that back, or start a new run with "
            f"--init on one of the files in {folder / 'weights'}",
            path=path,
        )
    config, before = _config(values, changes), read_config(path)
    check_unchanged(config, fixed_values(before), folder)
    if architecture_of(config.generator) != architecture_of(before.generator):
        raise unchangeable("generator", folder)  # that of `init` too, which config.yaml describes
    return config


def _config(*sources: Mapping[str, Any]) -> Config:
    nested = asdict(DEFAULTS)
    for full_name, value in _merged(sources).items():
        *sections, name = full_name.split(".")
        reduce(getitem, sections, nested)[name] = value
    for full_name, section in reversed(SECTIONS.items()):  # the inner ones first
        *outer, name = full_name.split(".")
        values_of = reduce(getitem, outer, nested)
        values_of[name] = section(**values_of[name])
    return Config(**nested)


def _merged(sources: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The values of all sources; a type of generator takes no sizes of others from earlier ones."""
    merged: dict[str, Any] = {}
    for values in sources:
        if kind := values.get("generator.type"):
            for name in foreign_sizes(kind):
                merged.pop(f"generator.{name}", None)
        merged |= values
    return merged


def _preset_values(name: str) -> dict[str, Any]:
    if name not in PRESET_NAMES:
        raise ArgumentError(
            f"preset {name} is none of {', '.join(PRESET_NAMES)}{nearest(name, PRESET_NAMES)}"
        )
    return _file_values(PRESETS / f"{name}.yaml")


def _file_values(path: Path) -> dict[str, Any]:
    with about(path):
        content, lines = read_document(path)
        if not isinstance(content, Mapping | None):
            raise ArgumentError(f"holds {as_text(content)} instead of fields with their values")
        values = {}
        for name, given in _flat(content or {}, lines):
            with _at_line(lines.get(name)):
                if name in values:  # as `pretraining.lr` and in the section `pretraining`
                    raise ArgumentError(f"{name} appears twice: remove one of them")
                values[name] = _value(name, given)
        return _one_length(values)


@contextmanager
def _at_line(number: int | None) -> Iterator[None]:
    """Give the line of a file to an error about a field in it."""
    try:
        yield
    except ArgumentError as error:
        if number is None:
            raise
        raise ArgumentError(f"line {number}: {error.args[0]}") from error


def _flat(
    content: Mapping[Any, Any], lines: Mapping[str, int], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    """The fields in nested sections, by their dotted names."""
    for key, value in content.items():
        name = f"{prefix}{key}"
        if name in FIELDS:
            yield name, value
            continue
        with _at_line(lines.get(name)):
            if name not in SECTIONS:
                raise ArgumentError(unknown(name))
            if not isinstance(value, Mapping):
                raise ArgumentError(f"{name} is {as_text(value)}: it must be a section with fields")
        yield from _flat(value, lines, f"{name}.")


def _value(name: str, given: Any) -> Any:
    """The value of a field, from what a file or the command line gives."""
    hint = FIELDS.get(name, Positive)
    if isinstance(given, str) and given and not limits.is_text(hint):
        with suppress(yaml.YAMLError, RecursionError):
            given = parse_yaml(given)
    return limits.checked(name, given, hint)


def _command_line(arguments: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options, and the values of fields, that are given on a command line."""
    try:
        found, left = fit_parser(arguments).parse_known_args(arguments)
    except argparse.ArgumentError as error:
        hint = FIELDS.get(str(error.argument_name).removeprefix("--"))
        more = (
            f"it must be {limits.wanted(hint)}" if hint else f"`{fit_command()} --help` explains it"
        )
        raise ArgumentError(f"{error.argument_name}: {error.message}; {more}") from error
    if left:
        raise ArgumentError(stray(left[0]))
    values = vars(found)
    options = {name: values.pop(name) for name in [*OPTIONS, "print_config"] if name in values}
    for name, given in options.items():
        if name in OPTIONS and len(given) > 1:
            raise ArgumentError(f"--{name} is given twice, as {' and '.join(given)}: choose one")
        options[name] = given[0] if name in OPTIONS else given
    for name, text in values.items():
        null = text == "null" and limits.takes_null(FIELDS.get(name))
        values[name] = _value(name, None if null else text)
    return options, _one_length(values)


def _one_length(values: dict[str, Any]) -> dict[str, Any]:
    """The values of a source, in which a length in epochs replaces one in steps and vice versa."""
    for pair in EPOCHS_OR_STEPS:
        for given, other in (pair, pair[::-1]):
            if values.get(given) is not None:
                values.setdefault(other, None)
    return values

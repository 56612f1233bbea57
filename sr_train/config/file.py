"""`Config` from a preset, a YAML or JSON file and the command line, the last one winning; and back.

A file is read as the arguments that would say the same, so that values are checked in one way.
"""

import argparse
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from jsonargparse import ArgumentParser, Namespace

from sr_runtime.atomic import atomic_path
from sr_runtime.errors import ArgumentError
from sr_train.config.argument_errors import Once, sentence
from sr_train.config.checks import value_of
from sr_train.config.fields import all_fields, as_text, sections, unknown_field
from sr_train.config.schema import Config

__all__ = ["FitArguments", "config_text", "fit_arguments", "read_config", "write_config"]

PRESETS = Path(str(files("sr_train"))) / "presets"

# What a run's weights, optimisers and position in its data were made for.
FIXED = (
    "stages",
    "seed",
    "scale_factor",
    "img_channels",
    "batch_size",
    "channels_last",
    "pretraining.betas",
    "pretraining.cr_patch_size",
    "pretraining.train_datasets",
    "training.betas",
    "training.cr_patch_size",
    "training.train_datasets",
    "generator",
    "discriminator",
    "adversarial_loss.type",
)

OPTIONS = ("run", "resume", "preset", "config", "print_config")


@dataclass(frozen=True, kw_only=True)
class FitArguments:
    """What the command `fit` was told."""

    config: Config
    run: str | None
    """Name or folder of a new run."""
    resume: Path | None
    """Folder of the run to go on with."""
    print_config: bool


def fit_arguments(arguments: Sequence[str]) -> FitArguments:
    """Read the command line of `fit`, and the files that it names.

    Raises ArgumentError for the first thing that is wrong; `--help` prints and exits.
    """
    told = _parsed(arguments)
    if told.resume is not None:
        if told.run or told.preset or told.config:
            raise ArgumentError(
                "--resume goes on with the run's own configuration: leave out --run, --preset and "
                "--config; single fields can be changed, as with --save_every 100"
            )
        folder = _old_run(told.resume)
        return FitArguments(
            config=_resumed(folder, arguments),
            run=None,
            resume=folder,
            print_config=told.print_config,
        )
    sources = [] if told.preset is None else [_preset(told.preset)]
    sources += [] if told.config is None else [Path(told.config)]
    return FitArguments(
        config=_config(sources, arguments),
        run=told.run,
        resume=None,
        print_config=told.print_config,
    )


def read_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """The configuration in a YAML or JSON file, changed by arguments as `--pretraining.lr 1e-4`."""
    return _config([path], overrides)


def write_config(config: Config, path: Path) -> None:
    """Write every field as YAML; `read_config` returns an equal configuration."""
    with atomic_path(path) as temporary:
        temporary.write_text(config_text(config), encoding="utf-8")


def config_text(config: Config) -> str:
    """Every field, as YAML."""
    values = json.loads(json.dumps(asdict(config)))  # tuples become lists
    text: str = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, default_flow_style=None)
    return text


def _preset(name: str) -> Path:
    if name not in _presets():
        raise ArgumentError(f"--preset {name} is unknown: take one of {', '.join(_presets())}")
    return PRESETS / f"{name}.yaml"


def _old_run(name: str) -> Path:
    """The folder: `runs/NAME`, where `--run NAME` has put it, or a path."""
    in_runs = Path("runs", name)
    return in_runs if Path(name).name == name and in_runs.exists() else Path(name)


def _resumed(folder: Path, overrides: Sequence[str]) -> Config:
    path = folder / "config.yaml"
    if not path.exists():
        raise ArgumentError(f"--resume {folder}: there is no run, since {path} does not exist")
    before, now = read_config(path), read_config(path, overrides)
    for name in FIXED:
        if value_of(now, name) != value_of(before, name):
            raise ArgumentError(
                f"{name} cannot change when {folder} is resumed: leave it out, or start a new run "
                f"with --init {folder}/weights/…"
            )
    return now


def _config(paths: Sequence[Path], overrides: Sequence[str]) -> Config:
    """From files and then arguments; what comes later wins."""
    arguments: list[str] = []
    for path in paths:
        arguments += _file_arguments(path)
        _parsed(arguments, f"{path}: ")
    told = _parsed([*arguments, *overrides])
    for name, field in all_fields().items():
        # jsonargparse takes null for anything.
        if told[name] is None and not field.takes_null:
            raise ArgumentError(f"{name} is null: it must be {field.wanted}")
    values: dict[str, Any] = {}
    for name, hint in get_type_hints(Config).items():
        values[name] = hint(**told[name].as_dict()) if name in sections() else told[name]
    return Config(**values)


def _file_arguments(path: Path) -> list[str]:
    """The arguments that say what a YAML or JSON file says."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        content = _from_json(text) if path.suffix.lower() == ".json" else _from_yaml(text)
    except OSError as error:
        raise ArgumentError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ArgumentError(f"{path}: is not the YAML or JSON it should be ({reason})") from error
    if not isinstance(content, Mapping | None):
        raise ArgumentError(f"{path}: holds {content!r}, where fields and values were expected")
    return list(_mapping_arguments(content or {}, "", f"{path}: "))


def _from_json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_without_repetition)


def _from_yaml(text: str) -> Any:
    return yaml.load(text, _YAMLLoader)


class _YAMLLoader(yaml.SafeLoader):  # type: ignore[misc]
    """Refuses a key that comes twice, of which YAML's own keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = (key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        _without_repetition((name, None) for name in names)
        made: dict[Any, Any] = super().construct_mapping(node, deep)
        return made


def _without_repetition(items: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for key, value in items:
        if key in found:
            raise ValueError(f"{key} is there twice: leave out one of them")
        found[key] = value
    return found


def _mapping_arguments(content: Mapping[Any, Any], prefix: str, where: str) -> Iterator[str]:
    for key, value in content.items():
        name = f"{prefix}{key}"
        if name in sections():
            if not isinstance(value, Mapping):
                said = as_text(value)
                raise ArgumentError(f"{where}{name} is {said}: it must be a section of fields")
            yield from _mapping_arguments(value, f"{name}.", where)
        elif field := all_fields().get(name):
            if value is None and not field.takes_null:
                raise ArgumentError(f"{where}{name} is null: it must be {field.wanted}")
            yield f"--{name}={as_text(value)}"
        else:
            raise ArgumentError(where + unknown_field(name))


def _parsed(arguments: Sequence[str], where: str = "") -> Namespace:
    try:
        return _parser().parse_args(arguments)
    except argparse.ArgumentError as error:
        raise ArgumentError(where + _sentence(str(error))) from error


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="sr-train fit",
        usage="sr-train fit --run NAME [--preset NAME] [--config FILE] [--FIELD VALUE …]\n"
        "       sr-train fit --resume RUN [--FIELD VALUE …]",
        description="Train an ESRGAN in two stages: the generator alone for the smallest content "
        "loss, then against a discriminator. Values come from the preset, then the configuration "
        "file, then the command line.",
        formatter_class=argparse.HelpFormatter,
        exit_on_error=False,
        allow_abbrev=False,
        print_config=None,  # ours shows what the preset says, too
    )
    run = parser.add_argument_group("New or old")
    run.add_argument(
        "--run", metavar="NAME", action=Once, help="name of a new run in the folder runs, or path"
    )
    run.add_argument(
        "--resume", metavar="RUN", action=Once, help="run to go on with, named as by --run"
    )
    run.add_argument("--preset", metavar="NAME", action=Once, help=", ".join(_presets()))
    run.add_argument(
        "--config", metavar="FILE", action=Once, help="YAML or JSON file with any of these fields"
    )
    run.add_argument(
        "--print_config", action="store_true", help="print the configuration, and do nothing else"
    )
    groups = {about: parser.add_argument_group(about) for about in sections().values()}
    for name, field in all_fields().items():
        section = name.rpartition(".")[0]
        groups[sections()[section]].add_argument(
            f"--{name}",
            type=field.type,
            default=field.default,
            metavar=field.placeholder,
            help=f"{field.help} ({as_text(field.default)})",
        )
    return parser


def _presets() -> list[str]:
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def _sentence(message: str) -> str:
    """What jsonargparse complains about, in the words of this project."""
    if unknown := re.match("unrecognized arguments: (?:--)?([^ =]+)", message):
        return unknown_field(unknown[1], *OPTIONS)
    name = re.search(r'(?:key "|argument --)([\w.]+)', message)
    if name and (field := all_fields().get(name[1])):
        if value := re.search("(?:Got|Given) value: (.*)$", message):
            given = {"None": "null", "True": "true", "False": "false"}.get(value[1], value[1])
            return f"{name[1]} is {given}: it must be {field.wanted}"
        return f"--{name[1]} has no value: it must be {field.wanted}"
    return sentence(message)

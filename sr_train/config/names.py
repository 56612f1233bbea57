"""The names of all options, fields and presets, and the message for a word that is none of them."""

from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from sr_runtime.cli.mistakes import with_dashes
from sr_runtime.cli.parser import program_name
from sr_train.config.limits import field_types
from sr_train.config.schema import Config

__all__ = [
    "FIELDS",
    "OPTIONS",
    "PRESETS",
    "PRESET_NAMES",
    "SECTIONS",
    "fit_command",
    "stray",
    "unknown",
]

PRESETS = Path(__file__).parents[1] / "presets"
PRESET_NAMES = sorted(path.stem for path in PRESETS.glob("*.yaml"))

# What the ones that people ask for are good for.
PRESET_USES = {
    "finetune": "to go on learning from your own photos",
    "tiny": "to see everything work in minutes",
    "psnr": "for a small network that keeps to the pixels, without stage 2",
    "embedded": "as esrgan of the package was trained",
    "real": "for noisy, blurred and compressed photos, as photo was trained",
    "paper": "as ESRGAN was",
}
PRESET_HELP = (
    f"{'; '.join(f'{name}, {use}' for name, use in PRESET_USES.items())}; or one of "
    f"{', '.join(name for name in PRESET_NAMES if name not in PRESET_USES)}"
)

OPTIONS = {
    "run": ("NAME", "name of a new run in the folder runs, or a path"),
    "resume": ("RUN", "run to continue, named as by --run"),
    "preset": ("NAME", PRESET_HELP),
    "config": ("FILE", "YAML or JSON file with any of the fields below"),
    "degradation.preview": ("DIR", "write pictures of what the network will see, and stop"),
}

FIELDS = field_types(Config)


def _sections(schema: Any, prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in fields(schema):
        if is_dataclass(field.type):
            name = prefix + field.name
            found |= {name: field.type, **_sections(field.type, f"{name}.")}
    return found


SECTIONS = _sections(Config)
"""The dataclass of every section, and of those within it, by its dotted name."""


def fit_command() -> str:
    """The command as the user typed it."""
    return f"{program_name('sr-train', 'sr_train')} fit"


def stray(word: str) -> str:
    """The message for a word of the command line that is no option."""
    if written := with_dashes(word, [f"--{name}" for name in (*OPTIONS, *FIELDS)]):
        return written
    if word in PRESET_NAMES:
        return f"{word} is a preset: write --preset {word}"
    if Path(word).suffix.lower() in (".yaml", ".yml", ".json"):
        return f"{word} is the name of a file: write --config {word}"
    return unknown(word.removeprefix("--").partition("=")[0])


def unknown(name: str) -> str:
    """The message for a name that is not a field."""
    if name in SECTIONS:
        field = next(full for full in FIELDS if full.startswith(f"{name}."))
        return f"{name} is a section: name one of its fields, such as {field}"
    full_names = {full.rpartition(".")[2]: full for full in reversed(FIELDS)}
    # Not the name itself: an option of the command line is not a field of a file.
    known = [known for known in (*FIELDS, *SECTIONS, *OPTIONS) if known != name]
    near = get_close_matches(name, known, n=2) or [
        full_names[part]
        for part in get_close_matches(name.rpartition(".")[2], full_names, n=2, cutoff=0.75)
    ]
    near = near or [full for part, full in full_names.items() if name.rstrip("s") in part][:2]
    if not near:
        return f"{name} is not a field: `{fit_command()} --help` lists them all"
    return f"{name} is not a field: did you mean {' or '.join(near)}?"

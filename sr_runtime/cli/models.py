"""What the command `models` prints: every model that has a name, by what its file says."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sr_runtime.backends.choice import is_engine
from sr_runtime.backends.onnx_header import OnnxHeader, read_header
from sr_runtime.cli.console import say
from sr_runtime.cli.facts import COLOURS
from sr_runtime.embedded import EMBEDDED, LICENCE, model_file
from sr_runtime.errors import ModelError, SRError
from sr_runtime.file_kinds import refuse_other_kinds
from sr_runtime.model_folder import model_files, models_folder, name_problem
from sr_runtime.printable import printable

__all__ = ["say_models"]

HEADINGS = (
    "name", "from", "enlarges", "images", "weights", "tensors", "size", "network", "licence",
)  # fmt: skip
FACTS = (
    "arch", "scale", "in_channels", "out_channels", "weights_dtype", "io", "multiple_of", "phase",
    "halo", "tile_error",
)  # fmt: skip
"""Of `ModelInfo`, for JSON."""
PRECISIONS = {"float32": "fp32", "float16": "fp16"}

INSTALL = "python -m sr_export onnx CHECKPOINT --install"


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A model of the package or a file in the user's folder, and what it says or why it cannot."""

    name: str
    source: str
    """"package" or "folder"."""
    file: Path
    bytes: int | None = None
    header: OnnxHeader | None = None
    error: str | None = None

    @property
    def licence(self) -> str | None:
        """What the file states; of its own models the package does."""
        if self.source == "package":
            return LICENCE
        return None if self.header is None else self.header.licence


def say_models(*, as_json: bool) -> None:
    """Print a table, or a line of JSON for each model.

    Raises StorageError if the user's folder of models is there and cannot be read.
    """
    own = model_files()
    models = [_listed(name, name) for name in EMBEDDED]
    models += [_listed(file.name.removesuffix(".onnx"), file) for file in own]
    if as_json:
        for model in models:
            print(json.dumps(_fields(model)), flush=True)
        return
    say(*_table([HEADINGS, *map(_cells, models)]), "")
    if own:
        say(f"folder: {models_folder()}; `python -m sr_runtime info NAME` has all facts of a model")
    else:
        say(f"your folder of models, {models_folder()}, has none yet: `{INSTALL}` puts one there")


def _listed(name: str, model: str | Path) -> Listed:
    """A model of the package by its name, or a file in the user's folder."""
    source = "package" if isinstance(model, str) else "folder"
    file = Path(model)
    try:
        file = model_file(model)
        if source == "folder":
            _check_findable(file)
        size = file.stat().st_size
        return Listed(name=name, source=source, file=file, bytes=size, header=read_header(file))
    except SRError as error:
        return Listed(name=name, source=source, file=error.path or file, error=error.args[0])


def _check_findable(file: Path) -> None:
    """Raise ModelError if no command finds the file by its name, or it is no ONNX model."""
    if is_engine(file):
        raise ModelError("an engine has no name: commands open it by its path", path=file)
    refuse_other_kinds(file)
    why = name_problem(file.stem)
    if file.suffix != ".onnx":
        why = f"the name of a model's file ends in .onnx, and not in {file.suffix}"
    elif file.stem in EMBEDDED:
        why = "the model of the package has this name, and is the one that is used"
    if why:
        raise ModelError(f"{why}: rename the file", path=file)


def _cells(model: Listed) -> tuple[str, ...]:
    """The row of a model: a text for each heading, or fewer of which the last may be long."""
    if model.header is None:
        return model.name, model.source, str(model.error)
    size, info = f"{(model.bytes or 0) / 1e6:.1f} MB", model.header.info
    if info is None:
        by = f", by {model.header.producer}" if model.header.producer else ""
        text = f"{size}{by}; its facts are measured at the first use, and by `info {model.name}`"
        return model.name, model.source, text
    return (
        model.name,
        model.source,
        f"×{info.scale}",
        COLOURS.get(info.in_channels, f"{info.in_channels} channels"),
        PRECISIONS[info.weights_dtype],
        info.io,
        size,
        info.arch,
        model.licence or "not stated",
    )


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The rows with their cells below each other, except for the last of each."""
    rows = [[printable(cell) for cell in row] for row in rows]
    columns = range(len(rows[0]) - 1)
    widths = [max(len(row[i]) for row in rows if i < len(row) - 1) for i in columns]
    for row in rows:
        *cells, last = row
        padded = (f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=False))
        yield "  ".join([*padded, last])


def _fields(model: Listed) -> dict[str, object]:
    """A model as its line of JSON states it; what is not known is null."""
    header = model.header
    info = None if header is None else header.info
    return {
        "event": "model",
        "name": model.name,
        "from": model.source,
        "file": str(model.file),
        "bytes": model.bytes,
        **{fact: getattr(info, fact, None) for fact in FACTS},
        "producer": None if header is None else header.producer,
        "licence": model.licence,
        "error": model.error,
    }

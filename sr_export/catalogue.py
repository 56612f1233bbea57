"""A folder of checkpoints becomes a folder of verified ONNX files, and a table of what they are.

OUT/NAME.onnx          an export, in the folder that its checkpoint has
OUT/catalogue.json     what was found, by the content of each file: the next run goes on with it
OUT/catalogue.csv      a row for each file, and the same in Markdown
OUT/catalogue.md
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from itertools import chain, count
from pathlib import Path

import sr_runtime
from sr_export.catalogue_tables import write_tables
from sr_export.export import export_onnx
from sr_export.report import CatalogueRow, Precision
from sr_runtime.backends.choice import choose
from sr_runtime.errors import (
    ArgumentError,
    DataError,
    SRError,
    StorageError,
    reading,
    require_extra,
)
from sr_runtime.model_info import IO
from sr_runtime.storage.atomic import atomic_path, create_folder
from sr_runtime.storage.lock import open_lock, try_lock

__all__ = ["export_folder"]

SUFFIXES = (".pth", ".pt", ".ckpt", ".safetensors")
STATE = "catalogue.json"
LOCK = ".lock"
ENDED = "the program ended while it exported this file: --again tries it once more"

Rows = dict[str, CatalogueRow]
"""By the SHA-256 of the checkpoint."""


def export_folder(
    folder: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    precision: Precision = "fp32",
    io: IO = "float32",
    again: bool = False,
    on_row: Callable[[int, int, CatalogueRow], None] = lambda _number, _total, _row: None,
) -> tuple[CatalogueRow, ...]:
    """Export every checkpoint in a folder and in those inside it; one that fails fails alone.

    A file is known by its content: what an earlier call exported with the same options is kept, and
    equal files are exported once. What failed is tried again by another version of sr-toolkit or
    spandrel, and by every call where memory or the disk was too small. The tables are written after
    each file.

    Args:
        folder: Files that end in .pth, .pt, .ckpt or .safetensors; others are left out.
        output: The folder of the exports; it is created if it does not exist.
        precision: As for `export_onnx`.
        io: As for `export_onnx`.
        again: Try once more what failed before.
        on_row: Called for each file, with its number, the number of files, and its row.

    Raises:
        ArgumentError: The folder holds no checkpoints, `output` lies in it, or another process
            exports there.
        DataError: `catalogue.json` is damaged.
        BackendError: torch, onnx or an inference engine is missing.
        StorageError: A folder cannot be read or written.
    """
    folder, output = Path(folder), Path(output)
    files = _checkpoints(folder)
    if output.resolve().is_relative_to(folder.resolve()):
        raise ArgumentError("it lies in the folder of the checkpoints: name another", path=output)
    with require_extra("export"):
        import onnx  # noqa: F401  # that, torch or an engine missing is no fault of a checkpoint
        import torch  # noqa: F401

        from sr_train.checksum import file_sha256
    choose("auto", "cpu")
    made_by = f"{precision} {io}, sr-toolkit {sr_runtime.__version__}, spandrel {_spandrel()}"
    rows: list[CatalogueRow] = []
    with _only_process_in(output):
        known = _read(output / STATE)
        kept = {
            digest: row for digest, row in known.items() if _is_settled(row, output, made_by, again)
        }
        for number, file in enumerate(files, start=1):
            row = CatalogueRow(file=str(file), sha256="", made_by=made_by, failed=ENDED)
            try:
                digest = file_sha256(folder / file)
            except StorageError as error:
                rows.append(replace(row, failed=_reason(error, folder / file)))
            else:
                if digest not in kept:
                    place = _place(file, digest, output, known, kept)
                    row = replace(row, sha256=digest)
                    # What is there stays ours, whatever becomes of this export.
                    if there := _row_of(place, output, known):
                        row = replace(row, model=there.model, bytes=there.bytes)
                    _write(output / STATE, {**known, **kept, digest: row})
                    try:
                        row = kept[digest] = _exported(
                            folder / file, row, output, place, precision, io
                        )
                        if not row.failed:  # the rows of what it replaced have no file any more
                            known = {
                                key: each for key, each in known.items() if each.model != row.model
                            }
                    finally:  # Ctrl-C is no failure of the file
                        _write(output / STATE, {**known, **kept})
                row = replace(kept[digest], file=str(file))
                rows.append(replace(row, model=None, bytes=None) if row.failed else row)
            write_tables(output, rows, total=len(files))
            on_row(number, len(files), rows[-1])
    return tuple(rows)


@contextmanager
def _only_process_in(output: Path) -> Iterator[None]:
    """Create the folder if need be; two processes there would lose each other's rows."""
    create_folder(output)
    try:
        lock = open_lock(output / LOCK)
    except OSError as error:
        raise StorageError(f"cannot be written ({error.strerror})", path=output) from error
    with lock:
        alone = True
        with suppress(OSError):  # some network drives support no locks
            alone = try_lock(lock.fileno())
        if not alone:
            raise ArgumentError(
                "another process exports to this folder: wait for it, or name another folder",
                path=output,
            )
        yield


def _checkpoints(folder: Path) -> list[Path]:
    """The files to export, relative to the folder, in order."""
    with reading(folder):
        if not folder.is_dir():
            raise ArgumentError("there is no such folder of checkpoints", path=folder)
        found = sorted(
            each.relative_to(folder)
            for each in folder.rglob("*")
            if each.suffix.lower() in SUFFIXES and each.is_file()
        )
    if not found:
        raise ArgumentError(
            f"there are no checkpoints here, whose names end in {', '.join(SUFFIXES)}", path=folder
        )
    return found


def _place(file: Path, digest: str, output: Path, known: Rows, kept: Rows) -> Path:
    """Where an export goes in `output`: over an old one of this command, and over nothing else."""
    taken = {each.model for each in kept.values() if not each.failed}

    def is_free(place: Path) -> bool:
        there = os.path.lexists(output / place)
        return str(place) not in taken and (not there or _row_of(place, output, known) is not None)

    own = f"{file.stem}-{digest[:8]}"
    names = chain((file.stem, own), (f"{own}-{number}" for number in count(2)))
    before = known[digest].model if digest in known else None
    places = (file.with_name(f"{name}.onnx") for name in names)
    return next(filter(is_free, chain([Path(before)] if before else [], places)))


def _row_of(place: Path, output: Path, known: Rows) -> CatalogueRow | None:
    """The row of a file that is there as this command has written it."""
    with suppress(OSError):
        file = str(place), (output / place).stat().st_size
        return next((each for each in known.values() if (each.model, each.bytes) == file), None)
    return None


def _exported(
    checkpoint: Path,
    row: CatalogueRow,
    output: Path,
    place: Path,
    precision: Precision,
    io: IO,
) -> CatalogueRow:
    """The row of a checkpoint after its export, or after its failure."""
    try:
        create_folder((output / place).parent)
        report = export_onnx(checkpoint, output / place, precision=precision, io=io)
    # The folder may be a whole night's work: no file, not even one that finds a bug, ends it.
    except Exception as error:
        passing = isinstance(error, MemoryError | StorageError)  # the next call tries it again
        made_by = "" if passing else row.made_by
        return replace(row, failed=_reason(error, checkpoint), made_by=made_by)
    return replace(
        row,
        failed=None,
        model=str(place),
        arch=report.arch,
        scale=report.scale,
        parameters=report.parameters,
        tile_size=report.tile_size,
        halo=report.halo,
        phase=report.phase,
        tile_error=report.tile_error,
        bytes=report.bytes,
        seconds=round(sum(report.seconds.values()), 1),
    )


def _reason(error: Exception, checkpoint: Path) -> str:
    """Why an export failed, in one line."""
    reason = str(error) if isinstance(error, SRError) else f"{type(error).__name__}: {error}"
    return " ".join(reason.replace(f"{checkpoint}: ", "").split())


def _is_settled(row: CatalogueRow, output: Path, made_by: str, again: bool) -> bool:
    """Whether the export of a row is as it was written, with the same options, or its failure
    stands."""
    if row.failed:
        return row.made_by == made_by and not again
    place, options = output / str(row.model), made_by.partition(",")[0]
    same = row.made_by.partition(",")[0] == options
    return same and place.is_file() and place.stat().st_size == row.bytes


def _spandrel() -> str:
    try:
        return version("spandrel")
    except PackageNotFoundError:
        return "absent"


def _read(path: Path) -> Rows:
    if not path.exists():
        return {}
    with reading(path):
        text = path.read_text(encoding="utf-8", errors="replace")
    try:
        rows = [CatalogueRow(**row) for row in json.loads(text)]
        if not all(isinstance(fact, str) for row in rows for fact in (row.sha256, row.made_by)):
            raise ValueError("a checksum or a version is no text")
    except (ValueError, TypeError, RecursionError) as error:
        raise DataError(
            "it is damaged: delete it, and every file is exported again", path=path
        ) from error
    return {row.sha256: row for row in rows}


def _write(path: Path, rows: Rows) -> None:
    with atomic_path(path) as temporary:
        content = json.dumps([asdict(row) for row in rows.values()], indent=1)
        temporary.write_text(content + "\n", encoding="utf-8")

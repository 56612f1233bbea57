"""The rows of a catalogue as CSV and as Markdown."""

import csv
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from sr_export.report import CatalogueRow
from sr_runtime.printable import printable
from sr_runtime.storage.atomic import atomic_path

__all__ = ["write_tables"]

HEAD = ("file", "network", "scale", "M parameters", "sizes", "halo", "tiles ±/255", "MB", "ONNX")


def write_tables(folder: Path, rows: Sequence[CatalogueRow], *, total: int) -> None:
    """Write `catalogue.csv`, with all facts, and `catalogue.md`, with those that one reads.

    Args:
        total: The number of checkpoints, of which `rows` are the first.
    """
    names = [field.name for field in fields(CatalogueRow)]
    with (
        atomic_path(folder / "catalogue.csv") as temporary,
        # A file's name may be no text in UTF-8.
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    with atomic_path(folder / "catalogue.md") as temporary:
        temporary.write_text("\n".join(_markdown(rows, total)) + "\n", encoding="utf-8")


def _markdown(rows: Sequence[CatalogueRow], total: int) -> list[str]:
    exported = [row for row in rows if row.failed is None]
    failed = [row for row in rows if row.failed is not None]
    lines = [f"{len(exported)} of {total} checkpoints are exported and verified."]
    if waiting := total - len(rows):
        lines += ["", f"The run has not come to {waiting} of them yet; the next call goes on."]
    lines.append("")
    if exported:
        lines += [_line(HEAD), "|---|---" + "|--:" * (len(HEAD) - 3) + "|---|"]
        lines += [_line(_cells(row)) for row in exported]
    if failed:
        lines += ["", _line(("file", "why it is not exported")), "|---|---|"]
        lines += [_line((row.file, str(row.failed))) for row in failed]
    return lines


def _cells(row: CatalogueRow) -> tuple[object, ...]:
    return (
        row.file,
        row.arch,
        row.scale,
        f"{(row.parameters or 0) / 1e6:.2f}",
        f"{row.tile_size}×{row.tile_size}" if row.tile_size else "any",
        row.halo,
        row.tile_error,
        f"{(row.bytes or 0) / 1e6:.1f}",
        row.model,
    )


def _line(cells: Sequence[object]) -> str:
    return "| " + " | ".join(printable(cell).replace("|", "\\|") for cell in cells) + " |"

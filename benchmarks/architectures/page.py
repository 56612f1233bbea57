"""The matrix as a table in a page of the documentation."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.page import write_part

__all__ = ["write_page"]

HEAD = (
    "architecture", "read by", "sizes", "ONNX Runtime", "OpenVINO", "OpenVINO bf16",
    "TensorRT for RTX", "WebGPU", "halo", "multiple", "tiles ±/255", "FP16", "ms/MP, ORT",
    "ms/MP, OpenVINO", "MB",
)  # fmt: skip

Row = Mapping[str, Any]


def write_page(page: Path, results: Mapping[str, Any]) -> None:
    """Put the table of all results between the two marks of the page."""
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    made = f"Measured on {results['processor']} with {versions}."
    lines = [*_table(results["rows"]), "", *_failures(results["rows"]), made]
    write_part(page, "python -m benchmarks.architectures", "\n".join(lines))


def _table(rows: Mapping[str, Row]) -> list[str]:
    lines = [f"| {' | '.join(HEAD)} |", "|---" * 2 + "|---" + "|--:" * (len(HEAD) - 3) + "|"]
    return lines + [f"| {' | '.join(_cells(name, row))} |" for name, row in rows.items()]


def _cells(name: str, row: Row) -> list[str]:
    shown = f"**{name}**" if row.get("weights") == "real" else name
    if "failed" in row:
        outcome = "not exported" if "recognised_by" in row else "not finished"
        return [shown, row.get("recognised_by", ""), outcome, *[""] * (len(HEAD) - 3)]
    bf16 = row["bf16_error"]
    return [
        shown,
        row["recognised_by"],
        f"{row['tile_size']}×{row['tile_size']}" if row["tile_size"] else "any",
        f"{row['onnxruntime_error']:.0e}",
        f"{row['openvino_error']:.0e}",
        "not run" if bf16 is None else f"{bf16:.0e}",
        "not run",
        "not run",
        str(row["halo"]),
        str(max(row["multiple_of"], row["phase"])),
        str(row["tile_error"]),
        "yes" if row["supports_half"] else "no",
        f"{row['ms_per_megapixel']['onnxruntime']:,}",
        f"{row['ms_per_megapixel']['openvino']:,}",
        f"{row['bytes'] / 1e6:.1f}",
    ]


def _failures(rows: Mapping[str, Row]) -> list[str]:
    failed = [f"- {name}: {row['failed']}" for name, row in rows.items() if "failed" in row]
    return ["Not exported, or not finished:", "", *failed, ""] if failed else []

"""The matrix as a table in a page of the documentation."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.architectures.row import PARTS, REAL
from benchmarks.page import write_part

__all__ = ["write_page"]

HEAD = (
    "architecture", "read by", "sizes", "ONNX Runtime", "OpenVINO", "OpenVINO bf16",
    "TensorRT for RTX", "WebGPU", "halo", "multiple", "tiles ±/255", "FP16", "ms/MP, ORT",
    "ms/MP, OpenVINO", "MB",
)  # fmt: skip
NAMES = {"export": "", "rtx": ", TensorRT for RTX", "webgpu": ", WebGPU", "speed": ", times"}
BUSY = "†"

Row = Mapping[str, Any]


def write_page(page: Path, results: Mapping[str, Any]) -> None:
    """Put the table of all results between the two marks of the page."""
    rows = results["rows"]
    lines = [*_table(rows), "", *_failures(rows)]
    if any(BUSY in line for line in lines):
        lines += [f"{BUSY} Other work ran on the machine meanwhile.", ""]
    if adapters := {part["adapter"] for part in _parts(rows, "webgpu") if "adapter" in part}:
        lines.append(f"WebGPU ran on {' and '.join(sorted(adapters))}.")
    if built := _parts(rows, "rtx"):
        ran = sum(part.get("ran", False) for part in built)
        lines.append(f"{ran or 'None'} of the engines of TensorRT for RTX ran on a card.")
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    lines.append(f"Measured on {results['processor']} with {versions}.")
    write_part(page, "python -m benchmarks.architectures", "\n".join(lines))


def _parts(rows: Mapping[str, Row], name: str) -> list[Row]:
    return [row[name] for row in rows.values() if name in row]


def _table(rows: Mapping[str, Row]) -> list[str]:
    lines = [f"| {' | '.join(HEAD)} |", "|---" * 3 + "|--:" * (len(HEAD) - 3) + "|"]
    return lines + [f"| {' | '.join(_cells(name, row))} |" for name, row in rows.items()]


def _cells(name: str, row: Row) -> list[str]:
    shown = f"**{name}**" if name in REAL else name
    facts = row.get("export", {"failed": ""})
    if "failed" in facts:
        outcome = "not exported" if "recognised_by" in facts else "not finished"
        return [shown, facts.get("recognised_by", ""), outcome, *[""] * (len(HEAD) - 3)]
    bf16, size = facts["bf16_error"], facts["tile_size"]
    return [
        shown,
        facts["recognised_by"],
        f"{size}×{size}" if size else "any",
        f"{facts['onnxruntime_error']:.0e}",
        f"{facts['openvino_error']:.0e}",
        "not run" if bf16 is None else f"{bf16:.0e}",
        _engine(row.get("rtx")) if facts["supports_half"] else "needs FP16",
        _outcome(row.get("webgpu")) or f"{row['webgpu']['error']:.0e}",
        str(facts["halo"]),
        str(max(facts["multiple_of"], facts["phase"])),
        str(facts["tile_error"]),
        "yes" if facts["supports_half"] else "no",
        *(_time(row.get("speed"), backend) for backend in ("onnxruntime", "openvino")),
        f"{facts['bytes'] / 1e6:.1f}",
    ]


def _engine(part: Row | None) -> str:
    if part is None or "failed" in part:
        return _outcome(part)
    return f"{part['seconds']:.0f} s, {part['bytes'] / 1e6:.1f} MB"


def _time(part: Row | None, backend: str) -> str:
    if part is None or "failed" in part:
        return _outcome(part)
    return f"{part[backend]:,}{'' if part['quiet'] else BUSY}"


def _outcome(part: Row | None) -> str:
    """Why a cell has no value; empty if it has one."""
    if part is None:
        return "not run"
    if "failed" not in part:
        return ""
    return "not finished" if part["failed"].startswith("not finished") else "no"


def _failures(rows: Mapping[str, Row]) -> Iterator[str]:
    failed = [
        f"- {name}{NAMES[part]}: {row[part]['failed']}"
        for name, row in rows.items()
        for part in PARTS
        if "failed" in row.get(part, {})
    ]
    if failed:
        yield from ("Why a cell has no value:", "", *failed, "")

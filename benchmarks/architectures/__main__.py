"""The matrix of super-resolution architectures: exported, compared, built for RTX cards, timed.

Each row has four parts. A part runs in a process of its own, with limits of time and memory, and is
kept in the JSON file as soon as it is done; the next call goes on with those that are missing. The
networks are small, with random weights, except ESRGAN and Compact, which have the published ones.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.architectures.networks import NETWORKS
from benchmarks.architectures.page import write_page
from benchmarks.architectures.process import in_a_process
from benchmarks.architectures.row import PARTS, REAL
from benchmarks.arguments import count
from benchmarks.json_file import write_json
from benchmarks.machine import processor
from sr_runtime.cli.console import run_cli, say
from sr_runtime.cli.parser import Parser, path
from sr_runtime.errors import ArgumentError
from sr_runtime.printable import shown

RESULTS = Path("benchmarks/results/cpu_architectures.json")
PAGE = Path("docs/architectures.md")
LIBRARIES = (
    "torch", "onnx", "onnxscript", "onnxruntime", "openvino", "spandrel", "tensorrt-rtx-cu13",
    "onnxruntime-ep-webgpu",
)  # fmt: skip
ROWS = (*REAL, *NETWORKS)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what is missing, and write the page; return 0, or 2 after an error."""
    return run_cli(lambda words: _run(**vars(parser().parse_args(words))), argv)


def parser() -> Parser:
    """The command line."""
    made = Parser(
        prog="python -m benchmarks.architectures",
        description=__doc__,
        examples={
            "": "what is missing",
            "SwinIR DAT --again": "two rows, again",
            "--only speed --again": "all times",
        },
    )
    made.add_argument(
        "names", nargs="*", type=_row_name, metavar="NAME",
        help="rows to measure (default: all)",
    )  # fmt: skip
    made.add_argument(
        "--only", choices=PARTS,
        help="one part of the rows: the export with its comparisons, the engine of TensorRT for "
        "RTX, WebGPU, or the times",
    )  # fmt: skip
    made.add_argument(
        "--again", action="store_true", help="measure also what the JSON file has already"
    )
    made.add_argument(
        "--seconds", type=count, default=300, metavar="N",
        help="time limit of a part of a row (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "-o", "--output", type=path, default=RESULTS, metavar="FILE",
        help="JSON file to go on with (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--page", type=path, default=PAGE, metavar="FILE",
        help="page whose table is written (default: %(default)s)",
    )  # fmt: skip
    return made


def _row_name(text: str) -> str:
    if text not in ROWS:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not one of {'; '.join(ROWS)}")
    return text


def _run(
    names: Sequence[str], only: str | None, again: bool, seconds: int, output: Path, page: Path
) -> int:
    results: dict[str, Any] = json.loads(output.read_text()) if output.exists() else {"rows": {}}
    rows = results["rows"]
    results |= _environment(results, output)
    _keep(results, output, page)  # before any work, should one of the files be refused
    for name in names or ROWS:
        row = rows.setdefault(name, {})
        for part in (only,) if only else PARTS:
            if (part in row and not again) or not applies(part, row):
                continue
            say(f"{name}: {part} …")
            found = in_a_process(part, name, row.get("export", {}), seconds)
            say(f"  {found.get('failed') or found.get('not_run') or 'done'}")
            if "not_run" not in found:
                row[part] = found
                _keep(results, output, page)
    return 0


def _keep(results: dict[str, Any], output: Path, page: Path) -> None:
    """Write the JSON file, its rows and their parts in their order, and the page."""
    rows = results["rows"]
    ordered = {
        name: {part: rows[name][part] for part in PARTS if part in rows[name]}
        for name in ROWS
        if rows.get(name)
    }
    write_page(page, {**results, "rows": ordered})
    write_json(output, {**results, "rows": ordered})


def applies(part: str, row: dict[str, Any]) -> bool:
    """Whether a part can be measured: all others need an export, and RTX cards one in half."""
    if part == "export":
        return True
    exported = row.get("export", {"failed": ""})
    return "failed" not in exported and (part != "rtx" or exported["supports_half"])


def _environment(results: Mapping[str, Any], output: Path) -> dict[str, Any]:
    """The processor and the versions, of which the page states one each for all rows.

    Raises ArgumentError if earlier results have others.
    """
    before = {"processor": results.get("processor", processor()), **results.get("versions", {})}
    now = before | {"processor": processor(), **_versions()}
    if changed := [
        f"{name} {before[name]}, now {now[name]}" for name in before if now[name] != before[name]
    ]:
        raise ArgumentError(
            f"its rows were measured with {'; '.join(changed)}: measure all of them in another "
            "file, with -o",
            path=output,
        )
    return {"processor": now.pop("processor"), "versions": now}


def _versions() -> dict[str, str]:
    """Of those libraries that are installed."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    sys.exit(main())

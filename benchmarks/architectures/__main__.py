"""The matrix of super-resolution architectures: recognised, exported, compared, timed.

Each row runs in a process of its own, with a time limit, and is kept in the JSON file as soon as it
is done; the next call goes on with the rows that are missing. The networks are small, with random
weights, except ESRGAN and Compact, which have the published ones.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.architectures.networks import NETWORKS
from benchmarks.architectures.page import write_page
from benchmarks.architectures.row import REAL
from benchmarks.arguments import count
from benchmarks.json_file import write_json
from benchmarks.machine import processor
from sr_runtime.cli.console import run_cli, say
from sr_runtime.cli.parser import Parser, nonempty, path

RESULTS = Path("benchmarks/results/cpu_architectures.json")
PAGE = Path("docs/architectures.md")
LIBRARIES = ("torch", "onnx", "onnxscript", "onnxruntime", "openvino", "spandrel")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what is missing, and write the page; return 0, or 2 after an error."""
    return run_cli(lambda words: _run(**vars(parser().parse_args(words))), argv)


def parser() -> Parser:
    """The command line."""
    made = Parser(
        prog="python -m benchmarks.architectures",
        description=__doc__,
        examples={"": "", "SwinIR DAT": "these two, again"},
    )
    made.add_argument(
        "names", nargs="*", type=nonempty, metavar="NAME",
        help="rows to measure again (default: those that are missing)",
    )  # fmt: skip
    made.add_argument(
        "--seconds", type=count, default=240, metavar="N",
        help="time limit of a row (default: %(default)s)",
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


def _run(names: Sequence[str], seconds: int, output: Path, page: Path) -> int:
    everything = [*REAL, *NETWORKS]
    results: dict[str, Any] = json.loads(output.read_text()) if output.exists() else {"rows": {}}
    rows = results["rows"]
    results["processor"] = processor()
    results["versions"] = {name: version(name) for name in LIBRARIES}
    for name in names or [name for name in everything if name not in rows]:
        say(f"{name} …")
        rows[name] = _in_a_process(name, seconds)
        say(f"  {rows[name].get('failed', 'works')}")
        results["rows"] = rows = {each: rows[each] for each in everything if each in rows}
        write_json(output, results)
    write_page(page, results)
    return 0


def _in_a_process(name: str, seconds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        row = Path(folder) / "row.json"
        program = (
            "import json, sys; from pathlib import Path; "
            "from benchmarks.architectures.row import measure; "
            "json.dump(measure(sys.argv[1], Path(sys.argv[2])), open(sys.argv[3], 'w'))"
        )
        command = [sys.executable, "-c", program, name, folder, str(row)]
        try:
            done = subprocess.run(
                command, timeout=seconds, capture_output=True, text=True, env=os.environ
            )
        except subprocess.TimeoutExpired:
            return {"failed": f"not finished after {seconds} seconds"}
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no message"]
            return {"failed": f"the process ended with {done.returncode}: {lines[-1][:300]}"}
        found: dict[str, Any] = json.loads(row.read_text())
        return found


if __name__ == "__main__":
    sys.exit(main())

"""A part of a row in a process of its own, within limits of time and memory."""

import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.architectures.engines import Row

__all__ = ["MEMORY", "in_a_process"]

MEMORY = 8 << 30
"""Bytes that the process may write to."""

PROGRAM = """
import json, sys
from pathlib import Path
if sys.platform != "win32":
    import resource
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
from benchmarks.architectures.row import measure
part, name, folder = sys.argv[1:]
found = measure(part, name, json.load(sys.stdin), Path(folder))
Path(folder, "found.json").write_text(json.dumps(found))
""".replace("MEMORY", str(MEMORY))


def in_a_process(part: str, name: str, exported: Row, seconds: int) -> Row:
    """What `row.measure` finds, or why it has not come to an end."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-c", PROGRAM, part, name, folder],
                input=json.dumps(exported),
                timeout=seconds,
                capture_output=True,
                text=True,
            )
        except subprocess.TimeoutExpired:
            return {"failed": f"not finished after {seconds} seconds"}
        if done.returncode < 0:
            name, size = signal.Signals(-done.returncode).name, f"{MEMORY >> 30} GB"
            return {"failed": f"the process, which may take {size} of memory, ended by {name}"}
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no message"]
            return {"failed": f"the process ended with {done.returncode}: {lines[-1][:300]}"}
        found: Row = json.loads(Path(folder, "found.json").read_text())
        return found

"""One target in a process of its own, and what libFuzzer tells of it."""

import os
import re
from dataclasses import dataclass
from multiprocessing import forkserver, get_context
from pathlib import Path

__all__ = ["ROOT", "Result", "corpus", "ended_well", "fuzz", "reason", "start_server"]

ROOT = Path(".fuzz")
INPUT_SECONDS = 20
NOT_TOLD = 255
"""The exit code of a process whose own one multiprocessing's server did not pass on."""
MEMORY_MB = 2048


@dataclass(frozen=True)
class Result:
    """One target's run, in libFuzzer's numbers."""

    target: str
    executions: int
    edges: int
    """Places in the instrumented code, between two branches, that were reached."""
    inputs: int
    """Inputs in the corpus, each of which reaches something that no other does."""
    found: tuple[Path, ...]
    error: str
    """Why it ended early; empty if it did not."""


def start_server() -> None:
    """Start the process from which all others are forked.

    It imports torch and instruments everything once, in the background.
    """
    forkserver.set_forkserver_preload(["tests.fuzz.one"])
    forkserver.ensure_running()


def corpus(target: str) -> Path:
    return ROOT / "corpus" / target


def fuzz(target: str, seconds: int) -> Result:
    """Fuzz one target."""
    found = ROOT / "found" / target
    found.mkdir(parents=True, exist_ok=True)
    before = set(found.iterdir())
    path = ROOT / f"{target}.log"
    path.write_text("")
    options = [
        str(corpus(target)), f"-max_total_time={seconds}", f"-timeout={INPUT_SECONDS}",
        f"-rss_limit_mb={MEMORY_MB}", f"-artifact_prefix={found}/", "-max_len=65536",
        "-print_final_stats=1",
    ]  # fmt: skip
    process = get_context("forkserver").Process(target=_run, args=(target, options, path))
    process.start()
    process.join()
    log = path.read_text(errors="replace")

    def last(pattern: str) -> int:
        numbers = re.findall(pattern, log)
        return int(numbers[-1]) if numbers else 0

    return Result(
        target,
        executions=last(r"number_of_executed_units: (\d+)"),
        edges=last(r"cov: (\d+)"),
        inputs=last(r"corp: (\d+)"),
        found=tuple(sorted(set(found.iterdir()) - before)),
        error="" if ended_well(log, process.exitcode) else reason(log, process.exitcode or 0),
    )


def ended_well(log: str, code: int | None) -> bool:
    """Whether libFuzzer ran for its time, which it says at the end, unless it found a fault."""
    return code == 0 or (code == NOT_TOLD and re.search(r"^Done \d+ runs", log, re.M) is not None)


def reason(log: str, code: int) -> str:
    """Why a run ended early: its exception, or libFuzzer's report, or the last that it said."""
    begins = re.search(r"Uncaught|Traceback|==\d+== ?ERROR", log)
    said = log[begins.start() :].partition("\n==")[0][:3000] if begins else log[-3000:]
    return f"exit code {code}: {said.strip()}"


def _run(target: str, options: list[str], log: Path) -> None:
    """Fuzz a target in this process, all of whose output goes to a file."""
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    from tests.fuzz import one  # it is there: the server has imported it

    one.fuzz(target, options)

"""`python -m tests.fuzz [TARGET …] --minutes 10`: damaged files for every reader, and a table.

What was learnt stays in .fuzz/corpus and is where the next run begins. An input that breaks a
target is kept in .fuzz/found; `python -m tests.fuzz.one TARGET FILE` runs it again. Mend the kind,
and make the input a test of that reader, built in code.
"""

import argparse
import hashlib
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.seeds import SEEDS

ROOT = Path(".fuzz")
INPUT_SECONDS = 20
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


def main() -> int:
    """Fuzz the targets, as many at a time as there are cores."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", choices=[*SEEDS, []], metavar="TARGET")
    parser.add_argument("--minutes", type=float, default=1, help="for all together (default: 1)")
    options = parser.parse_args()
    targets = options.targets or list(SEEDS)
    at_once = min(os.cpu_count() or 1, len(targets))
    seconds = max(1, round(options.minutes * 60 * at_once / len(targets)))
    for target in targets:
        _plant(target)
    with ThreadPoolExecutor(at_once) as pool:
        results = list(pool.map(lambda target: fuzz(target, seconds), targets))
    print(f"{'target':<15}{'executions':>12}{'edges':>8}{'inputs':>8}{'found':>7}")
    for result in results:
        print(
            f"{result.target:<15}{result.executions:>12,}{result.edges:>8,}{result.inputs:>8,}"
            f"{len(result.found):>7}"
        )
    failed = [result for result in results if result.found or not result.executions]
    for result in failed:
        print(f"\n{result.target}: {', '.join(map(str, result.found)) or 'it did not run'}")
        print(result.error)
    return 1 if failed else 0


def fuzz(target: str, seconds: int) -> Result:
    """Fuzz one target in a process of its own."""
    found = ROOT / "found" / target
    found.mkdir(parents=True, exist_ok=True)
    before = set(found.iterdir())
    process = subprocess.run(
        [
            sys.executable, "-u", "-m", "tests.fuzz.one", target, str(_corpus(target)),
            f"-max_total_time={seconds}", f"-timeout={INPUT_SECONDS}",
            f"-rss_limit_mb={MEMORY_MB}", f"-artifact_prefix={found}/", "-max_len=65536",
            "-print_final_stats=1",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )  # fmt: skip
    log = process.stdout
    (ROOT / f"{target}.log").write_text(log)

    def last(pattern: str) -> int:
        numbers = re.findall(pattern, log)
        return int(numbers[-1]) if numbers else 0

    return Result(
        target,
        executions=last(r"number_of_executed_units: (\d+)"),
        edges=last(r"cov: (\d+)"),
        inputs=last(r"corp: (\d+)"),
        found=tuple(sorted(set(found.iterdir()) - before)),
        error=log[log.find("Uncaught") :].partition("\n==")[0][:3000],
    )


def _plant(target: str) -> None:
    folder = _corpus(target)
    folder.mkdir(parents=True, exist_ok=True)
    for seed in SEEDS[target]():
        (folder / hashlib.sha1(seed).hexdigest()).write_bytes(seed)


def _corpus(target: str) -> Path:
    return ROOT / "corpus" / target


if __name__ == "__main__":
    sys.exit(main())

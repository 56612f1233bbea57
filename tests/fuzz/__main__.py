"""`python -m tests.fuzz [TARGET …] --minutes 10`: damaged files for every reader, and a table.

What was learnt stays in .fuzz/corpus and is where the next run begins. An input that breaks a
target is kept in .fuzz/found; `python -m tests.fuzz.one TARGET FILE` runs it again. Mend the kind,
and make the input a test of that reader, built in code.
"""

import argparse
import hashlib
import os
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.fuzz.run import corpus, fuzz, start_server
from tests.fuzz.seeds import SEEDS


def main() -> int:
    """Fuzz the targets, as many at a time as there are cores."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", choices=[*SEEDS, []], metavar="TARGET")
    parser.add_argument("--minutes", type=float, default=1, help="for all together (default: 1)")
    options = parser.parse_args()
    targets = options.targets or list(SEEDS)
    at_once = min(os.cpu_count() or 1, len(targets))
    seconds = max(1, round(options.minutes * 60 * at_once / len(targets)))
    start_server()
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
    failed = [result for result in results if result.found or result.error]
    for result in failed:
        print(f"\n{result.target}: {', '.join(map(str, result.found)) or 'no input was kept'}")
        print(result.error or "the run went on after an input that took more than 10 seconds")
    return 1 if failed else 0


def _plant(target: str) -> None:
    """Put the seeds into the corpus."""
    corpus(target).mkdir(parents=True, exist_ok=True)
    for seed in SEEDS[target]():
        (corpus(target) / hashlib.sha1(seed).hexdigest()).write_bytes(seed)


if __name__ == "__main__":
    sys.exit(main())

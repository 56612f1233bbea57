"""One command for any CUDA machine: are results right, how fast are they, how far from peak?

Every part runs in a process of its own, if there is time for it. Each measurement is written to the
results at once. The same command again goes on after the last finished part. At the end, all
results are printed as tables, with what was not measured and why. Models and engines are kept in
the folder gpu.json.cache beside the results, and made only once.
"""

import argparse
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from benchmarks.arguments import count
from benchmarks.gpu.environment import environment
from benchmarks.gpu.network import WEIGHTS, chosen_generator, network_of
from benchmarks.gpu.parts import PARTS, Part
from benchmarks.gpu.process import in_a_process
from benchmarks.gpu.report import report
from benchmarks.gpu.results import Results
from benchmarks.gpu.run import Run
from sr_runtime.cli.console import run_cli
from sr_runtime.cli.parser import Parser, nonempty, number, path
from sr_runtime.errors import ArgumentError, BackendError
from sr_runtime.storage.atomic import check_target

DEFAULT_MINUTES = 10
# A part is killed after so many times its seconds.
OVERRUN = 3
# Seconds for the facts of the machine, and for importing torch before that.
LIMIT = 60


def main(argv: Sequence[str] | None = None, *, parts: Sequence[Part] = PARTS) -> int:
    """Measure, write and print; return 0, or 2 where the device does not exist."""
    return run_cli(lambda words: _run(parser(parts).parse_args(words), parts), argv)


def parser(parts: Sequence[Part] = PARTS) -> Parser:
    """The command line."""
    made = Parser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        epilog="parts, in the order in which they run, with their seconds on a data-centre GPU:\n"
        + "\n".join(f"  {part.name:13} {part.seconds:3g}  {part.about}" for part in parts),
        examples={
            "-o gpu.json": "",
            "-o gpu.json --minutes 4 --parts driver,correct": "",
            "-o try.json --device cpu --blocks 1": "without a GPU",
        },
    )
    made.add_argument(
        "-o", "--output", type=path, required=True, metavar="JSON", help="where the results go"
    )
    made.add_argument(
        "--minutes", type=number, default=DEFAULT_MINUTES, metavar="M",
        help="time limit (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--parts", type=nonempty, metavar="NAME[,NAME]",
        help="only these, and those they need (default: all)",
    )  # fmt: skip
    made.add_argument(
        "--checkpoint", type=path, metavar="FILE", help="the network to measure (default: RRDB-23)"
    )
    made.add_argument(
        "--blocks", type=count, metavar="N",
        help="measure a small network of N blocks, to try the benchmark itself out",
    )  # fmt: skip
    made.add_argument(
        "--device", type=nonempty, default="cuda:0", metavar="NAME",
        help="cuda:N, or cpu for a trial with small images (default: %(default)s)",
    )  # fmt: skip
    return made


def _run(arguments: argparse.Namespace, parts: Sequence[Part]) -> int:
    start = time.monotonic()
    output, blocks, checkpoint = arguments.output, arguments.blocks, arguments.checkpoint
    device = _device(arguments.device)
    check_target(output)
    if arguments.minutes <= 0:
        raise ArgumentError(f"minutes must be more than 0, not {arguments.minutes}: give 8")
    if checkpoint is not None and blocks is not None:
        raise ArgumentError("--checkpoint and --blocks exclude each other: give one of them")
    chosen = _chosen(parts, arguments.parts)
    if blocks is None and checkpoint is None and WEIGHTS.exists():
        checkpoint = WEIGHTS
    chosen_generator(checkpoint, blocks)  # an unusable one is refused at once
    results = Results(output, network_of(checkpoint, blocks), str(device))
    cache = output.with_name(f"{output.name}.cache").resolve()
    run = Run(device=device, checkpoint=checkpoint, blocks=blocks, cache=cache)
    _measure(chosen, run, results, start, arguments.minutes)
    print(f"\n{report(results.content)}\n\nEverything measured is in {output}")
    return 0


def _measure(
    parts: Sequence[Part], run: Run, results: Results, start: float, minutes: float
) -> None:
    """Run the parts that are not finished and for which there is time."""
    end = start + 60 * minutes
    # Slow machines get more time for a part from more minutes.
    stretch = max(1.0, minutes / DEFAULT_MINUTES)
    machine = in_a_process(environment, run, min(LIMIT, 60 * minutes))
    results.begin_run({event.what: event.value for event in machine if event.kind == "found"})
    for part in parts:
        begin = time.monotonic()
        seconds, left = stretch * part.seconds, end - begin
        said = f"[{begin - start:4.0f} s] {part.name}"
        if results.is_finished(part.name):
            print(f"{said}: finished in an earlier run", flush=True)
            continue
        if left < seconds:
            missing = f"it takes about {seconds:.0f} s, and {max(0, left):.0f} s were left"
            print(f"{said}: skipped: {missing}", flush=True)
            results.skip(part.name, f"{missing}: give more --minutes")
            continue
        print(f"{said}: about {seconds:.0f} s", flush=True)
        results.begin(part.name)
        run = replace(run, results=results.found(), deadline=begin + seconds)
        reason: object = None
        for event in in_a_process(part.measure, run, min(left, OVERRUN * seconds)):
            if event.kind == "ended":
                reason = event.value
            else:
                results.add(part.name, event)
            if event.kind == "left out":
                print(f"    left out: {event.what}: {event.value}", flush=True)
        if reason is not None:
            print(f"    ended early: {reason}", flush=True)
        results.end(part.name, time.monotonic() - begin, reason)


def _chosen(parts: Sequence[Part], names: str | None) -> list[Part]:
    """The parts of these names, and those they need; all, if none are named."""
    by_name = {part.name: part for part in parts}
    wanted = list(by_name) if names is None else [name.strip() for name in names.split(",")]
    for name in wanted:  # which grows by what is needed
        if name not in by_name:
            raise ArgumentError(f"part {name!r} is none of {', '.join(by_name)}")
        wanted += by_name[name].needs
    return [part for part in parts if part.name in wanted]


def _device(name: str) -> torch.device:
    """The device of that name. Raises ArgumentError for another word, BackendError for no GPU."""
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise ArgumentError(f"device {name!r} is none of cpu, cuda and cuda:N")
    device = torch.device(name)
    if device.type == "cpu":
        return device
    count = torch.cuda.device_count()
    device = torch.device("cuda", device.index or 0)
    if device.index >= count:
        raise BackendError(
            f"device {name} is not available here: torch {torch.__version__} finds {count} CUDA "
            "GPUs: install torch's CUDA build and the GPU's driver; --device cpu --blocks 1 tries "
            "the benchmark itself out"
        )
    return device


if __name__ == "__main__":
    sys.exit(main())

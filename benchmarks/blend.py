"""Two ways from a model to its partner: mixed results, as the runtime blends, or mixed weights.

It prints PSNR of Y in dB and LPIPS (lower is better) on Set14 and on BSDS500's validation images of
SR_DATA, all whole and in fp32, and the time that each way takes. Weights can be mixed, which is
called interpolation, where both are of the same architecture.
"""

import statistics
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from numpy.typing import NDArray

import sr_runtime
from benchmarks.arguments import count
from benchmarks.data import DATA, in_data, photo
from benchmarks.in_turn import seconds_in_turn
from benchmarks.machine import processor
from sr_runtime.cli.console import run_cli
from sr_runtime.cli.parser import Parser, number
from sr_runtime.embedded import DEFAULT, EMBEDDED, checkpoint_file, ends_of
from sr_runtime.evaluation.metrics import cropped, psnr
from sr_runtime.evaluation.pairs import Pair, find_pairs
from sr_runtime.evaluation.scoring import TILE, upscale_whole
from sr_train.checkpoint import load_generator
from sr_train.config.schema import Validation
from sr_train.inference import upscale_torch
from sr_train.interpolate import interpolate
from sr_train.lpips import LPIPS, load_lpips

SETS = {"Set14": "set14/x4", "BSDS500 val": "bsds500/val"}
ROUNDS = 5


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return 0, or 2 after an error."""
    return run_cli(lambda words: _run(**vars(parser().parse_args(words))), argv)


def parser() -> Parser:
    """The command line."""
    made = Parser(
        prog="python -m benchmarks.blend",
        description=__doc__,
        examples={"": "", "-m esrgan": "", "--blends 0 0.5 1 --images 3": "within a minute"},
    )
    made.add_argument(
        "-m", "--model", choices=EMBEDDED, default=DEFAULT,
        help="either of two partners (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--blends", nargs="+", type=number, default=[0, 0.2, 0.4, 0.6, 0.8, 1], metavar="B",
        help="from 0 to 1, as for upscale (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--images", type=count, default=14, metavar="N",
        help="how many images of each set, at most (default: %(default)s)",
    )  # fmt: skip
    return made


def _run(model: str, blends: Sequence[float], images: int) -> int:
    sets = {name: _some(find_pairs(in_data(path)), images) for name, path in SETS.items()}
    lpips = load_lpips(Validation(), DATA)
    ends = ends_of(model)
    soft, crisp = (load_generator(checkpoint_file(end)) for end in ends)
    print(f"{processor()}; " + ", ".join(f"{len(s)} images of {name}" for name, s in sets.items()))
    print(f"0 is {ends[0]}, 1 is {ends[1]}")
    print(f"\n| blend | way |{''.join(f' {name} PSNR Y | LPIPS |' for name in sets)}")
    print(f"|--:|---|{'--:|--:|' * len(sets)}")
    for blend in blends:
        with sr_runtime.load(model, blend=blend, precision="fp32", tile=TILE) as upscaler:
            ways = {"mixed results": partial(upscale_whole, upscaler)}
            if soft.arch == crisp.arch:
                mixed = interpolate(soft, crisp, blend)
                ways["interpolated weights"] = partial(upscale_torch, mixed)
            for way, upscale in ways.items():
                cells = (_quality(upscale, pairs, lpips) for pairs in sets.values())
                print(f"| {blend:g} | {way} | {' | '.join(cells)} |", flush=True)
    seconds = _seconds({"model": model, "blend": 0.5}, *({"model": end} for end in ends))
    told = (f"{each:.2f} s {how}" for each, how in zip(seconds, ("blended", *ends), strict=True))
    # A network of interpolated weights takes the time of either.
    print(f"\nA photo takes {', '.join(told)} (medians of {ROUNDS}, in turn).")
    return 0


def _some(pairs: list[Pair], count: int) -> list[Pair]:
    """At most `count`, evenly spread."""
    return pairs[:: -(-len(pairs) // count)]


def _quality(
    upscale: Callable[[NDArray[Any]], NDArray[Any]], pairs: Sequence[Pair], lpips: LPIPS
) -> str:
    decibels, distances = [], []
    for pair in pairs:
        lr, hr = pair.read(4)
        sr = upscale(lr)
        decibels.append(psnr(sr, hr, channel="y", crop=4))
        distances.append(lpips.of_images(*cropped(sr, hr, 4, smallest=1)))
    return f"{statistics.fmean(decibels):.2f} | {statistics.fmean(distances):.4f}"


def _seconds(*options: dict[str, Any]) -> list[float]:
    """The median time for a photo with each of the options of `load`."""
    image = photo()
    with ExitStack() as opened:
        upscalers = [opened.enter_context(sr_runtime.load(**each)) for each in options]
        contenders = {str(n): partial(each.upscale, image) for n, each in enumerate(upscalers)}
        return [statistics.median(times) for times in seconds_in_turn(contenders, ROUNDS).values()]


if __name__ == "__main__":
    sys.exit(main())

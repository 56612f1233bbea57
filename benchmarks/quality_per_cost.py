"""The price of quality: time per LR megapixel against PSNR and LPIPS, as a table and a plot.

It writes NAME.json and NAME.png. Without models it measures the embedded ones and those in
SR_DATA/weights. All run whole images in the default backend and precision. The models take turns at
the photo, round after round, because a machine's speed drifts.
"""

import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

import sr_runtime
from benchmarks.arguments import count
from benchmarks.data import DATA, in_data
from benchmarks.in_turn import seconds_in_turn
from benchmarks.json_file import write_json
from benchmarks.machine import processor
from sr_export.__main__ import main as sr_export
from sr_runtime import Upscaler
from sr_runtime.cli.console import run_cli
from sr_runtime.cli.parser import Parser, nonempty
from sr_runtime.embedded import EMBEDDED
from sr_runtime.errors import ArgumentError
from sr_runtime.evaluation.pairs import find_pairs
from sr_runtime.evaluation.scoring import TILE, bicubic, mean, score, upscale_whole
from sr_runtime.storage.atomic import atomic_path, check_target
from sr_train.config.schema import Validation
from sr_train.lpips import LPIPS, load_lpips

PEERS = ("RRDB_PSNR_x4", "RRDB_ESRGAN_x4", "realesr-animevideov3")
SETS = ("set5", "set14")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and draw; return 0, or 2 after an error."""
    return run_cli(lambda words: _run(**vars(parser().parse_args(words))), argv)


def parser() -> Parser:
    """The command line."""
    made = Parser(
        prog="python -m benchmarks.quality_per_cost",
        description=__doc__,
        examples={"": "", "esrgan mine.onnx -o mine": "two models"},
    )
    made.add_argument(
        "models", nargs="*", type=nonempty, metavar="MODEL",
        help="ONNX files and names of models (default: as above)",
    )  # fmt: skip
    made.add_argument(
        "-o", "--output", type=nonempty, default="benchmarks/results/cpu_quality_per_cost",
        metavar="NAME", help="name of the .json and the .png (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--rounds", type=count, default=5, metavar="N",
        help="how many rounds, after one to warm up (default: %(default)s)",
    )  # fmt: skip
    return made


def _run(models: Sequence[str], output: str, rounds: int) -> int:
    data, picture = Path(f"{output}.json"), Path(f"{output}.png")
    for target in (data, picture):
        check_target(target)
    with tempfile.TemporaryDirectory() as folder:
        results = measure(models or [*EMBEDDED, *_exported_peers(Path(folder))], rounds)
    print(table(results))
    write_json(data, results)
    with atomic_path(picture) as path:
        draw(results, path)
    return 0


def _exported_peers(folder: Path) -> list[str]:
    models = []
    for name in PEERS:
        checkpoint, model = in_data(f"weights/{name}.pth"), folder / f"{name}.onnx"
        if sr_export(["onnx", str(checkpoint), "-o", str(model)]):
            raise ArgumentError(f"{checkpoint} could not be exported")
        models.append(str(model))
    return models


def measure(models: Sequence[str], rounds: int) -> dict[str, Any]:
    """As `measure_opened`, of ONNX files and names of models, in default backend and precision."""
    if twice := [stem for stem, n in Counter(Path(each).stem for each in models).items() if n > 1]:
        raise ArgumentError(f"two models are called {twice[0]}: rename one of the files")
    with ExitStack() as stack:
        upscalers = {
            Path(model).stem: stack.enter_context(sr_runtime.load(model, tile=TILE))
            for model in models
        }
        return measure_opened(upscalers, rounds)


def measure_opened(upscalers: Mapping[str, Upscaler], rounds: int) -> dict[str, Any]:
    """Seconds of every round, quality of every model, and the environment."""
    photo = _photo()
    lpips = load_lpips(Validation(), DATA)
    contenders = {name: partial(each.upscale, photo) for name, each in upscalers.items()}
    seconds = seconds_in_turn(contenders, rounds)
    engines = {(u.backend.name, u.backend.compute_dtype) for u in upscalers.values()}
    return {
        "device": processor(),
        "engine": [" in ".join(engine) for engine in sorted(engines)],
        "photo_pixels": photo.shape[0] * photo.shape[1],
        "models": {
            name: {"seconds": seconds[name], **_quality(upscaler, lpips)}
            for name, upscaler in upscalers.items()
        },
        "bicubic": _quality(None, lpips),
    }


def _photo() -> NDArray[np.uint8]:
    """The photo that comes with the runtime, 300×451."""
    with (
        as_file(files("sr_runtime.examples") / "chelsea.png") as path,
        PIL.Image.open(path) as image,
    ):
        return np.asarray(image.convert("RGB"))


def _quality(upscaler: Upscaler | None, lpips: LPIPS) -> dict[str, Any]:
    """PSNR Y and LPIPS of a model, or of bicubic interpolation, on Set5 and Set14."""
    enlarge = partial(bicubic, scale=4) if upscaler is None else partial(upscale_whole, upscaler)
    quality: dict[str, Any] = {}
    for name in SETS:
        pairs = find_pairs(in_data(f"{name}/x4"))
        means = mean(score(enlarge, pairs, scale=4, distances={"lpips": lpips.of_images}))
        quality[name] = {"psnr_y": means.psnr_y, "ssim_y": means.ssim_y, "lpips": means.lpips}
    return quality


def _ms_per_megapixel(results: dict[str, Any], name: str) -> float:
    seconds = statistics.median(results["models"][name]["seconds"])
    return float(seconds / results["photo_pixels"] * 1e9)


def table(results: dict[str, Any]) -> str:
    """Markdown: environment, then a row for each model, the fastest first."""
    lines = [
        f"{results['device']}, {', '.join(results['engine'])}; a photo of "
        f"{results['photo_pixels']} pixels",
        "",
        "| ×4 | ms per LR megapixel | Set5 PSNR Y | Set14 PSNR Y | Set5 LPIPS | Set14 LPIPS |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    names = sorted(results["models"], key=partial(_ms_per_megapixel, results))
    rows = [("bicubic", "", results["bicubic"])]
    rows += [(n, f"{_ms_per_megapixel(results, n):,.0f}", results["models"][n]) for n in names]
    for name, cost, quality in rows:
        psnr = [f"{quality[data]['psnr_y']:.2f}" for data in SETS]
        lpips = [f"{quality[data]['lpips']:.4f}".removeprefix("0") for data in SETS]
        lines.append(f"| {' | '.join([name, cost, *psnr, *lpips])} |")
    return "\n".join(lines)


def draw(results: dict[str, Any], path: Path) -> None:
    """PSNR and LPIPS on Set14 against the cost, with bicubic interpolation as a line."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    for place, (key, title) in enumerate(
        (("psnr_y", "PSNR Y in dB, more is better"), ("lpips", "LPIPS, less is better")), start=1
    ):
        axes = figure.add_subplot(1, 2, place)
        axes.set_title(f"Set14: {title}", fontsize=11, loc="left")
        axes.set_xlabel("ms per LR megapixel")
        axes.set_xscale("log")
        axes.grid(alpha=0.3)
        axes.margins(x=0.3, y=0.15)  # room for names
        axes.axhline(results["bicubic"]["set14"][key], color="gray", linestyle="--")
        for name, model in results["models"].items():
            x, y = _ms_per_megapixel(results, name), model["set14"][key]
            axes.scatter(x, y, color="tab:orange" if name in EMBEDDED else "tab:blue")
            axes.annotate(
                name, (x, y), xytext=(0, 7), textcoords="offset points", ha="center", fontsize=9
            )
        axes.annotate(
            "bicubic", (0.99, results["bicubic"]["set14"][key]),
            xycoords=("axes fraction", "data"), xytext=(0, -4), textcoords="offset points",
            ha="right", va="top", color="gray", fontsize=9,
        )  # fmt: skip
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    sys.exit(main())

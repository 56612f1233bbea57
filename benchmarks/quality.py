"""PSNR and SSIM of models on data sets, on whole images, beside bicubic interpolation.

Every model is measured on every data set, and each has a table. The LR image is read if the data
set has one, and else made by MATLAB's bicubic interpolation.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache, partial
from typing import Any

import sr_runtime
from benchmarks.json_file import write_json
from sr_runtime import Upscaler
from sr_runtime.cli.console import run_cli
from sr_runtime.cli.parser import Parser, nonempty, path, whole_number
from sr_runtime.evaluation.pairs import Pair, find_pairs
from sr_runtime.evaluation.scoring import (
    TILE,
    Score,
    bicubic,
    mean,
    score,
    table,
    upscale_whole,
)
from sr_runtime.storage.atomic import check_target

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Print one table for every model and data set; return 0, or 2 after an error."""
    return run_cli(lambda words: _run(parser().parse_args(words)), argv)


def parser() -> Parser:
    """The command line."""
    made = Parser(
        prog="python -m benchmarks.quality",
        description=__doc__,
        examples={
            "--model psnr esrgan --data set5/x4": "",
            "--model rrdb.onnx --data set5/x4 set14/x4": "",
        },
    )
    made.add_argument(
        "--model", nargs="+", type=nonempty, required=True, metavar="ONNX",
        help="ONNX files and names of models",
    )  # fmt: skip
    made.add_argument(
        "--data", nargs="+", type=path, required=True, metavar="DIR",
        help="folders with NAME_HR.png beside NAME_LR.png, with folders HR and LR, or with "
        "high-resolution images alone",
    )  # fmt: skip
    made.add_argument(
        "--backend", type=nonempty, default="auto", metavar="NAME",
        help="openvino, onnxruntime and so on, or auto (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--precision", type=nonempty, default="auto", metavar="TYPE",
        help="fp32, bf16 or auto (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--crop", type=whole_number, metavar="N",
        help="pixels to leave out along every border (default: the model's scale)",
    )  # fmt: skip
    made.add_argument(
        "--json", type=path, metavar="OUT",
        help="write the results here too (default: print them only)",
    )  # fmt: skip
    return made


def _run(arguments: argparse.Namespace) -> int:
    if arguments.json is not None:
        check_target(arguments.json)
    data = {folder: tuple(find_pairs(folder)) for folder in arguments.data}
    results = []
    for model in arguments.model:
        with sr_runtime.load(
            model, backend=arguments.backend, precision=arguments.precision, tile=TILE
        ) as upscaler:
            for folder, pairs in data.items():
                print(f"\n{model} on {folder}")
                result = _measure(upscaler, pairs, arguments.crop)
                results.append({"model": str(model), "data": str(folder), **result})
    if arguments.json is not None:
        write_json(arguments.json, results)
    return 0


def _measure(upscaler: Upscaler, pairs: tuple[Pair, ...], crop: int | None) -> dict[str, Any]:
    """Print the table of one model on one data set, and return its rows."""
    engine, scale = upscaler.backend, upscaler.info.scale
    border = scale if crop is None else crop
    scores = score(partial(upscale_whole, upscaler), pairs, scale=scale, crop=border)
    reference = _bicubic(pairs, scale, border)
    print(f"{engine.name} in {engine.compute_dtype}; ", end="")
    print(table(scores, crop=border, references=[reference]), flush=True)
    return {
        "backend": engine.name,
        "precision": engine.compute_dtype,
        "scale": scale,
        "crop": border,
        "images": [asdict(row) for row in scores],
        "mean": asdict(mean(scores)),
        "bicubic": asdict(reference),
    }


@cache
def _bicubic(pairs: tuple[Pair, ...], scale: int, crop: int) -> Score:
    enlarge = partial(bicubic, scale=scale)
    return mean(score(enlarge, pairs, scale=scale, crop=crop), "bicubic mean")


if __name__ == "__main__":
    raise SystemExit(main())

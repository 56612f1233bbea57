"""The command line: `python -m sr_runtime upscale …` and `python -m sr_runtime info`."""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

import PIL.Image

import sr_runtime
from sr_runtime.backends.registry import names
from sr_runtime.cli.batch import run_jobs
from sr_runtime.cli.console import run_cli
from sr_runtime.cli.info import backends_text, model_text
from sr_runtime.cli.jobs import plan_jobs
from sr_runtime.embedded import DEFAULT, EMBEDDED, model_file
from sr_runtime.image import DEFAULT_MAX_PIXELS, Format
from sr_runtime.output_size import OutputSize

MODEL = f"{' or '.join(EMBEDDED)}, which come with the package, an ONNX file or a TensorRT engine"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    arguments = _parser().parse_args(argv)
    return run_cli(lambda: arguments.command(arguments))


def _upscale(arguments: argparse.Namespace) -> int:
    # Pillow checks its own limit earlier than we ours; in this process they are the same.
    PIL.Image.MAX_IMAGE_PIXELS = arguments.max_pixels
    size = OutputSize(scale=arguments.scale, width=arguments.width, height=arguments.height)
    with _load(arguments) as upscaler:
        jobs = plan_jobs(
            arguments.inputs,
            arguments.output,
            label=_label(arguments, upscaler.info.scale),
            format=arguments.format,
        )
        if arguments.skip_existing:
            jobs = [job for job in jobs if not job.target.exists()]
        started = time.perf_counter()
        failures = run_jobs(
            upscaler,
            jobs,
            size=size,
            quality=arguments.quality,
            max_pixels=arguments.max_pixels,
            show_progress=not arguments.quiet,
        )
    one_file = len(arguments.inputs) == 1 and not arguments.inputs[0].is_dir()
    if failures and one_file:
        raise failures[0].error
    done = len(jobs) - len(failures)
    if not arguments.quiet:
        where = jobs[0].target if len(jobs) == done == 1 else f"{done} of {len(jobs)} images"
        print(f"{where}: done in {time.perf_counter() - started:.1f} s")
    if failures:
        print(f"{len(failures)} failed:", file=sys.stderr)
        for failure in failures:
            print(f"  {failure}", file=sys.stderr)
    return 1 if failures else 0


def _info(arguments: argparse.Namespace) -> int:
    print(f"{'sr-toolkit':<18}{sr_runtime.__version__}")
    print(backends_text())
    if arguments.model is not None:
        with _load(arguments) as upscaler:
            print(model_text(model_file(arguments.model), upscaler))
    return 0


def _load(arguments: argparse.Namespace) -> sr_runtime.Upscaler:
    return sr_runtime.load(
        arguments.model,
        backend=arguments.backend,
        device=arguments.device,
        precision=arguments.precision,
        tile=arguments.tile,
        halo=arguments.halo,
        tta=arguments.tta,
    )


def _label(arguments: argparse.Namespace, scale: int) -> str:
    if arguments.width is not None:
        return f"w{arguments.width}"
    if arguments.height is not None:
        return f"h{arguments.height}"
    return f"x{scale if arguments.scale is None else arguments.scale:g}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sr-upscale", description="Upscale images with an ESRGAN model."
    )
    parser.add_argument("--version", action="version", version=sr_runtime.__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    engine = argparse.ArgumentParser(add_help=False)
    group = engine.add_argument_group("how the model runs")
    group.add_argument(
        "--backend", default="auto", metavar="NAME", help=f"auto, {', '.join(names())} (auto)"
    )
    group.add_argument(
        "--device", default="auto",
        help="auto, cpu, cuda, cuda:N, or several: cuda:0,cuda:1 (auto: a GPU before the CPU)",
    )  # fmt: skip
    group.add_argument(
        "--precision", default="auto",
        help="auto, fp32, bf16 (CPU), fp16 (GPU, of a file that was exported in it): how the "
        "device computes (auto)",
    )  # fmt: skip
    group.add_argument(
        "-t", "--tile", default="auto", type=_number_or("auto"), metavar="N",
        help="largest side of a tile in input pixels, halo included: less takes less memory (auto)",
    )  # fmt: skip
    group.add_argument(
        "--halo", default="auto", type=_number_or("auto", "exact"), metavar="N",
        help="context around a tile in pixels: auto (calibrated), exact, or a number",
    )  # fmt: skip

    upscale = commands.add_parser(
        "upscale", parents=[engine], help="upscale images, animations and folders of them",
        description="Upscale images, animations and folders of them.",
    )  # fmt: skip
    upscale.set_defaults(command=_upscale)
    upscale.add_argument("inputs", nargs="+", type=Path, metavar="INPUT", help="file or folder")
    upscale.add_argument(
        "-o", "--output", metavar="OUT",
        help="file, whose suffix sets the format, or folder (photo_x4.png beside the input)",
    )  # fmt: skip
    upscale.add_argument("-m", "--model", default=DEFAULT, help=f"{MODEL} (%(default)s)")
    size = upscale.add_mutually_exclusive_group()
    size.add_argument("--scale", type=float, metavar="S", help="result over input (the model's)")
    size.add_argument("--width", type=int, metavar="W", help="width of the result in pixels")
    size.add_argument("--height", type=int, metavar="H", help="height of the result in pixels")
    upscale.add_argument(
        "--format",
        choices=get_args(Format),
        help="format of results that are not named by -o (png)",
    )
    upscale.add_argument("--quality", type=int, metavar="Q", help="1 to 100, of jpg and webp (95)")
    upscale.add_argument(
        "--tta", action="store_true", help="average 8 views: better, 8 times slower"
    )
    upscale.add_argument(
        "--skip-existing", action="store_true", help="leave out what a former run has finished"
    )
    upscale.add_argument(
        "--max-pixels", type=_number_or(), default=DEFAULT_MAX_PIXELS, metavar="N",
        help="refuse images of more pixels (%(default)s)",
    )  # fmt: skip
    upscale.add_argument("-q", "--quiet", action="store_true", help="no progress bar, no summary")

    info = commands.add_parser(
        "info", parents=[engine], help="what a model is, and which engines work here",
        description="Print what a model is, what memory it takes, and which engines work here.",
    )  # fmt: skip
    info.set_defaults(command=_info, tta=False)
    info.add_argument("model", nargs="?", metavar="MODEL", help=MODEL)
    return parser


def _number_or(*words: str) -> Callable[[str], int | str]:
    def parse(text: str) -> int | str:
        if text in words:
            return text
        if text.isdigit():
            return int(text)
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join((*words, 'a number'))}")

    return parse


if __name__ == "__main__":
    sys.exit(main())

"""The command line: `sr-train prepare …`, `fit …`, `evaluate …` and more."""

import argparse
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from sr_runtime.cli.completion import add_program_options
from sr_runtime.cli.console import LOADING, run_cli, say, say_waiting
from sr_runtime.cli.parser import Parser, nonempty, number, path, program_name, whole_number
from sr_runtime.embedded import EMBEDDED
from sr_runtime.errors import require_extra
from sr_runtime.storage.atomic import check_target
from sr_train import fit, load_generator

__all__ = ["main"]

Command = Callable[..., None]
"""Takes each option of its parser by name; its docstring is the parser's help."""
Commands: TypeAlias = "argparse._SubParsersAction[Any]"

FILE = "a .pth or .safetensors file"

# Commands import what they need when they run: torch takes seconds, and --help does not need it.


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code, 2 for an error, 128 + N for signal N."""
    return run_cli(_run, argv)


def _run(words: Sequence[str]) -> int:
    if list(words[:1]) == ["fit"]:  # its options are the fields of the configuration
        return _fit(words[1:])
    options = vars(_parser().parse_args(words))
    say_waiting(LOADING)
    options.pop("command")(**options)
    return 0


def _fit(words: Sequence[str]) -> int:
    with require_extra("train"):
        from sr_train.config.file import config_text, fit_arguments

        arguments = fit_arguments(words)
        if arguments.print_config:
            print(config_text(arguments.config), end="")  # a file, in which YAML escapes names
            return 0
    say_waiting(LOADING)
    resume = arguments.resume is not None
    result = fit(arguments.config, arguments.resume or arguments.run or "", resume=resume)
    return 0 if result.interrupted is None else 128 + result.interrupted


def _prepare(items: Sequence[str], scale: int, jobs: int, skip_bad: bool, **folders: Any) -> None:
    """Fetch data sets and pretrained weights, and pack images for fast training. Done once.

    examples:
      sr-train prepare div2k bsds500                     download them and pack them
      sr-train prepare set5 --from downloads/Set5        pack what is on disk already
      sr-train prepare photos/ --scale 2                 your own images, named `photos`
      sr-train prepare vgg19 squeezenet1_1 lpips_squeeze --root /data/sr
    """
    with require_extra("train"):
        from sr_train.data.build.prepare import prepare
        from sr_train.pretrained import WEIGHTS, prepare_weights

    for item in items:
        if item in WEIGHTS:
            say(f"{item}: {prepare_weights(item, **folders)}")
        else:
            prepare(item, **folders, scale=scale, jobs=jobs, skip_bad=skip_bad, report=say)


def _evaluate(**options: Any) -> None:
    """Measure PSNR, SSIM and LPIPS of checkpoints and exported models, in one table.

    examples:
      sr-train evaluate runs/demo/weights/best.safetensors --data set5 set14
      sr-train evaluate RRDB.pth rrdb.onnx esrgan --data bsds500:test --device cuda
      sr-train evaluate RRDB.pth --data photos/ --no-lpips --json table.json
    """
    with require_extra("train"):
        from sr_train.evaluate import evaluate

    evaluate(**options)


def _interpolate(psnr: Path, gan: Path, alpha: float, output: Path) -> None:
    """Mix a PSNR-oriented and a GAN-based generator.

    The result is (1 − α)·PSNR + α·GAN, the network interpolation of the ESRGAN paper.

    examples:
      sr-train interpolate psnr.safetensors esrgan.safetensors -o mixed.safetensors
      sr-train interpolate psnr.safetensors esrgan.safetensors --alpha 0.5 -o half.pth
    """
    check_target(output, inputs=[psnr, gan])
    generators = load_generator(psnr), load_generator(gan)
    from sr_train.checkpoint import save_generator
    from sr_train.interpolate import interpolate

    save_generator(interpolate(*generators, alpha), output)
    say(f"{output}: {1 - alpha:g} · {psnr} + {alpha:g} · {gan}")


def _average(checkpoints: Sequence[Path], output: Path) -> None:
    """Average the weights of several checkpoints of one run.

    examples:
      sr-train average 80k.safetensors 90k.safetensors 100k.safetensors -o mean.safetensors
    """
    check_target(output, inputs=checkpoints)
    generators = [load_generator(path) for path in checkpoints]
    from sr_train.checkpoint import save_generator
    from sr_train.interpolate import average

    save_generator(average(generators), output)
    say(f"{output}: average of {len(generators)} checkpoints")


def _convert(checkpoint: Path, output: Path, scale: int | None, activation: str | None) -> None:
    """Read the generator of any ESRGAN checkpoint and write it in fp32.

    It can be an RRDBNet of BasicSR, mmagic, neosr, xinntao/ESRGAN, BSRGAN, traiNNer, Lornatang or
    torch-sr, or a SRVGGNetCompact.

    examples:
      sr-train convert RealESRGAN_x4plus.pth -o generator.safetensors
      sr-train convert 3x_model.pth --scale 3 -o generator.safetensors
    """
    check_target(output, inputs=[checkpoint])
    generator = load_generator(checkpoint, scale=scale, activation=activation)
    from sr_train.checkpoint import save_generator, weights_sha256

    save_generator(generator, output)
    parameters = sum(parameter.numel() for parameter in generator.parameters())
    say(
        f"{output}: {generator.arch} x{generator.scale_factor} of {checkpoint}, {parameters:,} "
        f"parameters, SHA-256 of the weights {weights_sha256(generator)[:16]}"
    )


def _parser() -> argparse.ArgumentParser:
    program = program_name("sr-train", "sr_train")
    parser = Parser(
        prog=program,
        description="Train ESRGAN generators, measure them, and convert any trainer's checkpoints.",
        epilog=f"{program} COMMAND --help shows a command's options and examples.",
    )
    add_program_options(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_prepare(commands)
    commands.add_parser("fit", help="train in two stages; fit --help lists every option")
    _add_evaluate(commands)
    _add_conversions(commands)
    return parser


def _add_prepare(commands: Commands) -> None:
    prepare = _add_command(commands, _prepare)
    prepare.add_argument(
        "items", nargs="+", type=nonempty, metavar="ITEM",
        help="a data set (div2k, flickr2k, bsds500, set5, set14), a folder of your own images, or "
        "weights (vgg11, vgg13, vgg16, vgg19, squeezenet1_1, lpips_squeeze)",
    )  # fmt: skip
    _add_root(prepare)
    prepare.add_argument(
        "--from", dest="source", type=path, metavar="FOLDER",
        help="folder with the data set or the weights (default: download them)",
    )  # fmt: skip
    prepare.add_argument(
        "--scale", type=whole_number, default=4, metavar="S",
        help="how much smaller LR images are than HR images (default: %(default)s)",
    )  # fmt: skip
    prepare.add_argument(
        "--jobs", type=whole_number, default=os.cpu_count() or 1, metavar="N",
        help="processes that decode images (default: %(default)s, one per processor)",
    )  # fmt: skip
    prepare.add_argument(
        "--skip-bad", action="store_true",
        help="leave out images of a folder that cannot be prepared, and say which and why",
    )  # fmt: skip


def _add_evaluate(commands: Commands) -> None:
    evaluate = _add_command(commands, _evaluate)
    evaluate.add_argument(
        "models", nargs="+", type=nonempty, metavar="MODEL",
        help=f"a .safetensors, .pth or .onnx file, or one of the package: {', '.join(EMBEDDED)}",
    )  # fmt: skip
    evaluate.add_argument(
        "--data", nargs="+", type=nonempty, required=True, metavar="DATA",
        help="prepared data sets, such as set5 or bsds500:val, or folders of images",
    )  # fmt: skip
    _add_root(evaluate)
    evaluate.add_argument("--images", action="store_true", help="also show every single image")
    evaluate.add_argument("--json", type=path, metavar="OUT", help="also write the numbers here")
    evaluate.add_argument("--no-lpips", dest="lpips", action="store_false", help="leave out LPIPS")
    evaluate.add_argument(
        "--device", type=nonempty, default="auto", help="cpu, cuda or cuda:N (default: auto)"
    )
    evaluate.add_argument(
        "--precision", default="fp32", choices=("fp32", "bf16", "fp16"),
        help="precision in which the networks compute (default: %(default)s)",
    )  # fmt: skip
    _add_scale(evaluate)


def _add_conversions(commands: Commands) -> None:
    interpolate = _add_command(commands, _interpolate)
    interpolate.add_argument("psnr", type=path, metavar="PSNR", help="result of the PSNR stage")
    interpolate.add_argument("gan", type=path, metavar="GAN", help="result of the GAN stage")
    interpolate.add_argument(
        "--alpha", type=number, default=0.8,
        help="share of GAN, 0 to 1; more means more texture and more noise (default: %(default)s)",
    )  # fmt: skip
    _add_output(interpolate)

    average = _add_command(commands, _average)
    average.add_argument("checkpoints", nargs="+", type=path, metavar="CHECKPOINT", help=FILE)
    _add_output(average)

    convert = _add_command(commands, _convert)
    convert.add_argument("checkpoint", type=path, metavar="CHECKPOINT", help=FILE)
    _add_output(convert)
    _add_scale(convert)
    convert.add_argument(
        "--activation", choices=("relu", "leakyrelu"),
        help="needed only for an SRVGGNetCompact without PReLU, whose file does not name it",
    )  # fmt: skip


def _add_command(commands: Commands, run: Command) -> argparse.ArgumentParser:
    description, examples = (inspect.getdoc(run) or "\n\n").rsplit("\n\n", 1)
    first = description.partition("\n")[0].partition(". ")[0].rstrip(".")
    parser: argparse.ArgumentParser = commands.add_parser(
        run.__name__.removeprefix("_"),
        help=first[:1].lower() + first[1:],
        description=description,
        epilog=examples.replace("sr-train", program_name("sr-train", "sr_train")),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=run)
    return parser


def _add_root(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--root", type=path, default=Path("data"), metavar="DIR",
        help="folder of prepared data sets and weights, which fit calls --data_root (default: "
        "%(default)s)",
    )  # fmt: skip


def _add_output(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "-o", "--output", type=path, required=True, metavar="OUT",
        help="the file to write: .safetensors, with the architecture as metadata, or .pth, as "
        "BasicSR writes it",
    )  # fmt: skip


def _add_scale(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--scale", type=whole_number, metavar="S",
        help="scale of the network; only a x3 checkpoint needs it, since its tensors look like "
        "those of x2 (default: read from the checkpoint)",
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())

"""The command line: `python -m sr_train prepare …`, `fit …`, `evaluate …` and more."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from sr_runtime.atomic import check_target
from sr_runtime.cli.console import require_extra, run_cli
from sr_runtime.embedded import EMBEDDED
from sr_runtime.errors import ArgumentError
from sr_train import fit

__all__ = ["main"]

# Commands import what they need when they run: torch takes seconds, and --help needs none of it.


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 0, or 2 for an error that the user can mend."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["fit"]:
        return run_cli(lambda: _fit(words[1:]))
    return run_cli(lambda: _run(words))


def _run(words: Sequence[str]) -> int:
    arguments = _parser().parse_args(words)
    code: int = arguments.command(arguments)
    return code


def _fit(words: Sequence[str]) -> int:
    with require_extra("train"):
        from sr_train.config.file import config_text, fit_arguments

        told = fit_arguments(words)
        if told.print_config:
            print(config_text(told.config), end="")
            return 0
    result = fit(told.config, told.resume or told.run or "", resume=told.resume is not None)
    return 0 if result.interrupted is None else 128 + result.interrupted


def _prepare(arguments: argparse.Namespace) -> int:
    with require_extra("train"):
        from sr_train.data.build.prepare import prepare
        from sr_train.pretrained import WEIGHTS, prepare_weights

    for item in arguments.items:
        if item in WEIGHTS:
            path = prepare_weights(item, root=arguments.root, source=arguments.source)
            print(f"{item}: {path}")
        else:
            prepare(
                item,
                root=arguments.root,
                source=arguments.source,
                scale=arguments.scale,
                jobs=arguments.jobs,
                report=print,
            )
    return 0


def _evaluate(arguments: argparse.Namespace) -> int:
    with require_extra("train"):
        from sr_train.evaluate import evaluate

    return evaluate(
        arguments.models,
        arguments.data,
        root=arguments.root,
        scale=arguments.scale,
        precision=arguments.precision,
        device=arguments.device,
        lpips=not arguments.no_lpips,
        images=arguments.images,
        json=arguments.json,
    )


def _interpolate(arguments: argparse.Namespace) -> int:
    check_target(arguments.output, inputs=[arguments.psnr, arguments.gan])
    with require_extra("export"):
        from sr_train.checkpoint import load_generator, save_generator
        from sr_train.interpolate import interpolate

    psnr, gan = load_generator(arguments.psnr), load_generator(arguments.gan)
    save_generator(interpolate(psnr, gan, arguments.alpha), arguments.output)
    weight = f"{1 - arguments.alpha:g} · {arguments.psnr} + {arguments.alpha:g} · {arguments.gan}"
    print(f"{arguments.output}: {weight}")
    return 0


def _average(arguments: argparse.Namespace) -> int:
    check_target(arguments.output, inputs=arguments.checkpoints)
    with require_extra("export"):
        from sr_train.checkpoint import load_generator, save_generator
        from sr_train.interpolate import average

    save_generator(average([load_generator(p) for p in arguments.checkpoints]), arguments.output)
    print(f"{arguments.output}: the average of {len(arguments.checkpoints)} checkpoints")
    return 0


def _convert(arguments: argparse.Namespace) -> int:
    checkpoint, output = arguments.checkpoint, arguments.output
    check_target(output, inputs=[checkpoint])
    with require_extra("export"):
        from sr_train.checkpoint import load_generator, save_generator, weights_sha256

    generator = load_generator(checkpoint, scale=arguments.scale)
    save_generator(generator, output)
    parameters = sum(parameter.numel() for parameter in generator.parameters())
    print(
        f"{checkpoint}: {generator.arch} x{generator.scale_factor}, {parameters:,} parameters; "
        f"written to {output}, sha256 of the weights {weights_sha256(generator)[:16]}"
    )
    return 0


class Parser(argparse.ArgumentParser):
    """Raises ArgumentError where argparse would print the usage and exit."""

    def error(self, message: str) -> NoReturn:
        said = " ".join(message.removeprefix("argument ").split())
        raise ArgumentError(f"{said}; `{self.prog} --help` lists the arguments")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="sr-train",
        description="Train ESRGAN generators, measure them, and convert anyone's checkpoints.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    prepare = commands.add_parser(
        "prepare", help="fetch data sets and pretrained weights, and pack them for training",
        description="Download data sets and pretrained weights, or take them from a folder, and "
        "pack the images so that training reads crops without decoding. Done once.",
    )  # fmt: skip
    prepare.set_defaults(command=_prepare)
    prepare.add_argument(
        "items", nargs="+", metavar="ITEM",
        help="data set (div2k, flickr2k, bsds500, set5, set14), folder of your own images, or "
        "weights (vgg11, vgg13, vgg16, vgg19, squeezenet1_1, lpips_squeeze)",
    )  # fmt: skip
    prepare.add_argument(
        "--root", type=Path, default=Path("data"), metavar="DIR",
        help="where to put them; fit finds them with --data_root, evaluate with --root (data)",
    )  # fmt: skip
    prepare.add_argument(
        "--from", dest="source", type=Path, metavar="FOLDER",
        help="take the data set or the weights from here instead of downloading",
    )  # fmt: skip
    prepare.add_argument(
        "--scale", type=int, default=4, metavar="S", help="how much smaller LR images are (4)"
    )
    prepare.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, metavar="N",
        help="processes that decode images (%(default)s)",
    )  # fmt: skip

    # Its options are the fields of the configuration: `_fit` reads them.
    commands.add_parser("fit", help="train, in two stages; fit --help lists every option")

    evaluate = commands.add_parser(
        "evaluate", help="PSNR, SSIM and LPIPS of checkpoints and exported models, in one table",
        description="Measure checkpoints and exported models on whole images, in one table.",
    )  # fmt: skip
    evaluate.set_defaults(command=_evaluate)
    evaluate.add_argument(
        "models", nargs="+", metavar="MODEL",
        help=f".safetensors, .pth, .onnx, or {' or '.join(EMBEDDED)}, which come with the package",
    )  # fmt: skip
    evaluate.add_argument(
        "--data", nargs="+", required=True, metavar="DATA",
        help="prepared data sets (set5, bsds500:val) or folders of images",
    )  # fmt: skip
    evaluate.add_argument(
        "--root", type=Path, default=Path("data"), metavar="DIR",
        help="where prepare --root put data sets and weights, fit's --data_root (data)",
    )  # fmt: skip
    evaluate.add_argument("--images", action="store_true", help="show every image, not only means")
    evaluate.add_argument("--json", type=Path, metavar="OUT", help="write the numbers here, too")
    evaluate.add_argument("--no-lpips", action="store_true", help="leave out LPIPS")
    evaluate.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (auto)")
    evaluate.add_argument(
        "--precision", default="fp32", choices=("fp32", "bf16", "fp16"), help="of networks (fp32)"
    )

    interpolate = commands.add_parser(
        "interpolate", help="mix a PSNR-oriented and a GAN-based generator",
        description="Write (1 − α)·PSNR + α·GAN, the network interpolation of ESRGAN's paper: "
        "less noise than GAN, more texture than PSNR.",
    )  # fmt: skip
    interpolate.set_defaults(command=_interpolate)
    interpolate.add_argument("psnr", type=Path, metavar="PSNR", help="checkpoint of stage 1")
    interpolate.add_argument("gan", type=Path, metavar="GAN", help="checkpoint of stage 2")
    interpolate.add_argument("--alpha", type=float, default=0.8, help="0 to 1 (0.8)")
    _add_output(interpolate)

    average = commands.add_parser(
        "average", help="average the weights of checkpoints of one run",
        description="Write the mean of the weights of several checkpoints of one run.",
    )  # fmt: skip
    average.set_defaults(command=_average)
    average.add_argument("checkpoints", nargs="+", type=Path, metavar="CHECKPOINT")
    _add_output(average)

    convert = commands.add_parser(
        "convert", help="read any ESRGAN checkpoint, write ours or BasicSR's",
        description="Read the generator of any ESRGAN checkpoint (RRDBNet as BasicSR, mmagic, "
        "neosr, xinntao/ESRGAN, BSRGAN, traiNNer, Lornatang and torch-sr save it; "
        "SRVGGNetCompact) and write it in fp32.",
    )  # fmt: skip
    convert.set_defaults(command=_convert)
    convert.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help=".pth or .safetensors")
    _add_output(convert)
    for command in (evaluate, convert):
        command.add_argument(
            "--scale", type=int, metavar="S",
            help="of the network, where its tensors leave it open: those of x3 look like x2",
        )  # fmt: skip
    return parser


def _add_output(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT",
        help="OUT.safetensors (with its architecture as metadata) or OUT.pth (as BasicSR's)",
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())

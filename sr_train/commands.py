"""The commands of `sr-train`: what they are called with, and what they do.

They import what they need when they run: torch takes seconds, and --help does not need it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sr_runtime.cli.completion import add_print_completion
from sr_runtime.cli.console import LOADING, say, say_waiting
from sr_runtime.cli.parser import Parser, add_command, program_name
from sr_runtime.errors import require_extra
from sr_runtime.storage.atomic import check_target
from sr_train import fit, load_generator
from sr_train.options import (
    WEIGHTS,
    add_average_options,
    add_convert_options,
    add_evaluate_options,
    add_interpolate_options,
    add_prepare_options,
)


def run(words: Sequence[str]) -> int:
    """Run the command that the words of the command line ask for; return its exit code."""
    if list(words[:1]) == ["fit"]:  # its options are the fields of the configuration
        return _fit(words[1:])
    options = vars(parser().parse_args(words))
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
    if arguments.preview is not None:
        with require_extra("train"):
            from sr_train.preview import write_preview

        write_preview(arguments.config, arguments.preview)
        return 0
    resume = arguments.resume is not None
    result = fit(arguments.config, arguments.resume or arguments.run or "", resume=resume)
    return 0 if result.interrupted is None else 128 + result.interrupted


def _prepare(items: Sequence[str], root: Path, source: Path | None, **packing: Any) -> None:
    """Each item is a name of WEIGHTS, or what `sr_train.data.build.prepare` takes."""
    with require_extra("train"):
        from sr_train.data.build.prepare import prepare
        from sr_train.pretrained import prepare_weights

    for item in items:
        if item in WEIGHTS:
            say(f"{item}: {prepare_weights(item, root=root, source=source)}")
        else:
            prepare(item, root=root, source=source, **packing, report=say)


def _evaluate(**options: Any) -> None:
    """Measure PSNR, SSIM and LPIPS of checkpoints and exported models, in one table."""
    with require_extra("train"):
        from sr_train.evaluate import evaluate

    evaluate(**options)


def _interpolate(psnr: Path, gan: Path, alpha: float, output: Path, scale: int | None) -> None:
    """Mix a PSNR-oriented and a GAN-based generator.

    The result is (1 − α)·PSNR + α·GAN, the network interpolation of the ESRGAN paper.
    """
    check_target(output, inputs=[psnr, gan])
    generators = load_generator(psnr, scale=scale), load_generator(gan, scale=scale)
    from sr_train.checkpoint import save_generator
    from sr_train.interpolate import interpolate

    save_generator(interpolate(*generators, alpha), output)
    say(f"{output}: {1 - alpha:g} · {psnr} + {alpha:g} · {gan}")


def _average(checkpoints: Sequence[Path], output: Path, scale: int | None) -> None:
    """Average the weights of several checkpoints, of runs that began with the same weights."""
    check_target(output, inputs=checkpoints)
    generators = [load_generator(path, scale=scale) for path in checkpoints]
    from sr_train.checkpoint import save_generator
    from sr_train.interpolate import average

    save_generator(average(generators), output)
    say(f"{output}: average of {len(generators)} checkpoints")


def _convert(checkpoint: Path, output: Path, scale: int | None, activation: str | None) -> None:
    """Read the generator of any ESRGAN checkpoint and write it in fp32.

    It can be an RRDBNet of BasicSR, mmagic, neosr, xinntao/ESRGAN, BSRGAN, traiNNer, Lornatang or
    torch-sr, an SRVGGNetCompact, a SPAN or a RealPLKSR.
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


def _fill_fit(stub: Parser) -> None:
    with require_extra("train"):
        from sr_train.config.options import add_fit_options

        add_fit_options(stub)


def parser() -> Parser:
    """The command line of this program, of which `fit` reads its own part."""
    program = program_name("sr-train", "sr_train")
    made = Parser(
        prog=program,
        description="Train ESRGAN generators, measure them, and convert any trainer's checkpoints.",
        examples={
            "prepare photos/ --hold-out 0.2": "pack your photos",
            "fit --preset finetune --run mine": "learn from them",
            "evaluate rrdb.pth --data photos/": "measure a model",
        },
        epilog=f"{program} COMMAND --help shows a command's options and examples.",
    )
    commands = made.add_subparsers(title="commands", metavar="COMMAND", required=True)

    prepare = add_command(
        commands,
        "prepare",
        "Fetch data sets and pretrained weights, and pack images for fast training. Done once.",
        {
            "photos/ --hold-out 0.2": "a fifth to validate",
            "photos/ --scale 2": "for training at x2",
            "div2k bsds500": "downloaded",
            "set5 --from downloads/Set5": "on disk already",
            "vgg19 squeezenet1_1 lpips_squeeze --root /data/sr": "",
        },
    )
    prepare.set_defaults(command=_prepare)
    add_prepare_options(prepare)

    fit_stub = commands.add_parser(
        "fit", help="train in two stages, or fine-tune on your own photos"
    )
    add_print_completion(made, fill=lambda: _fill_fit(fit_stub))

    evaluate = add_command(
        commands,
        "evaluate",
        "Measure PSNR, SSIM and LPIPS of checkpoints and exported models, in one table.",
        {
            "runs/demo/weights/best.safetensors --data set5": "",
            "rrdb.pth rrdb.onnx esrgan --data set5 bsds500:test": "",
            "rrdb.pth esrgan --data photos/ --degrade real": "",
            "rrdb.pth --data photos/ --no-lpips --json out.json": "",
        },
    )
    evaluate.set_defaults(command=_evaluate)
    add_evaluate_options(evaluate)

    interpolate = add_command(
        commands,
        "interpolate",
        "Mix a PSNR-oriented and a GAN-based generator. The result is (1 − α)·PSNR + α·GAN, the "
        "network interpolation of the ESRGAN paper.",
        {
            "psnr.safetensors gan.safetensors -o mix.pth": "",
            "psnr.pth gan.pth -o half.pth --alpha 0.5": "",
        },
    )
    interpolate.set_defaults(command=_interpolate)
    add_interpolate_options(interpolate)

    average = add_command(
        commands,
        "average",
        "Average the weights of several checkpoints of one run, or of runs that began with the "
        "same weights.",
        {"80k.safetensors 90k.safetensors -o mean.pth": ""},
    )
    average.set_defaults(command=_average)
    add_average_options(average)

    convert = add_command(
        commands,
        "convert",
        "Read the generator of any ESRGAN checkpoint and write it in fp32. It can be an RRDBNet of "
        "BasicSR, mmagic, neosr, xinntao/ESRGAN, BSRGAN, traiNNer, Lornatang or torch-sr, an "
        "SRVGGNetCompact, a SPAN or a RealPLKSR.",
        {
            "RealESRGAN_x4plus.pth -o x4plus.safetensors": "",
            "3x_model.pth --scale 3 -o 3x_model.safetensors": "",
        },
    )
    convert.set_defaults(command=_convert)
    add_convert_options(convert)
    return made

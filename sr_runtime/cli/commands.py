"""The commands `upscale` and `info`: their options, and what they do."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import PIL.Image

import sr_runtime
from sr_runtime.backends.choice import is_engine
from sr_runtime.backends.registry import names
from sr_runtime.backends.tensorrt.engine_file import read_engine
from sr_runtime.cli.completion import add_program_options
from sr_runtime.cli.console import say_waiting
from sr_runtime.cli.facts import facts_rows
from sr_runtime.cli.info import engine_rows, machine_rows, running_rows
from sr_runtime.cli.parser import (
    Parser,
    nonempty,
    number,
    program_name,
    whole_number,
    whole_number_or,
)
from sr_runtime.cli.rows import say_rows
from sr_runtime.cli.upscale import model_name, upscale_inputs
from sr_runtime.embedded import DEFAULT, EMBEDDED, model_file
from sr_runtime.errors import BackendError, ModelError, OutOfMemoryError
from sr_runtime.image import DEFAULT_MAX_PIXELS, LOSSLESS_FORMATS, QUALITY_FORMATS, Format
from sr_runtime.output_size import OutputSize
from sr_runtime.tileable import Tileable

MODEL = f"{' or '.join(EMBEDDED)}, which come with the package, an ONNX file or a TensorRT engine"


def run(words: Sequence[str]) -> int:
    """Run the command that the words of the command line ask for; return its exit code."""
    arguments = _parser().parse_args(words)
    code: int = arguments.command(arguments)
    return code


def _upscale(arguments: argparse.Namespace) -> int:
    # Pillow would refuse what has more than twice its own limit, before we compare with ours.
    PIL.Image.MAX_IMAGE_PIXELS = None
    size = OutputSize(scale=arguments.scale, width=arguments.width, height=arguments.height)
    with _load(arguments) as upscaler:
        return upscale_inputs(upscaler, arguments, size)


def _info(arguments: argparse.Namespace) -> int:
    say_rows(machine_rows())
    if arguments.blend is not None:
        arguments.model = arguments.model or DEFAULT
    if arguments.model is not None:
        say_rows([("", "")])
        file = model_file(arguments.model)
        if is_engine(file):
            _engine_info(arguments, file)
        else:
            with _load(arguments) as upscaler:
                say_rows(facts_rows(file, upscaler.info))
                say_rows(running_rows(upscaler))
    return 0


def _engine_info(arguments: argparse.Namespace, file: Path) -> None:
    """The facts of an engine, on a machine that does not run it too."""
    _, engine = read_engine(file)
    say_rows(facts_rows(file, engine.model))
    say_rows(engine_rows(engine))
    try:
        with _load(arguments) as upscaler:
            say_rows(running_rows(upscaler))
    except (BackendError, ModelError, OutOfMemoryError) as error:
        say_rows([("runs here on", f"nothing: {error.args[0]}")])


def _load(arguments: argparse.Namespace) -> sr_runtime.Upscaler:
    if not arguments.quiet:
        say_waiting(f"loading {model_name(arguments)}")
    return sr_runtime.load(
        arguments.model,
        backend=arguments.backend,
        device=arguments.device,
        precision=arguments.precision,
        tile=arguments.tile,
        halo=arguments.halo,
        tta=arguments.tta,
        blend=arguments.blend,
    )


def _parser() -> argparse.ArgumentParser:
    program = program_name("sr-upscale", "sr_runtime")
    parser = Parser(
        prog=program,
        description="Upscale images with an ESRGAN model.",
        epilog=f"{program} COMMAND --help shows a command's options and examples.",
    )
    add_program_options(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_upscale(commands, program)
    _add_info(commands, program)
    return parser


def _add_upscale(commands: "argparse._SubParsersAction[Any]", program: str) -> None:
    upscale = _add_command(
        commands,
        "upscale",
        "Upscale images, animations and folders of them.",
        f"""\
examples:
  {program} upscale photo.jpg                      writes photo_x4.png beside it
  {program} upscale photo.jpg -o large.webp        into another format
  {program} upscale holiday/ -o large/             a folder and the folders below it
  {program} upscale holiday/ --keep-format         JPEG in, JPEG out
  {program} upscale photo.jpg --width 3840         to a width in pixels
  {program} upscale photo.jpg -m rrdb.onnx --device cuda:0""",
    )
    upscale.set_defaults(command=_upscale)
    upscale.add_argument(
        "inputs", nargs="+", type=nonempty, metavar="INPUT",
        help="an image, a folder of images, a pattern such as '*.jpg', or - for standard input",
    )  # fmt: skip
    upscale.add_argument(
        "-o", "--output", type=nonempty, metavar="OUT",
        help="the file to write, in the format of its suffix; or the folder to write into, if it "
        "exists, if OUT has no suffix or ends in a slash, or for several images; or - for standard "
        "output (default: photo_x4.png beside photo.jpg, holiday_x4/ beside holiday/, and with "
        "another model its name too: photo_psnr_x4.png)",
    )  # fmt: skip
    upscale.add_argument(
        "-m", "--model", type=nonempty, default=DEFAULT, help=f"{MODEL} (default: %(default)s)"
    )
    size = upscale.add_mutually_exclusive_group()
    size.add_argument(
        "--scale", type=number, metavar="S", help="size of the result over the input's (default: "
        "the model's scale)",
    )  # fmt: skip
    size.add_argument(
        "--width", type=whole_number, metavar="W", help="width of the result in pixels"
    )
    size.add_argument(
        "--height", type=whole_number, metavar="H", help="height of the result in pixels"
    )
    upscale.add_argument(
        "--name", type=nonempty, metavar="TEMPLATE",
        help="name of results that -o does not name, with {stem}, {model}, {scale}, {width}, "
        "{height} and {format}, as in '{stem}_{model}_x{scale}'",
    )  # fmt: skip
    formats = upscale.add_mutually_exclusive_group()
    formats.add_argument(
        "--keep-format", action="store_true",
        help="give each result the format of its input where it can be written, else png",
    )  # fmt: skip
    formats.add_argument(
        "--format", choices=get_args(Format),
        help="format of results that -o does not name (default: png; animations keep theirs)",
    )  # fmt: skip
    upscale.add_argument(
        "--quality", type=whole_number_or("lossless"), metavar="Q",
        help=f"1 to 100, for {', '.join(QUALITY_FORMATS)} (default: 95), or lossless, for "
        f"{', '.join(LOSSLESS_FORMATS)}",
    )  # fmt: skip
    upscale.add_argument(
        "--tileable", choices=get_args(Tileable),
        help="for textures: x if copies side by side continue each other, y if copies below each "
        "other do, or xy; those of the result do then, too",
    )  # fmt: skip
    upscale.add_argument(
        "--tta", action="store_true",
        help="average over 8 flips and rotations: slightly better, 8 times slower",
    )  # fmt: skip
    upscale.add_argument(
        "--skip-existing", action="store_true",
        help="skip images whose result exists, whoever made it, and what is named as one: this "
        "continues a run that was interrupted",
    )  # fmt: skip
    upscale.add_argument(
        "--max-pixels", type=whole_number, default=DEFAULT_MAX_PIXELS, metavar="N",
        help="refuse images of more pixels, all frames counted (default: %(default)s)",
    )  # fmt: skip
    upscale.add_argument(
        "-q", "--quiet", action="store_true", help="print no progress bar and no summary"
    )
    _add_engine_options(upscale)


def _add_info(commands: "argparse._SubParsersAction[Any]", program: str) -> None:
    info = _add_command(
        commands,
        "info",
        "Show which backends work on this machine, and the facts of a model and its memory.",
        f"""\
examples:
  {program} info                 this machine
  {program} info esrgan          and a model that comes with the package
  {program} info rrdb.onnx --device cuda:0""",
    )
    info.set_defaults(command=_info, tta=False, quiet=False)
    info.add_argument(
        "model", nargs="?", type=nonempty, metavar="MODEL", help=f"{MODEL} (default: no model)"
    )
    _add_engine_options(info)


def _add_command(
    commands: "argparse._SubParsersAction[Any]", name: str, description: str, examples: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=description[0].lower() + description[1:].rstrip("."),
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def _add_engine_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--blend", type=number, metavar="B",
        help="mix the results of the embedded models, from 0 (psnr) to 1 (esrgan); takes twice as "
        "long",
    )  # fmt: skip
    group = parser.add_argument_group("how the model runs")
    group.add_argument(
        "--backend", type=nonempty, default="auto", metavar="NAME",
        help=f"{', '.join(names())}, plugin:NAME for a plug-in of ONNX Runtime, or auto: the "
        "fastest that works here and is ready within seconds (default: auto)",
    )  # fmt: skip
    group.add_argument(
        "--device", type=nonempty, default="auto", metavar="NAME",
        help="cpu, a kind of device and its number as cuda:0 or webgpu:0, several as in "
        "cuda:0,cuda:1, or auto: a GPU before the CPU (default: auto)",
    )  # fmt: skip
    group.add_argument(
        "--precision", type=nonempty, default="auto", metavar="TYPE",
        help="fp32 or bf16 on a CPU, the model file's own fp32 or fp16 on a GPU, or auto: the "
        "fastest (default: auto)",
    )  # fmt: skip
    group.add_argument(
        "-t", "--tile", default="auto", type=whole_number_or("auto"), metavar="N",
        help="largest side of a tile in input pixels, halo included; smaller tiles take less "
        "memory (default: auto)",
    )  # fmt: skip
    group.add_argument(
        "--halo", default="auto", type=whole_number_or("auto", "exact"), metavar="N",
        help="context around a tile in input pixels: a number, auto (within 1/255 of the whole "
        "image's result) or exact (equal to it, but slower) (default: auto)",
    )  # fmt: skip

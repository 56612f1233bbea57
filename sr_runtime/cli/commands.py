"""The commands `upscale`, `info` and `models`: what they are called with, and what they do."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import PIL.Image

import sr_runtime
from sr_runtime.backends.choice import is_engine
from sr_runtime.backends.onnx_metadata import declared_inputs
from sr_runtime.backends.tensorrt.engine_file import read_engine
from sr_runtime.cli.completion import add_print_completion
from sr_runtime.cli.console import say_waiting
from sr_runtime.cli.facts import facts_rows
from sr_runtime.cli.info import engine_rows, machine_rows, running_rows
from sr_runtime.cli.models import say_models
from sr_runtime.cli.options import add_info_options, add_models_options, add_upscale_options
from sr_runtime.cli.parser import Parser, add_command, program_name
from sr_runtime.cli.rows import say_rows
from sr_runtime.cli.upscale import model_name, upscale_inputs
from sr_runtime.embedded import DEFAULT, model_file
from sr_runtime.errors import BackendError, ModelError, OutOfMemoryError
from sr_runtime.file_kinds import refuse_other_kinds
from sr_runtime.output_size import OutputSize


def run(words: Sequence[str]) -> int:
    """Run the command that the words of the command line ask for; return its exit code."""
    arguments = parser().parse_args(words)
    code: int = arguments.command(arguments)
    return code


def _upscale(arguments: argparse.Namespace) -> int:
    # Pillow would refuse what has more than twice its own limit, before we compare with ours.
    PIL.Image.MAX_IMAGE_PIXELS = None
    size = OutputSize(scale=arguments.scale, width=arguments.width, height=arguments.height)
    with _load(arguments) as upscaler:
        return upscale_inputs(upscaler, arguments, size)


def _info(arguments: argparse.Namespace) -> int:
    if arguments.blend is not None:
        arguments.model = arguments.model or DEFAULT
    file = None if arguments.model is None else model_file(arguments.model)
    if file is not None and not is_engine(file):
        refuse_other_kinds(file)  # before many lines about the machine
    say_rows(machine_rows())
    if file is not None:
        say_rows([("", "")])
        if is_engine(file):
            _engine_info(arguments, file)
        else:
            with _load(arguments) as upscaler:
                (source,) = declared_inputs(file)[0]
                say_rows(facts_rows(file, upscaler.info, source.shape))
                say_rows(running_rows(upscaler))
    return 0


def _models(arguments: argparse.Namespace) -> int:
    say_models(as_json=arguments.json)
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


def parser() -> Parser:
    """The command line of this program."""
    program = program_name("sr-upscale", "sr_runtime")
    made = Parser(
        prog=program,
        description="Make photos and other images larger, in crisp detail.",
        examples={
            "upscale photo.jpg": "makes photo_x4.png",
            "info": "what runs on this machine",
            "models": "which models there are",
        },
        epilog=f"{program} COMMAND --help shows a command's options and examples.",
    )
    add_print_completion(made)
    commands = made.add_subparsers(title="commands", metavar="COMMAND", required=True)
    upscale = add_command(
        commands,
        "upscale",
        "Upscale images, animations and folders of them.",
        {
            "photo.jpg": "makes photo_x4.png",
            "photo.jpg -o big.webp": "in another format",
            "photo.jpg --width 3840": "as wide as a screen",
            "photo.jpg -m esrgan": "for sharp, clean photos",
            "holiday/ -o large/": "subfolders too",
            "holiday/ --keep-format": "JPEG in, JPEG out",
            "holiday/ -o large/ --resume": "",
            "clip.mp4": "makes clip_x4.mp4",
            "photo.jpg -m rrdb.onnx --device cuda:0": "",
        },
    )
    upscale.set_defaults(command=_upscale)
    add_upscale_options(upscale)
    info = add_command(
        commands,
        "info",
        "Show which backends work on this machine, and the facts of a model and its memory.",
        {
            "": "this machine",
            "esrgan": "and a model that comes with the package",
            "rrdb.onnx --device cuda:0": "",
        },
    )
    info.set_defaults(command=_info, tta=False, quiet=False)
    add_info_options(info)
    models = add_command(
        commands,
        "models",
        "List the models that have a name: those of the package, and NAME.onnx in your folder of "
        "models, which is $SR_MODELS or a folder of the system's for your data. No model is "
        "opened.",
        {"": "a table", "--json": "for a program"},
    )
    models.set_defaults(command=_models)
    add_models_options(models)
    return made

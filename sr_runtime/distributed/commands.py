"""The command line `python -m sr_runtime.distributed upscale`; what it does is in `upscale`."""

import argparse
from collections.abc import Sequence

from sr_runtime.cli.options import add_upscale_options
from sr_runtime.cli.parser import Parser, add_command, nonempty, number, whole_number

__all__ = ["parser", "run"]


def run(words: Sequence[str]) -> int:
    """Run the command that the words of the command line ask for; return its exit code."""
    arguments = parser().parse_args(words)
    code: int = arguments.command(arguments)
    return code


def parser() -> Parser:
    """The command line of this program."""
    made = Parser(
        prog="python -m sr_runtime.distributed",
        description="Upscale on many machines at once, by Ray.",
        examples={"upscale photos/ -o large/": ""},
    )
    commands = made.add_subparsers(title="commands", metavar="COMMAND", required=True)
    upscale = add_command(
        commands,
        "upscale",
        "Upscale images and folders of them with the workers of a Ray cluster. All machines see "
        "the files by the same paths, or they are in an object store.",
        {
            "photos/ -o large/": "",
            "photos/ -o large/ --address local": "",
            "s3://bucket/in -o s3://bucket/out": "",
        },
    )
    upscale.set_defaults(command=_upscale)
    add_upscale_options(upscale)
    add = upscale.add_argument_group("on which machines").add_argument
    add(
        "--address", type=nonempty, default="auto", metavar="WHERE",
        help="auto: the cluster that this machine belongs to; local: only this machine; or the "
        "address of a cluster, HOST:PORT (default: auto)",
    )  # fmt: skip
    add(
        "--num-gpus", type=number, metavar="G",
        help="GPUs of each worker, such as 0.5 for two workers on one (default: 1, or 0 in a "
        "cluster without GPUs)",
    )  # fmt: skip
    add(
        "--concurrency", type=whole_number, metavar="N",
        help="workers, each of which holds the model (default: one for each GPU, or one for each "
        "machine)",
    )  # fmt: skip
    return made


def _upscale(arguments: argparse.Namespace) -> int:
    # Ray takes a second, and --help does not need it.
    from sr_runtime.distributed.upscale import upscale_inputs

    return upscale_inputs(arguments)

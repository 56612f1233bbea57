"""The options of `onnx`, `catalogue`, `engine`, `triton`, `verify` and `card`.

They are the arguments of the function that does the command's work.
"""

import argparse
from typing import Any, get_args

from sr_export.report import DEFAULT_OPSET, Precision
from sr_runtime.backends import registry
from sr_runtime.backends.tensorrt.options import (
    CARDS,
    DEFAULT_LEVEL,
    DEFAULT_PROFILE,
    LIBRARIES,
    HardwareCompatible,
    sm_text,
)
from sr_runtime.cli.completion import suggest, suggest_models
from sr_runtime.cli.parser import Parser, nonempty, path, whole_number
from sr_runtime.embedded import EMBEDDED
from sr_runtime.model_info import IO
from sr_runtime.printable import listed
from sr_train.options import add_network_options

__all__ = [
    "add_card_options",
    "add_catalogue_options",
    "add_engine_options",
    "add_onnx_options",
    "add_triton_options",
    "add_verify_options",
]

NAME = f"the name of one ({listed(EMBEDDED)} come with the package)"


def _add_checkpoint(parser: Parser) -> None:
    parser.add_argument(
        "checkpoint", type=path, metavar="CHECKPOINT", help="any trainer's .pth or .safetensors"
    )


def add_onnx_options(command: Parser) -> None:
    """Add what `onnx` takes."""
    _add_checkpoint(command)
    add = command.add_argument
    add("-o", "--output", type=path, required=True, metavar="MODEL.onnx", help="the file to write")
    add(
        "--install", action=_Install, nargs="?", const=True, type=nonempty, metavar="NAME",
        help="put the file into your folder of models too, from where every command takes it as "
        "NAME; -o may then be left out (default: the name of OUTPUT or CHECKPOINT, if --install "
        "is given)",
    )  # fmt: skip
    _add_types(command)
    add(
        "--opset", type=whole_number, default=DEFAULT_OPSET, metavar="N",
        help="version of the ONNX operator set, 18 to 25 (default: %(default)s)",
    )  # fmt: skip
    add(
        "--tile-size", type=whole_number, metavar="N", help="make the model for NxN pixels only "
        "(default: for any size; 192 for the few networks that are exported for only one size)",
    )  # fmt: skip
    add(
        "--calibrate", dest="calibration", type=path, metavar="DIR", help="images on which the "
        "halo is measured, 256x256 or larger (default: three photos that are shipped)",
    )  # fmt: skip
    add_network_options(command)


def _add_types(command: Parser) -> None:
    add = command.add_argument
    add(
        "--precision", choices=get_args(Precision), default="fp32",
        help="how weights are stored; fp16 is for GPUs (default: %(default)s)",
    )  # fmt: skip
    add(
        "--io", choices=get_args(IO), default="float32",
        help="what the model takes and returns: float32, NxCxHxW in [0, 1], or uint8, NxHxWxC, "
        "rounded by the model (default: %(default)s)",
    )  # fmt: skip


class _Install(argparse.Action):
    """A name, for which -o can be left out."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        setattr(namespace, self.dest, values)
        parser._option_string_actions["-o"].required = False


def add_catalogue_options(command: Parser) -> None:
    """Add what `catalogue` takes."""
    add = command.add_argument
    add("folder", type=path, metavar="FOLDER", help="checkpoints, also in folders inside it")
    add(
        "-o", "--output", type=path, required=True, metavar="OUT",
        help="the folder of the exports and the tables; one that is there goes on",
    )  # fmt: skip
    _add_types(command)
    add("--again", action="store_true", help="try once more what failed before")


def add_engine_options(command: Parser) -> None:
    """Add what `engine` takes."""
    add = command.add_argument
    model = add(
        "model", type=nonempty, metavar="MODEL",
        help=f"ONNX file exported with --precision fp16 or {NAME}, or any trainer's .pth or "
        ".safetensors",
    )  # fmt: skip
    suggest_models(model)
    add(
        "-o", "--output", type=path, required=True, metavar="MODEL.engine",
        help="the file to write",
    )  # fmt: skip
    add(
        "--for", dest="library", choices=LIBRARIES, default="tensorrt",
        help="the library that runs the engine: TensorRT, or TensorRT for RTX (default: "
        "%(default)s)",
    )  # fmt: skip
    add(
        "--device", type=nonempty, metavar="cuda:N",
        help="the GPU (default: cuda:0; with --for rtx it only verifies the engine, by default the "
        "first that can run it, if there is one)",
    )  # fmt: skip
    add(
        "--workspace", type=nonempty, metavar="SIZE",
        help="most GPU memory for a layer's scratch space, 4G for instance (default: no limit)",
    )  # fmt: skip
    add(
        "--io",
        choices=get_args(IO),
        help="as for onnx, if MODEL is a checkpoint (default: float32)",
    )
    add_network_options(command)
    add = command.add_argument_group(
        "tiles, as BATCHxHEIGHTxWIDTH with the halo included"
    ).add_argument
    for name, what in (("min", "smallest"), ("opt", "fastest"), ("max", "largest")):
        add(
            f"--{name}", type=nonempty, metavar="NxHxW",
            default=str(getattr(DEFAULT_PROFILE, name)),
            help=f"the {what} shape (default: %(default)s)",
        )  # fmt: skip
    cards = "; ".join(f"{sm_text([sm])}: {card}" for sm, card in CARDS.items())
    command.add_argument_group("with --for rtx").add_argument(
        "--sm", type=nonempty, metavar="SM,SM",
        help=f"compute capabilities of the cards ({cards}), or all. They share one program, and "
        "with 75 among them it is that of 75 (default: all but 75)",
    )  # fmt: skip
    add = command.add_argument_group("with --for tensorrt").add_argument
    add(
        "--timing-cache", type=path, metavar="FILE",
        help="measurements of earlier builds, read and added to: the next build is faster",
    )  # fmt: skip
    add(
        "--level", type=whole_number, default=DEFAULT_LEVEL, metavar="N",
        help="how long TensorRT searches for fast kernels, 0 to 5 (default: %(default)s)",
    )  # fmt: skip
    add(
        "--version-compatible", action="store_true",
        help="build for later versions of TensorRT too, and for its lean runtime",
    )  # fmt: skip
    add(
        "--hardware-compatible", choices=get_args(HardwareCompatible), default="none",
        help="GPUs that can run it: none: this model of GPU; ampere+: compute capability 8.0 and "
        "newer; same: this compute capability (default: %(default)s)",
    )  # fmt: skip


def add_triton_options(command: Parser) -> None:
    """Add what `triton` takes."""
    add = command.add_argument
    model = add(
        "model", type=nonempty, metavar="MODEL",
        help=f".onnx or {NAME}, or TensorRT's .engine or .plan, not RTX's",
    )  # fmt: skip
    suggest_models(model)
    add(
        "-o", "--output", dest="repository", type=path, required=True, metavar="REPOSITORY",
        help="the folder of all models; created if it does not exist",
    )  # fmt: skip
    add("--name", type=nonempty, required=True, help="what clients call the model")
    add(
        "--instances", type=whole_number, metavar="N",
        help="copies that run at once on each GPU (default: 1); only for a new name",
    )  # fmt: skip
    add(
        "--max-batch", type=whole_number, metavar="N",
        help="most images in one batch (default: what the engine takes, 4 for an ONNX file); only "
        "for a new name",
    )  # fmt: skip


def add_verify_options(command: Parser) -> None:
    """Add what `verify` takes."""
    _add_checkpoint(command)
    model = command.add_argument(
        "model", type=nonempty, metavar="MODEL",
        help=f".onnx or {NAME}",
    )  # fmt: skip
    suggest_models(model)
    backend = command.add_argument(
        "--backend", type=nonempty, default="auto", metavar="NAME",
        help="inference engine that runs the model on the CPU: auto, "
        f"{', '.join(registry.names('cpu'))} (default: auto)",
    )  # fmt: skip
    suggest(backend, "auto", *registry.names("cpu"))
    add_network_options(command)


def add_card_options(command: Parser) -> None:
    """Add what `card` takes."""
    add = command.add_argument
    model = add(
        "model", type=nonempty, metavar="MODEL",
        help=f".onnx or {NAME}",
    )  # fmt: skip
    suggest_models(model)
    add(
        "-o", "--output", type=path, metavar="README.md",
        help="the file to write (default: standard output)",
    )  # fmt: skip
    add(
        "--checkpoint", type=path, metavar="CHECKPOINT",
        help="verify the model against its checkpoint now, and put what was measured into the card "
        "(default: the card says that this is not stated)",
    )  # fmt: skip
    add_network_options(command)

"""The commands `onnx`, `engine`, `triton` and `verify`: their options, and what they print.

The options of a command are the arguments of the function in `sr_export` that does its work.
"""

import argparse
import re
from collections.abc import Callable, Sequence
from typing import Any, get_args

import sr_export
from sr_export.report import DEFAULT_OPSET, Precision, table
from sr_export.stages import StageLines
from sr_runtime.backends import registry
from sr_runtime.backends.tensorrt.options import (
    CARDS,
    DEFAULT_LEVEL,
    DEFAULT_PROFILE,
    LIBRARIES,
    NAMES,
    HardwareCompatible,
    Profile,
    cards_text,
    parse_sm,
    sm_text,
)
from sr_runtime.cli.completion import add_program_options
from sr_runtime.cli.console import LOADING, say, say_waiting
from sr_runtime.cli.parser import Parser, nonempty, path, program_name, whole_number
from sr_runtime.errors import ArgumentError
from sr_runtime.model_info import IO

EXAMPLES = """\
examples:
  sr-export onnx RRDB_ESRGAN_x4.pth -o esrgan.onnx
  sr-export onnx RRDB_ESRGAN_x4.pth -o esrgan_fp16.onnx --precision fp16
  sr-export engine esrgan_fp16.onnx -o esrgan.engine --max 4x512x512
  sr-export engine RRDB_ESRGAN_x4.pth -o esrgan_rtx.engine --for rtx
  sr-export triton esrgan.onnx -o repository --name esrgan_x4
  sr-export verify RRDB_ESRGAN_x4.pth esrgan.onnx

sr-export COMMAND --help explains every option. From Python: import sr_export; help(sr_export).
"""


def run(words: Sequence[str]) -> int:
    """Run the command that the words of the command line ask for; return its exit code."""
    options = vars(_parser().parse_args(words))
    say_waiting(LOADING)
    command: Callable[..., None] = options.pop("command")
    try:
        command(**options)
    except sr_export.VerificationError as error:
        say(*table(error.checks))
        raise
    return 0


def _onnx(**options: Any) -> None:
    with StageLines() as progress:
        report = sr_export.export_onnx(**options, progress=progress)
    say(*table(report.checks))
    say(
        f"{report.output}: {report.arch} ×{report.scale}, {report.parameters / 1e6:.2f} M "
        f"parameters, halo {report.halo} (exact {report.receptive_radius or 'not known'}), "
        f"{report.bytes / 1e6:.1f} MB, verified"
    )


def _engine(
    *, library: str, sm: str | None, min: str, opt: str, max: str, workspace: str | None,
    **options: Any,
) -> None:  # fmt: skip
    options["kind"] = kind = LIBRARIES[library]
    options["compute_capabilities"] = () if sm is None else parse_sm(sm)
    options["profile"] = Profile.parse(min, opt, max)
    options["workspace"] = None if workspace is None else _bytes(workspace)
    with StageLines() as progress:
        report = sr_export.build_engine(**options, progress=progress)
    info = report.info
    say(*table(report.checks))
    if report.not_run is not None:
        say(f"not run: the engine itself, only its graph was verified: {report.not_run}")
    say(
        f"{report.output}: {report.bytes / 1e6:.1f} MB, "
        f"{'verified' if report.not_run is None else 'its graph is verified'}; for {NAMES[kind]} "
        f"{info.tensorrt} on {info.gpu or cards_text(info.compute_capabilities)}"
    )


def _triton(**options: Any) -> None:
    version = sr_export.triton_repository(**options)
    say(f"{version.folder}: ready for {version.server_command}")


def _verify(**options: Any) -> None:
    say(*table(sr_export.verify(**options)))


def _bytes(text: str) -> int:
    """512M, 4G, …: powers of 1024."""
    match = re.fullmatch(r"(\d{1,15}(?:\.\d+)?)([KMGT]?)", text, re.IGNORECASE)
    if match is None:
        raise ArgumentError(f"--workspace {text!r} is not a size: give 512M or 4G, for instance")
    return int(float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " "))


def _parser() -> argparse.ArgumentParser:
    program = program_name("sr-export", "sr_export")
    parser = Parser(
        prog=program,
        description="Turn any ESRGAN checkpoint into a verified ONNX model or TensorRT engine.",
        epilog=EXAMPLES.replace("sr-export", program),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_program_options(parser)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_onnx(commands)
    _add_engine(commands)
    _add_triton(commands)
    _add_verify(commands)
    return parser


def _add_command(
    commands: Any, name: str, run: Callable[..., None], description: str
) -> argparse.ArgumentParser:
    summary = description.split(". ")[0].rstrip(".")
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary[0].lower() + summary[1:], description=description
    )
    parser.set_defaults(command=run)
    return parser


def _add_checkpoint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "checkpoint", type=path, metavar="CHECKPOINT", help="any trainer's .pth or .safetensors"
    )
    _add_what_files_leave_open(parser.add_argument)


def _add_what_files_leave_open(add: Callable[..., Any]) -> None:
    add(
        "--scale", type=whole_number, metavar="S",
        help="scale of the network; needed only for x3, whose weights look like those of x2",
    )  # fmt: skip
    add(
        "--activation", choices=("relu", "leakyrelu"),
        help="needed only for an SRVGGNetCompact without PReLU, whose file does not name it",
    )  # fmt: skip


def _add_onnx(commands: Any) -> None:
    description = "Export a checkpoint to ONNX and verify the file. One that fails is not written."
    parser = _add_command(commands, "onnx", _onnx, description)
    _add_checkpoint(parser)
    add = parser.add_argument
    add("-o", "--output", type=path, required=True, metavar="MODEL.onnx")
    add(
        "--precision", choices=get_args(Precision), default="fp32",
        help="how weights are stored; fp16 is for GPUs (default: %(default)s)",
    )  # fmt: skip
    add(
        "--io", choices=get_args(IO), default="float32", help="float32: NxCxHxW in [0, 1]; uint8: "
        "NxHxWxC, rounded by the model (default: %(default)s)",
    )  # fmt: skip
    add(
        "--opset", type=whole_number, default=DEFAULT_OPSET, metavar="N",
        help="version of the ONNX operator set, 18 to 25 (default: %(default)s)",
    )  # fmt: skip
    add(
        "--calibrate", dest="calibration", type=path, metavar="DIR", help="images on which the "
        "halo is measured, 256x256 or larger (default: three photos that are shipped)",
    )  # fmt: skip


def _add_engine(commands: Any) -> None:
    description = (
        "Build an FP16 engine and verify it: with TensorRT within minutes, on and for a GPU of "
        "this machine; with TensorRT for RTX within seconds, on any machine, for many cards. If "
        "that fails, nothing is written. Ctrl-C cancels."
    )
    parser = _add_command(commands, "engine", _engine, description)
    add = parser.add_argument
    add(
        "model", type=nonempty, metavar="MODEL",
        help="ONNX file exported with --precision fp16, esrgan or psnr, which the package carries, "
        "or any trainer's .pth or .safetensors",
    )  # fmt: skip
    add("-o", "--output", type=path, required=True, metavar="MODEL.engine")
    add(
        "--for", dest="library", choices=LIBRARIES, default="tensorrt",
        help="the library that runs it (default: %(default)s)",
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
    add("--io", choices=get_args(IO), help="as for onnx; only for a checkpoint (default: float32)")
    _add_what_files_leave_open(add)
    add = parser.add_argument_group(
        "tiles, as BATCHxHEIGHTxWIDTH with the halo included"
    ).add_argument
    for name, what in (("min", "smallest"), ("opt", "fastest"), ("max", "largest")):
        add(
            f"--{name}", type=nonempty, metavar="NxHxW",
            default=str(getattr(DEFAULT_PROFILE, name)),
            help=f"the {what} shape (default: %(default)s)",
        )  # fmt: skip
    cards = "; ".join(f"{sm_text([sm])}: {card}" for sm, card in CARDS.items())
    parser.add_argument_group("with --for rtx").add_argument(
        "--sm", type=nonempty, metavar="SM,SM",
        help=f"compute capabilities of the cards ({cards}), or all. They share one program, and "
        "with 75 among them it is that of 75 (default: all but 75)",
    )  # fmt: skip
    add = parser.add_argument_group("with --for tensorrt").add_argument
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
        help="build for other versions of TensorRT too, and for its lean runtime",
    )  # fmt: skip
    add(
        "--hardware-compatible", choices=get_args(HardwareCompatible), default="none",
        help="GPUs that can run it: none: this model of GPU; ampere+: compute capability 8.0 and "
        "newer; same: this compute capability (default: %(default)s)",
    )  # fmt: skip


def _add_triton(commands: Any) -> None:
    description = (
        "Put an ONNX file or an engine into a model repository of Triton Inference Server. A name "
        "that is there already gets one more version; none is replaced."
    )
    add = _add_command(commands, "triton", _triton, description).add_argument
    add(
        "model", type=nonempty, metavar="MODEL",
        help=".onnx, esrgan or psnr, which the package carries, or TensorRT's .engine or .plan, "
        "not RTX's",
    )  # fmt: skip
    add("-o", "--output", dest="repository", type=path, required=True, metavar="REPOSITORY")
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


def _add_verify(commands: Any) -> None:
    description = "Compare an ONNX file with its checkpoint, and print what was measured."
    parser = _add_command(commands, "verify", _verify, description)
    _add_checkpoint(parser)
    parser.add_argument(
        "model", type=nonempty, metavar="MODEL",
        help=".onnx, or esrgan or psnr, which the package carries",
    )  # fmt: skip
    parser.add_argument(
        "--backend", type=nonempty, default="auto", metavar="NAME",
        help="inference engine that runs the model on the CPU: auto, "
        f"{', '.join(registry.names('cpu'))} (default: auto)",
    )  # fmt: skip

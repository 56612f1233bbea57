"""The command line: `python -m sr_export onnx …`, `engine …`, `triton …` and `verify …`."""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

import sr_export
import sr_runtime
from sr_export.report import DEFAULT_OPSET, Precision, table
from sr_export.stages import StageLines
from sr_runtime.backends import registry
from sr_runtime.backends.tensorrt.options import (
    DEFAULT_LEVEL,
    DEFAULT_PROFILE,
    HardwareCompatible,
    Profile,
)
from sr_runtime.cli.console import run_cli
from sr_runtime.errors import ArgumentError
from sr_runtime.model_info import IO

AddParser = Callable[..., argparse.ArgumentParser]

EXAMPLES = """\
examples:
  sr-export onnx RRDB_ESRGAN_x4.pth -o esrgan.onnx
  sr-export onnx RRDB_ESRGAN_x4.pth -o esrgan_fp16.onnx --precision fp16
  sr-export engine esrgan_fp16.onnx -o esrgan.engine --max 4x512x512
  sr-export triton esrgan.onnx -o repository --name esrgan_x4
  sr-export verify RRDB_ESRGAN_x4.pth esrgan.onnx

sr-export COMMAND --help explains every option. From Python: import sr_export; help(sr_export).
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    arguments = _parser().parse_args(argv)
    return run_cli(lambda: _run(arguments.command, arguments))


def _run(command: Callable[[argparse.Namespace], None], arguments: argparse.Namespace) -> int:
    try:
        command(arguments)
    except sr_export.VerificationError as error:
        print(table(error.checks))
        raise
    return 0


def _onnx(arguments: argparse.Namespace) -> None:
    with StageLines() as progress:
        report = sr_export.export_onnx(
            arguments.checkpoint,
            arguments.output,
            precision=arguments.precision,
            io=arguments.io,
            scale=arguments.scale,
            opset=arguments.opset,
            calibration=arguments.calibrate,
            progress=progress,
        )
    print(table(report.checks))
    print(
        f"{report.output}: {report.arch} ×{report.scale}, {report.parameters / 1e6:.2f} M "
        f"parameters, halo {report.halo} (exact {report.receptive_radius or 'not known'}), "
        f"{report.bytes / 1e6:.1f} MB, verified"
    )


def _engine(arguments: argparse.Namespace) -> None:
    profile = Profile.parse(arguments.min, arguments.opt, arguments.max)
    workspace = None if arguments.workspace is None else _bytes(arguments.workspace)
    with StageLines() as progress:
        report = sr_export.build_engine(
            arguments.model,
            arguments.output,
            profile=profile,
            io=arguments.io,
            scale=arguments.scale,
            level=arguments.level,
            workspace=workspace,
            timing_cache=arguments.timing_cache,
            version_compatible=arguments.version_compatible,
            hardware_compatible=arguments.hardware_compatible,
            device=arguments.device,
            progress=progress,
        )
    print(table(report.checks))
    print(
        f"{report.output}: {report.bytes / 1e6:.1f} MB, verified; for TensorRT "
        f"{report.info.tensorrt} on {report.info.gpu}"
    )


def _triton(arguments: argparse.Namespace) -> None:
    version = sr_export.triton_repository(
        arguments.model,
        arguments.output,
        arguments.name,
        instances=arguments.instances,
        max_batch=arguments.max_batch,
    )
    print(f"{version.folder}: ready for {version.server_command}")


def _verify(arguments: argparse.Namespace) -> None:
    checks = sr_export.verify(
        arguments.checkpoint, arguments.model, scale=arguments.scale, backend=arguments.backend
    )
    print(table(checks))


def _bytes(text: str) -> int:
    """512M, 4G, …: powers of 1024."""
    match = re.fullmatch(r"(\d{1,15}(?:\.\d+)?)([KMGT]?)", text, re.IGNORECASE)
    if match is None:
        raise ArgumentError(f"--workspace {text!r} is not a size: give 512M or 4G, for instance")
    return int(float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " "))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sr-export",
        description="Turn any ESRGAN checkpoint into a verified ONNX model or TensorRT engine.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=sr_runtime.__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_onnx(commands.add_parser)
    _add_engine(commands.add_parser)
    _add_triton(commands.add_parser)
    _add_verify(commands.add_parser)
    return parser


def _add_checkpoint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "checkpoint", type=Path, metavar="CHECKPOINT", help="any trainer's .pth or .safetensors"
    )
    _add_scale(parser)


def _add_scale(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scale",
        type=int,
        metavar="S",
        help="scale of the network; needed only for x3, whose weights look like those of x2",
    )


def _add_onnx(add_parser: AddParser) -> None:
    parser = add_parser(
        "onnx",
        help="export a checkpoint to ONNX and verify the file",
        description="Export a checkpoint to ONNX and verify the file. If that fails, nothing is "
        "written.",
    )
    parser.set_defaults(command=_onnx)
    _add_checkpoint(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="MODEL.onnx")
    parser.add_argument(
        "--precision",
        choices=get_args(Precision),
        default="fp32",
        help="how weights are stored; fp16 is for GPUs (default: %(default)s)",
    )
    parser.add_argument(
        "--io",
        choices=get_args(IO),
        default="float32",
        help="float32: NxCxHxW in [0, 1]; uint8: NxHxWxC, rounded by the model (default: "
        "%(default)s)",
    )
    parser.add_argument(
        "--opset",
        type=int,
        default=DEFAULT_OPSET,
        metavar="N",
        help="version of the ONNX operator set, 18 to 25 (default: %(default)s)",
    )
    parser.add_argument(
        "--calibrate",
        type=Path,
        metavar="DIR",
        help="images on which the halo is measured, 256x256 or larger (default: three photos that "
        "are shipped)",
    )


def _add_engine(add_parser: AddParser) -> None:
    parser = add_parser(
        "engine",
        help="build a TensorRT engine for a GPU of this machine and verify it",
        description="Build an FP16 TensorRT engine on and for a GPU of this machine, and verify it "
        "there. If that fails, nothing is written. Ctrl-C cancels.",
    )
    parser.set_defaults(command=_engine)
    parser.add_argument(
        "model",
        type=Path,
        metavar="MODEL",
        help="ONNX file exported with --precision fp16, or any trainer's .pth or .safetensors",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="MODEL.engine")
    parser.add_argument(
        "--device", default="cuda:0", metavar="cuda:N", help="the GPU (default: %(default)s)"
    )
    profile = parser.add_argument_group("tiles, as BATCHxHEIGHTxWIDTH with the halo included")
    for name, what in (("min", "smallest"), ("opt", "fastest"), ("max", "largest")):
        profile.add_argument(
            f"--{name}",
            default=str(getattr(DEFAULT_PROFILE, name)),
            metavar="NxHxW",
            help=f"the {what} shape (default: %(default)s)",
        )
    parser.add_argument(
        "--workspace",
        metavar="SIZE",
        help="most GPU memory for a layer's scratch space, 4G for instance (default: no limit)",
    )
    parser.add_argument(
        "--timing-cache",
        type=Path,
        metavar="FILE",
        help="measurements of earlier builds, read and added to: the next build is faster",
    )
    parser.add_argument(
        "--level",
        type=int,
        default=DEFAULT_LEVEL,
        metavar="N",
        help="how long TensorRT searches for fast kernels, 0 to 5 (default: %(default)s)",
    )
    parser.add_argument(
        "--version-compatible",
        action="store_true",
        help="build for other versions of TensorRT too, and for its lean runtime",
    )
    parser.add_argument(
        "--hardware-compatible",
        choices=get_args(HardwareCompatible),
        default="none",
        help="GPUs that can run it: none: this model of GPU; ampere+: compute capability 8.0 and "
        "newer; same: this compute capability (default: %(default)s)",
    )
    parser.add_argument(
        "--io", choices=get_args(IO), help="as for onnx; only for a checkpoint (default: float32)"
    )
    _add_scale(parser)


def _add_triton(add_parser: AddParser) -> None:
    parser = add_parser(
        "triton",
        help="put a model into a repository of Triton Inference Server",
        description="Put an ONNX file or an engine into a model repository of Triton Inference "
        "Server. A name that is there already gets one more version; none is replaced.",
    )
    parser.set_defaults(command=_triton)
    parser.add_argument("model", type=Path, metavar="MODEL", help=".onnx, .engine or .plan")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="the repository"
    )
    parser.add_argument("--name", required=True, help="what clients call the model")
    parser.add_argument(
        "--instances",
        type=int,
        metavar="N",
        help="copies that run at once on each GPU (default: 1)",
    )
    parser.add_argument(
        "--max-batch",
        type=int,
        metavar="N",
        help="most images in one batch (default: what the engine takes, 4 for an ONNX file)",
    )


def _add_verify(add_parser: AddParser) -> None:
    parser = add_parser(
        "verify",
        help="compare an ONNX file with its checkpoint",
        description="Compare an ONNX file with the checkpoint it was exported from, and print what "
        "was measured.",
    )
    parser.set_defaults(command=_verify)
    _add_checkpoint(parser)
    parser.add_argument("model", metavar="MODEL.onnx")
    names = ", ".join(registry.names("cpu"))
    parser.add_argument(
        "--backend",
        default="auto",
        metavar="NAME",
        help=f"inference engine that runs the model on the CPU: auto, {names} (default: auto)",
    )


if __name__ == "__main__":
    sys.exit(main())

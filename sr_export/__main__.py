"""The command line: `python -m sr_export onnx …`, `engine …`, `triton …` and `verify …`."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import sr_runtime
from sr_runtime.atomic import atomic_path, check_target
from sr_runtime.backends import registry
from sr_runtime.backends.tensorrt.engine_file import facts_path, write_engine
from sr_runtime.backends.tensorrt.options import (
    DEFAULT_LEVEL,
    DEFAULT_PROFILE,
    BuildOptions,
    HardwareCompatible,
    Profile,
)
from sr_runtime.cli.console import require_extra, run_cli
from sr_runtime.errors import ArgumentError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    arguments = _parser().parse_args(argv)
    return run_cli(lambda: arguments.command(arguments))


def _onnx(arguments: argparse.Namespace) -> int:
    checkpoint, output = arguments.checkpoint, arguments.output
    check_target(output, inputs=[checkpoint])
    if output.suffix.lower() != ".onnx":
        raise ArgumentError(f"{output}: the name of an ONNX file ends in .onnx")
    # Imported late: they take seconds, which a wrong argument need not wait for.
    with require_extra("export"):
        from sr_export.checks import table
        from sr_export.halo import CALIBRATION, calibrate_halo, calibration_images
        from sr_export.parity import require, verify
        from sr_export.to_onnx import DEFAULT_OPSET, onnx_from_generator
        from sr_train.checkpoint import load_generator

    generator = load_generator(checkpoint, scale=arguments.scale)
    parameters = sum(tensor.numel() for tensor in generator.parameters()) / 1e6
    print(
        f"{checkpoint}: {generator.arch} ×{generator.scale_factor}, {parameters:.2f} M parameters"
    )
    images = calibration_images(arguments.calibrate or CALIBRATION, channels=generator.in_channels)
    halo = calibrate_halo(generator, images)
    print(f"halo {halo} (found on {len(images)} images), exact {generator.receptive_radius}")
    model = onnx_from_generator(
        generator,
        precision=arguments.precision,
        io=arguments.io,
        opset=DEFAULT_OPSET if arguments.opset is None else arguments.opset,
        halo=halo,
    )
    with atomic_path(output) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))
        checks = verify(generator, temporary)
        print(table(checks))
        require(checks, generator, temporary)
    print(f"{output}: {output.stat().st_size / 1e6:.1f} MB, verified")
    return 0


def _engine(arguments: argparse.Namespace) -> int:
    source, output, timings = arguments.model, arguments.output, arguments.timing_cache
    options = BuildOptions(
        profile=Profile.parse(arguments.min, arguments.opt, arguments.max),
        workspace=None if arguments.workspace is None else _bytes(arguments.workspace),
        level=arguments.level,
        version_compatible=arguments.version_compatible,
        hardware_compatible=arguments.hardware_compatible,
    )
    if output.suffix.lower() not in (".engine", ".plan"):
        raise ArgumentError(f"{output}: the name of an engine ends in .engine or .plan")
    check_target(output, inputs=[source])
    check_target(facts_path(output))
    if timings is not None:
        check_target(timings, inputs=[source])
        if timings.resolve() in (output.resolve(), facts_path(output).resolve()):
            raise ArgumentError(f"--timing-cache {timings} is where the engine goes: name another")
    from_onnx = source.suffix.lower() == ".onnx"
    if from_onnx and (arguments.io, arguments.scale) != (None, None):
        raise ArgumentError(
            f"{source}: an ONNX file has its io and its scale in it: leave --io and --scale out, "
            "or give the checkpoint"
        )
    with require_extra("export"):
        from sr_export.checks import table
        from sr_export.to_engine import engine_from_checkpoint, engine_from_onnx

    if from_onnx:
        built = engine_from_onnx(source, options, timing_cache=timings)
    else:
        built = engine_from_checkpoint(
            source,
            options,
            scale=arguments.scale,
            io=arguments.io or "float32",
            timing_cache=timings,
        )
    print(table(built.checks))
    write_engine(output, built.plan, built.info)
    print(
        f"{output}: {len(built.plan) / 1e6:.1f} MB, verified; for TensorRT {built.info.tensorrt} "
        f"on {built.info.gpu}"
    )
    return 0


def _bytes(text: str) -> int:
    """512M, 4G, …: powers of 1024."""
    match = re.fullmatch(r"(\d{1,15}(?:\.\d+)?)([KMGT]?)", text, re.IGNORECASE)
    if match is None:
        raise ArgumentError(f"workspace {text!r} is no size: give 512M or 4G for instance")
    return int(float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " "))


def _triton(arguments: argparse.Namespace) -> int:
    with require_extra("export"):
        from sr_export.triton import add_to_repository

    folder, server = add_to_repository(
        arguments.model,
        arguments.output,
        arguments.name,
        instances=arguments.instances,
        max_batch=arguments.max_batch,
    )
    print(f"{folder}: ready for {server}")
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    with require_extra("export"):
        from sr_export.checks import table
        from sr_export.parity import require, verify
        from sr_train.checkpoint import load_generator

    generator = load_generator(arguments.checkpoint, scale=arguments.scale)
    checks = verify(generator, arguments.model, backend=arguments.backend)
    print(table(checks))
    require(checks, generator, arguments.model)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sr-export",
        description="Turn any ESRGAN generator into a verified ONNX model or engine.",
    )
    parser.add_argument("--version", action="version", version=sr_runtime.__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    source = argparse.ArgumentParser(add_help=False)
    source.add_argument(
        "checkpoint", type=Path, metavar="CHECKPOINT", help="anyone's .pth or .safetensors"
    )
    source.add_argument(
        "--scale",
        type=int,
        metavar="S",
        help="scale of the network where its weights leave it open",
    )

    to_onnx = commands.add_parser(
        "onnx", parents=[source], help="export a checkpoint to ONNX, and verify the file",
        description="Export a checkpoint to ONNX and verify the file; if it fails, none is left.",
    )  # fmt: skip
    to_onnx.set_defaults(command=_onnx)
    to_onnx.add_argument("-o", "--output", type=Path, required=True, metavar="MODEL.onnx")
    to_onnx.add_argument(
        "--precision", choices=("fp32", "fp16"), default="fp32", help="of the weights (fp32)"
    )
    to_onnx.add_argument(
        "--io", choices=("float32", "uint8"), default="float32",
        help="float32: N×C×H×W in [0, 1]; uint8: N×H×W×C, with rounding in the model (float32)",
    )  # fmt: skip
    to_onnx.add_argument("--opset", type=int, metavar="N", help="ONNX operator set (18)")
    to_onnx.add_argument(
        "--calibrate",
        type=Path,
        metavar="DIR",
        help="images to find the halo on (a few are shipped)",
    )

    engine = commands.add_parser(
        "engine", help="build a TensorRT engine for this machine's GPU, and verify it",
        description="Build an FP16 TensorRT engine for this machine's GPU and verify it; if it "
        "fails, none is left. Ctrl-C cancels.",
    )  # fmt: skip
    engine.set_defaults(command=_engine)
    engine.add_argument(
        "model", type=Path, metavar="MODEL",
        help="FP16 ONNX file of ours, or anyone's .pth or .safetensors",
    )  # fmt: skip
    engine.add_argument("-o", "--output", type=Path, required=True, metavar="MODEL.engine")
    profile = engine.add_argument_group("tiles: batch x height x width, halo included")
    for name, what in (("min", "smallest"), ("opt", "to be fastest at"), ("max", "largest")):
        default = str(getattr(DEFAULT_PROFILE, name))
        profile.add_argument(
            f"--{name}", default=default, metavar="NxHxW", help=f"{what} ({default})"
        )
    engine.add_argument(
        "--workspace", metavar="SIZE", help="most GPU memory for a layer's scratch, 4G for instance"
    )
    engine.add_argument(
        "--timing-cache", type=Path, metavar="FILE",
        help="measurements of former builds, used and added to: the next build is faster",
    )  # fmt: skip
    engine.add_argument(
        "--level", type=int, default=DEFAULT_LEVEL, metavar="N",
        help="0 to 5: how long to search (%(default)s)",
    )  # fmt: skip
    engine.add_argument(
        "--version-compatible", action="store_true",
        help="for other versions of TensorRT too, and for its lean runtime",
    )  # fmt: skip
    engine.add_argument(
        "--hardware-compatible", choices=get_args(HardwareCompatible), default="none",
        help="GPUs it is for: this model of GPU, Ampere and newer, or this compute capability "
        "(none)",
    )  # fmt: skip
    engine.add_argument(
        "--io", choices=("float32", "uint8"), help="as for onnx; of a checkpoint alone (float32)"
    )
    engine.add_argument(
        "--scale", type=int, metavar="S",
        help="scale of the network where a checkpoint leaves it open",
    )  # fmt: skip

    triton = commands.add_parser(
        "triton", help="put a model into a repository of Triton Inference Server",
        description="Put an ONNX file or an engine into a model repository of Triton Inference "
        "Server, as a new model or as one more version of one, which is never replaced.",
    )  # fmt: skip
    triton.set_defaults(command=_triton)
    triton.add_argument("model", type=Path, metavar="MODEL", help=".onnx, .engine or .plan")
    triton.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="the repository"
    )
    triton.add_argument("--name", required=True, help="what clients call the model")
    triton.add_argument(
        "--instances", type=int, metavar="N", help="copies that run at once on each GPU (1)"
    )
    triton.add_argument(
        "--max-batch", type=int, metavar="N",
        help="most images at once (the engine's, or 4 of an ONNX file)",
    )  # fmt: skip

    verify = commands.add_parser(
        "verify", parents=[source], help="compare an exported model with its checkpoint",
        description="Compare an exported model with its checkpoint, and print a table.",
    )  # fmt: skip
    verify.set_defaults(command=_verify)
    verify.add_argument("model", type=Path, metavar="MODEL.onnx")
    verify.add_argument(
        "--backend", default="auto", metavar="NAME",
        help=f"of the CPU: auto, {', '.join(registry.names('cpu'))} (auto)",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())

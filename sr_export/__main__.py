"""The command line: `python -m sr_export onnx …` and `python -m sr_export verify …`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import sr_runtime
from sr_runtime.atomic import atomic_path, check_target
from sr_runtime.backends import BACKENDS
from sr_runtime.console import exit_code, needing_extra
from sr_runtime.errors import ArgumentError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    arguments = _parser().parse_args(argv)
    return exit_code(lambda: arguments.command(arguments))


def _onnx(arguments: argparse.Namespace) -> int:
    checkpoint, output = arguments.checkpoint, arguments.output
    check_target(output, inputs=[checkpoint])
    if output.suffix.lower() != ".onnx":
        raise ArgumentError(f"{output}: the name of an ONNX file ends in .onnx")
    # Imported late: they take seconds, which a wrong argument need not wait for.
    with needing_extra("export"):
        from sr_export.checks import table
        from sr_export.halo import CALIBRATION, calibrate_halo, calibration_images
        from sr_export.to_onnx import DEFAULT_OPSET, onnx_from_generator
        from sr_export.verify import require, verify
        from sr_train.checkpoint import load_generator

    generator = load_generator(checkpoint, scale=arguments.scale)
    parameters = sum(tensor.numel() for tensor in generator.parameters()) / 1e6
    print(
        f"{checkpoint}: {generator.arch} ×{generator.scale_factor}, {parameters:.2f} M parameters"
    )
    images = calibration_images(arguments.calibrate or CALIBRATION, channels=generator.img_channels)
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


def _verify(arguments: argparse.Namespace) -> int:
    with needing_extra("export"):
        from sr_export.checks import table
        from sr_export.verify import require, verify
        from sr_train.checkpoint import load_generator

    generator = load_generator(arguments.checkpoint, scale=arguments.scale)
    checks = verify(generator, arguments.model, backend=arguments.backend)
    print(table(checks))
    require(checks, generator, arguments.model)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sr-export", description="Turn any ESRGAN generator into a verified ONNX model."
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

    verify = commands.add_parser(
        "verify", parents=[source], help="compare an exported model with its checkpoint",
        description="Compare an exported model with its checkpoint, and print a table.",
    )  # fmt: skip
    verify.set_defaults(command=_verify)
    verify.add_argument("model", type=Path, metavar="MODEL.onnx")
    verify.add_argument(
        "--backend", default="auto", metavar="NAME", help=f"auto, {', '.join(BACKENDS)} (auto)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())

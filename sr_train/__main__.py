"""`python -m sr_train`: convert the checkpoints of ESRGAN generators."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sr_runtime.atomic import check_target
from sr_runtime.console import exit_code, needing_extra

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 0, or 2 for an error that the user can mend."""
    arguments = _parser().parse_args(argv)
    return exit_code(lambda: _convert(arguments.checkpoint, arguments.output, arguments.scale))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sr-train", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    convert = commands.add_parser(
        "convert",
        help="read any ESRGAN checkpoint, write ours or BasicSR's",
        description="Read the generator of any ESRGAN checkpoint (RRDBNet as BasicSR, mmagic, "
        "neosr, xinntao/ESRGAN, BSRGAN, traiNNer, Lornatang and torch-sr save it; "
        "SRVGGNetCompact) and write it in fp32.",
    )
    convert.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help=".pth or .safetensors")
    convert.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="OUT",
        help="OUT.safetensors (with its architecture as metadata) or OUT.pth (as BasicSR's)",
    )
    convert.add_argument(
        "--scale",
        type=int,
        metavar="S",
        help="the scale of the network, where its tensors leave it open: those of x3 look like x2",
    )
    return parser


def _convert(checkpoint: Path, output: Path, scale: int | None) -> int:
    check_target(output, inputs=[checkpoint])
    # Here, not above: torch takes seconds to import, and --help needs none of it.
    with needing_extra("export"):
        from sr_train.checkpoint import load_generator, save_generator, weights_sha256

    generator = load_generator(checkpoint, scale=scale)
    save_generator(generator, output)
    parameters = sum(parameter.numel() for parameter in generator.parameters())
    print(
        f"{checkpoint}: {generator.arch} x{generator.scale_factor}, {parameters:,} parameters; "
        f"written to {output}, sha256 of the weights {weights_sha256(generator)[:16]}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

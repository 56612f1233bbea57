"""The commands of this program: what they are called with and print."""

import re
import shlex
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import sr_export
from sr_export.install import place_for
from sr_export.options import (
    add_card_options,
    add_catalogue_options,
    add_engine_options,
    add_onnx_options,
    add_triton_options,
    add_verify_options,
)
from sr_export.report import table
from sr_export.stages import StageLines
from sr_runtime.backends.tensorrt.options import LIBRARIES, NAMES, Profile, cards_text, parse_sm
from sr_runtime.cli.completion import add_print_completion
from sr_runtime.cli.console import LOADING, say, say_waiting
from sr_runtime.cli.parser import Parser, add_command, program_name
from sr_runtime.embedded import model_file
from sr_runtime.errors import ArgumentError
from sr_runtime.storage.atomic import atomic_path, check_target


def run(words: Sequence[str]) -> int:
    """Run the command that the words of the command line ask for; return its exit code."""
    options = vars(parser().parse_args(words))
    say_waiting(LOADING)
    command: Callable[..., int | None] = options.pop("command")
    try:
        return command(**options) or 0
    except sr_export.VerificationError as error:
        say(*table(error.checks))
        raise


def _onnx(
    *, checkpoint: Path, output: Path | None, install: str | Literal[True] | None, **options: Any
) -> None:
    place = None
    if install is not None:
        name = (output or checkpoint).stem if install is True else install
        asked = {key: options[key] for key in ("precision", "io", "scale", "activation")}
        place = place_for(name, checkpoint, **asked)
    with StageLines() as progress:
        target = place if output is None else output
        assert target is not None  # the parser wants one of them
        report = sr_export.export_onnx(checkpoint, target, **options, progress=progress)
    say(*table(report.checks))
    if report.tile_size is not None:
        say(f"for tiles of {report.tile_size}×{report.tile_size} pixels only")
    if report.tile_error > 1:
        say(f"tiles change the result by up to {report.tile_error}/255")
    say(
        f"{report.output}: {report.arch} ×{report.scale}, {report.parameters / 1e6:.2f} M "
        f"parameters, halo {report.halo} (exact {report.receptive_radius or 'not known'}), "
        f"{report.bytes / 1e6:.1f} MB, verified"
    )
    if place is not None:
        if output is not None:
            with atomic_path(place) as temporary:
                shutil.copyfile(output, temporary)
        name = shlex.quote(place.stem)
        say(f"installed: python -m sr_runtime upscale photo.jpg -m {name}")


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


def _catalogue(**options: Any) -> int:
    def show(number: int, total: int, row: sr_export.CatalogueRow) -> None:
        say(f"{number}/{total} {row.file}: {row.failed or f'{row.model}, {row.arch} ×{row.scale}'}")

    rows = sr_export.export_folder(**options, on_row=show)
    failed = sum(row.failed is not None for row in rows)
    say(
        f"{len(rows) - failed} exported and verified, {failed} failed: "
        f"{options['output'] / 'catalogue.md'}"
    )
    return 1 if failed else 0


def _triton(**options: Any) -> None:
    version = sr_export.triton_repository(**options)
    say(f"{version.folder}: ready for {version.server_command}")


def _verify(**options: Any) -> None:
    say(*table(sr_export.verify(**options)))


def _card(*, output: Path | None, model: str, **options: Any) -> None:
    if output is not None:
        files = (Path(each) for each in (model_file(model), options["checkpoint"]) if each)
        check_target(output, inputs=files)
    text = sr_export.model_card(model, **options)
    if output is None:
        say(*text.splitlines())
        return
    with atomic_path(output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    say(f'{output}: fill in what it lists under "Not stated" before you publish it')


def _bytes(text: str) -> int:
    """512M, 4G, …: powers of 1024."""
    match = re.fullmatch(r"(\d{1,15}(?:\.\d+)?)([KMGT]?)", text, re.IGNORECASE)
    if match is None:
        raise ArgumentError(f"--workspace {text!r} is not a size: give 512M or 4G, for instance")
    return int(float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " "))


def parser() -> Parser:
    """The command line of this program."""
    program = program_name("sr-export", "sr_export")
    made = Parser(
        prog=program,
        description="Turn a super-resolution checkpoint into a verified ONNX model or an engine.",
        examples={
            "onnx rrdb.pth -o rrdb.onnx": "",
            "catalogue downloads -o models": "",
            "engine rrdb.pth -o rrdb.engine --for rtx": "",
            "triton rrdb.onnx -o repository --name rrdb_x4": "",
            "verify rrdb.pth rrdb.onnx": "",
            "card rrdb.onnx -o README.md": "",
        },
        epilog=f"{program} COMMAND --help shows a command's options and examples. From Python: "
        "import sr_export; help(sr_export).",
    )
    add_print_completion(made)
    commands = made.add_subparsers(title="commands", metavar="COMMAND", required=True)

    onnx = add_command(
        commands,
        "onnx",
        "Export a checkpoint to ONNX and verify the file. One that fails is not written.",
        {
            "rrdb.pth -o rrdb.onnx": "",
            "rrdb.pth --install": "as rrdb",
            "rrdb.pth -o half.onnx --precision fp16": "for GPUs",
            "3x_model.pth -o 3x.onnx --scale 3": "",
        },
    )
    onnx.set_defaults(command=_onnx)
    add_onnx_options(onnx)

    catalogue = add_command(
        commands,
        "catalogue",
        "Export every checkpoint in a folder, and write a table of what they are and why some "
        "failed. Ctrl-C, and the next call goes on. The exit code is 1 if something failed.",
        {
            "downloads -o models": "",
            "downloads -o models --again": "what failed, too",
        },
    )
    catalogue.set_defaults(command=_catalogue)
    add_catalogue_options(catalogue)

    engine = add_command(
        commands,
        "engine",
        "Build an FP16 engine and verify it. TensorRT takes minutes, and builds for a GPU of this "
        "machine; TensorRT for RTX takes seconds, and builds on any machine, for many cards. If "
        "that fails, nothing is written. Ctrl-C cancels.",
        {
            "half.onnx -o half.engine": "for this GPU",
            "half.onnx -o half.engine --max 4x768x768": "",
            "esrgan -o rtx.engine --for rtx": "for RTX cards",
        },
    )
    engine.set_defaults(command=_engine)
    add_engine_options(engine)

    triton = add_command(
        commands,
        "triton",
        "Put an ONNX file or an engine into a model repository of Triton Inference Server. A name "
        "that is there already gets one more version; none is replaced.",
        {
            "rrdb.onnx -o repository --name rrdb_x4": "",
            "half.engine -o repository --name half --instances 2": "",
        },
    )
    triton.set_defaults(command=_triton)
    add_triton_options(triton)

    verify = add_command(
        commands,
        "verify",
        "Compare an ONNX file with its checkpoint, and print what was measured.",
        {"rrdb.pth rrdb.onnx": "", "rrdb.pth rrdb.onnx --backend onnxruntime": ""},
    )
    verify.set_defaults(command=_verify)
    add_verify_options(verify)

    card = add_command(
        commands,
        "card",
        "Write a model card for publishing an ONNX file, from what the file states. What it does "
        "not state, the card lists.",
        {
            "rrdb.onnx -o README.md": "",
            "rrdb.onnx -o README.md --checkpoint rrdb.pth": "",
        },
    )
    card.set_defaults(command=_card)
    add_card_options(card)
    return made

"""The options of `upscale` and `info`, in groups that answer a photographer's questions."""

import argparse
from typing import get_args

from sr_runtime.backends.registry import names
from sr_runtime.cli.completion import suggest, suggest_models
from sr_runtime.cli.parser import Parser, nonempty, number, whole_number, whole_number_or
from sr_runtime.embedded import BLENDS, DEFAULT, EMBEDDED
from sr_runtime.image import DEFAULT_MAX_PIXELS, LOSSLESS_FORMATS, QUALITY_FORMATS, Format
from sr_runtime.printable import listed
from sr_runtime.tileable import Tileable
from sr_runtime.video.formats import CODECS, ENCODERS

__all__ = ["add_info_options", "add_models_options", "add_upscale_options"]

MODEL = (
    f"{listed(EMBEDDED, 'or')}, which come with the package, another name that the command models "
    "lists, an ONNX file or a TensorRT engine"
)


def add_upscale_options(upscale: Parser) -> None:
    """Add what `upscale` takes."""
    _add_what_to_read(upscale)
    _add_what_to_write(upscale)
    _add_how_large(upscale)
    _add_for_videos(upscale)
    which = upscale.add_argument_group("which model")
    model = which.add_argument(
        "-m", "--model", type=nonempty, default=DEFAULT, help=f"{MODEL} (default: %(default)s)"
    )
    suggest_models(model)
    _add_blend(which)
    which.add_argument(
        "--tta", action="store_true",
        help="average over 8 flips and rotations: slightly better, 8 times slower",
    )  # fmt: skip
    _add_how_to_run(upscale)
    upscale.general.add_argument(
        "-q", "--quiet", action="store_true", help="print no progress bar and no summary"
    )
    upscale.general.add_argument(
        "--json", action="store_true",
        help="print a line of JSON for each image and one for the sums, in place of the summary",
    )  # fmt: skip


def add_info_options(info: Parser) -> None:
    """Add what `info` takes."""
    which = info.add_argument_group("which model")
    model = which.add_argument(
        "model", nargs="?", type=nonempty, metavar="MODEL", help=f"{MODEL} (default: no model)"
    )
    suggest_models(model)
    _add_blend(which)
    _add_how_to_run(info)


def add_models_options(models: Parser) -> None:
    """Add what `models` takes."""
    models.general.add_argument(
        "--json",
        action="store_true",
        help="print a line of JSON for each model, in place of the table",
    )


def _add_what_to_read(upscale: Parser) -> None:
    group = upscale.add_argument_group("what to read")
    inputs = group.add_argument(
        "inputs", nargs="+", type=nonempty, metavar="INPUT",
        help="an image, a video, a folder of images, a pattern such as '*.jpg', or - for standard "
        "input",
    )  # fmt: skip
    suggest(inputs, files=True)
    group.add_argument(
        "--max-pixels", type=whole_number, metavar="N",
        help="refuse images of more pixels, all frames counted, and videos whose frames have more "
        f"(default: read images of more than {DEFAULT_MAX_PIXELS / 1e6:.0f} megapixels by rows, "
        "which needs the extra vips, and refuse such videos)",
    )  # fmt: skip
    group.add_argument(
        "--tileable", choices=get_args(Tileable),
        help="the images are textures whose copies join without a seam: side by side (x), one "
        "below the other (y), or both; the results do too (default: they are not)",
    )  # fmt: skip


def _add_what_to_write(upscale: Parser) -> None:
    group = upscale.add_argument_group("what to write")
    output = group.add_argument(
        "-o", "--output", type=nonempty, metavar="OUT",
        help="a file, in the format of its suffix; a folder, if OUT exists as one, ends in a slash "
        "or has no suffix, or if there are several images; or - for standard output (default: "
        "photo_x4.png beside photo.jpg, holiday_x4/ beside holiday/; models other than "
        f"{DEFAULT} add their name, as in photo_psnr_x4.png)",
    )  # fmt: skip
    suggest(output, files=True)
    group.add_argument(
        "--name", type=nonempty, metavar="TEMPLATE",
        help="name of results that -o does not name, with {stem}, {model}, {scale}, {width}, "
        "{height} and {format}, as in '{stem}_{model}_x{scale}'",
    )  # fmt: skip
    formats = group.add_mutually_exclusive_group()
    formats.add_argument(
        "--format", choices=get_args(Format),
        help="format of results that -o does not name (default: png; animations keep theirs)",
    )  # fmt: skip
    formats.add_argument(
        "--keep-format", action="store_true",
        help="give each result the format of its input where it can be written, else png",
    )  # fmt: skip
    quality = group.add_argument(
        "--quality", type=whole_number_or("lossless"), metavar="Q",
        help=f"1 to 100, for {', '.join(QUALITY_FORMATS)} (default: 95), or lossless, for "
        f"{', '.join(LOSSLESS_FORMATS)}",
    )  # fmt: skip
    suggest(quality, "lossless")
    kept = group.add_mutually_exclusive_group()
    kept.add_argument(
        "--resume", action="store_true",
        help="skip images whose result was made from the same file with the same model and "
        "options, by a run with --resume: this goes on with an interrupted run, does what has "
        "changed again, and lets several processes share a folder",
    )  # fmt: skip
    kept.add_argument(
        "--skip-existing", action="store_true",
        help="skip images whose result exists, whoever made it, and those that are named like "
        "results",
    )  # fmt: skip
    kept.add_argument(
        "--watch", action="store_true",
        help="as --resume, and go on with what arrives, until Ctrl-C",
    )  # fmt: skip


def _add_how_large(upscale: Parser) -> None:
    group = upscale.add_argument_group("how large")
    size = group.add_mutually_exclusive_group()
    size.add_argument(
        "--scale", type=number, metavar="S",
        help="how many times as wide and high as the input (default: the model's scale, 4 for "
        "those of the package)",
    )  # fmt: skip
    size.add_argument(
        "--width", type=whole_number, metavar="W", help="width of the result in pixels"
    )
    size.add_argument(
        "--height", type=whole_number, metavar="H", help="height of the result in pixels"
    )


def _add_for_videos(upscale: Parser) -> None:
    group = upscale.add_argument_group("for videos")
    group.add_argument(
        "--codec", choices=CODECS,
        help="how the result is encoded; ffv1 is lossless, and for .mkv (default: h264, hevc "
        "for more than 8 bits, av1 for .webm)",
    )  # fmt: skip
    group.add_argument(
        "--crf", type=whole_number, metavar="N",
        help="quality of the codec; smaller is better, and larger the file (default: "
        + ", ".join(f"{each.crf} for {name}" for name, each in ENCODERS.items() if each.crf)
        + ")",
    )  # fmt: skip
    group.add_argument(
        "--deinterlace", action="store_true",
        help="make whole pictures of an interlaced video's half pictures first, which is refused "
        "otherwise",
    )  # fmt: skip


def _add_blend(group: argparse._ArgumentGroup) -> None:
    pairs = [f"from 0 ({soft}) to 1 ({crisp})" for soft, crisp in BLENDS]
    group.add_argument(
        "--blend", type=number, metavar="B",
        help=f"mix a model of the package with its partner, {listed(pairs, 'or')}; takes the time "
        "of both",
    )  # fmt: skip


def _add_how_to_run(command: Parser) -> None:
    add = command.add_argument_group("how to run").add_argument
    backend = add(
        "--backend", type=nonempty, default="auto", metavar="NAME",
        help=f"{', '.join(names())}, plugin:NAME for a plug-in of ONNX Runtime, or auto: the "
        "fastest that works here and is ready within seconds (default: auto)",
    )  # fmt: skip
    suggest(backend, "auto", *names())
    device = add(
        "--device", type=nonempty, default="auto", metavar="NAME",
        help="cpu, a kind of device and its number as cuda:0 or webgpu:0, several as in "
        "cuda:0,cuda:1, or auto: a GPU before the CPU (default: auto)",
    )  # fmt: skip
    suggest(device, "auto", "cpu", "cuda:0", "webgpu:0")
    precision = add(
        "--precision", type=nonempty, default="auto", metavar="TYPE",
        help="fp32 or bf16 on a CPU, the model file's own fp32 or fp16 on a GPU, or auto: the "
        "fastest (default: auto)",
    )  # fmt: skip
    suggest(precision, "auto", "fp32", "bf16", "fp16")
    tile = add(
        "-t", "--tile", default="auto", type=whole_number_or("auto"), metavar="N",
        help="largest side of a tile in input pixels, halo included; smaller tiles take less "
        "memory (default: auto)",
    )  # fmt: skip
    suggest(tile, "auto")
    halo = add(
        "--halo", default="auto", type=whole_number_or("auto", "exact"), metavar="N",
        help="context around a tile in input pixels: a number, auto (within 1/255 of the whole "
        "image's result) or exact (equal to it, but slower) (default: auto)",
    )  # fmt: skip
    suggest(halo, "auto", "exact")

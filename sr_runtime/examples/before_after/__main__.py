"""A program that embeds the runtime: it shows one photo before and after.

    python -m sr_runtime.examples.before_after [PHOTO] [-m MODEL] [-o FOLDER] [--detail X,Y]

It writes the upscaled photo; `before_after.png`, a picture of the whole and of the details to
which the model adds most; and `before_after.html`, a page on which one drags a boundary between
bicubic interpolation and the model. The page is one file that needs no network. It holds 12.6
megapixels at most: of a photo that becomes larger, only the part with most detail is upscaled and
shown. Without PHOTO it shows the cat that comes with the package.
"""

import argparse
import importlib.resources
import sys
from collections.abc import Sequence
from pathlib import Path

import PIL.Image

import sr_runtime
from sr_runtime.cli.console import run_cli, say
from sr_runtime.cli.parser import Parser, nonempty, path
from sr_runtime.embedded import DEFAULT
from sr_runtime.errors import ArgumentError
from sr_runtime.examples.before_after.comparison import compared
from sr_runtime.examples.before_after.facts import facts_of, size_text
from sr_runtime.examples.before_after.page import filled_page
from sr_runtime.examples.before_after.photo import as_shown, cut, part_to_show, read_photo
from sr_runtime.examples.before_after.picture import draw
from sr_runtime.image import write
from sr_runtime.storage.atomic import atomic_path, check_target, create_folder

EXAMPLES = importlib.resources.files("sr_runtime.examples")
CAT = "chelsea.png"
EYE = "172,116"  # the cat's
CREDIT = "It is Stéfan van der Walt’s photo of his cat Chelsea, from scikit-image (CC0)."


def main(argv: Sequence[str] | None = None) -> int:
    """Write the files into a folder; return the program's exit code."""
    # Pillow's own limit would hide the size of what is too large to be read.
    PIL.Image.MAX_IMAGE_PIXELS = None
    return run_cli(lambda words: run(parser().parse_args(words)), argv)


def parser() -> Parser:
    """The command line."""
    made = Parser(
        prog="python -m sr_runtime.examples.before_after",
        description="Show a photo before and after: on a page with a slider, and in a picture.",
        examples={
            "": "a cat",
            "photo.jpg -o compared": "",
            "photo.jpg --detail 640,480": "",
        },
    )
    made.add_argument(
        "photo", nargs="?", metavar="PHOTO", type=path,
        help="a photo (default: a cat that comes with the package)",
    )  # fmt: skip
    made.add_argument(
        "-m", "--model", type=nonempty, default=DEFAULT,
        help="a model's name or an ONNX file (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "-o", "--output", type=path, default=Path("before_after"), metavar="FOLDER",
        help="where the files are written; created if it does not exist (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--detail", type=nonempty, metavar="X,Y",
        help="the middle of the first detail, in the photo's pixels (default: measured, as the "
        "other details are)",
    )  # fmt: skip
    return made


def run(arguments: argparse.Namespace) -> int:
    """Check the arguments, then upscale, then write."""
    with (
        importlib.resources.as_file(EXAMPLES / CAT) as cat,
        sr_runtime.load(arguments.model) as upscaler,
    ):
        file = arguments.photo or cat
        picture = read_photo(file)
        whole = as_shown(picture)
        point = arguments.detail or (EYE if arguments.photo is None else None)
        middle = None if point is None else point_in(whole, point)
        box = part_to_show(whole, upscaler.info.scale, middle)
        part = whole.crop(box)
        is_part = part.size != whole.size
        name = f"{file.stem}{'_part' if is_part else ''}_x{upscaler.info.scale}"
        large, drawing, page = targets = targets_in(arguments.output, name, file)

        say(f"upscaling {file.name}, {size_text(whole)}, with {arguments.model}")
        if is_part:
            say(
                f"a page cannot hold all of the result: it shows a part of {size_text(part)}; "
                "upscale all with python -m sr_runtime upscale"
            )
        result = upscaler.upscale_picture(
            cut(picture, box), progress=lambda done, total: say(f"tile {done} of {total}")
        )

    write(result, large)
    comparison = compared(part, as_shown(result))
    details = comparison.details(middle and (middle[0] - box[0], middle[1] - box[1]))
    facts = facts_of(
        name=file.name,
        photo=picture,
        credit=CREDIT if arguments.photo is None else None,
        comparison=comparison,
        model=arguments.model,
        architecture=upscaler.info.arch,
        result=large,
    )
    with atomic_path(drawing) as temporary:
        draw(comparison, details).save(temporary, icc_profile=whole.info.get("icc_profile"))
    with atomic_path(page) as temporary:
        # A file name may hold bytes that are not text.
        text = filled_page(comparison, details, facts)
        temporary.write_text(text, encoding="utf-8", errors="replace")
    say(*map(str, targets))
    return 0


def point_in(photo: PIL.Image.Image, text: str) -> tuple[int, int]:
    """X,Y; ArgumentError if that is not within the photo."""
    try:
        x, y = map(int, text.split(","))
    except ValueError as error:
        raise ArgumentError(f"--detail {text} is not two whole numbers: give X,Y") from error
    if not (0 <= x < photo.width and 0 <= y < photo.height):
        raise ArgumentError(
            f"--detail {text} is not within the photo, which has {size_text(photo)} pixels: give "
            "X,Y of one of them"
        )
    return x, y


def targets_in(folder: Path, name: str, photo: Path) -> tuple[Path, Path, Path]:
    """The files to write; their folder exists now, and none of them is the photo."""
    create_folder(folder)
    targets = folder / f"{name}.png", folder / "before_after.png", folder / "before_after.html"
    for target in targets:
        check_target(target, inputs=[photo])
    return targets


if __name__ == "__main__":
    sys.exit(main())

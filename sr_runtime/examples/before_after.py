"""A program that embeds the runtime: it shows one photo before and after.

    python -m sr_runtime.examples.before_after [PHOTO] [-m MODEL] [-o FOLDER] [--box BOX]

It writes the upscaled photo; a picture of one detail three times, as the photo's own pixels, by
bicubic interpolation and by the model; and a page with a slider between the last two. The page is
one file that needs no network. Without PHOTO it shows the cat that comes with the package:
scikit-image's `chelsea`, CC0.
"""

import argparse
import base64
import importlib.resources
import io
import string
import sys
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import PIL.Image
from PIL.Image import Resampling

import sr_runtime
from sr_runtime.cli.console import run_cli, say
from sr_runtime.cli.parser import Parser, nonempty, path
from sr_runtime.embedded import DEFAULT
from sr_runtime.image import Picture, read, read_header, to_pil, write
from sr_runtime.storage.atomic import atomic_path, check_target

EXAMPLES = importlib.resources.files("sr_runtime.examples")
EYE = "130,76,80,80"  # the cat's
DETAIL = 80  # pixels per side, for another photo without --box
GAP = 8  # pixels between the panels

# Limits on the result: they keep the page at a few megabytes, and within what WebP can hold.
MAX_PIXELS = 2**24
MAX_SIDE = 16383
QUALITY = 85  # of WebP

Box = tuple[int, int, int, int]
"""Left, top, right, bottom, as Pillow counts."""


def main(argv: Sequence[str] | None = None) -> int:
    """Write the files into a folder; return the program's exit code."""
    # Pillow's own limit is far above MAX_PIXELS, and its error would hide the size.
    PIL.Image.MAX_IMAGE_PIXELS = None
    return run_cli(lambda words: run(parser().parse_args(words)), argv)


def parser() -> Parser:
    """The command line."""
    made = Parser(
        prog="python -m sr_runtime.examples.before_after",
        description="Show a photo before and after, on a page with a slider.",
    )
    made.add_argument(
        "photo", nargs="?", metavar="PHOTO", type=path,
        help="a photo (default: a cat that comes with the package)",
    )  # fmt: skip
    made.add_argument(
        "-m", "--model", type=nonempty, default=DEFAULT,
        help="an embedded model or an ONNX file (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "-o", "--output", type=path, default=Path("before_after"), metavar="FOLDER",
        help="where the files are written; created if it does not exist (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--box", type=nonempty, metavar="LEFT,TOP,WIDTH,HEIGHT",
        help="the detail to show, in the photo's pixels (default: the middle)",
    )  # fmt: skip
    return made


def run(arguments: argparse.Namespace) -> int:
    """Check the arguments, then upscale, then write."""
    with (
        importlib.resources.as_file(EXAMPLES / "chelsea.png") as cat,
        sr_runtime.load(arguments.model) as upscaler,
    ):
        file, given_box = arguments.photo or cat, arguments.box
        if arguments.photo is None and given_box is None:
            given_box = EYE
        scale = upscaler.info.scale
        picture = read_photo(file, scale)
        photo = as_shown(picture)
        box = central_box(photo) if given_box is None else parsed_box(given_box, photo)
        large, panels, page = targets = targets_in(arguments.output, file, scale)

        say(f"upscaling {file.name}, {photo.width}×{photo.height}, with {arguments.model}")
        result = upscaler.upscale_picture(
            picture, progress=lambda done, total: print(f"tile {done} of {total}")
        )

    write(result, large)
    before = photo.resize((photo.width * scale, photo.height * scale), Resampling.BICUBIC)
    after = as_shown(result)
    drawn = draw_panels(photo, before, after, box, scale)
    with atomic_path(panels) as temporary:
        drawn.save(temporary, icc_profile=photo.info.get("icc_profile"))
    facts = {
        "photo": file.name,
        "photo_size": f"{photo.width}×{photo.height}",
        "model": Path(arguments.model).stem,
        "architecture": upscaler.info.arch,
        "scale": scale,
        "width": after.width,
        "height": after.height,
        "quality": QUALITY,
        "result": large.name,
        "transparency": ", transparency on white" if picture.frames[0].shape[2] in (2, 4) else "",
    }
    with atomic_path(page) as temporary:
        # A file name may hold bytes that are not text.
        text = filled_page(facts, before, after)
        temporary.write_text(text, encoding="utf-8", errors="replace")
    say(*map(str, targets))
    return 0


def read_photo(path: Path, scale: int) -> Picture:
    """The photo, upright. Raises ImageError if a page cannot show its result."""
    header = read_header(path)
    height, width = header.height * scale, header.width * scale
    if height * width > MAX_PIXELS or max(height, width) > MAX_SIDE:
        problem = (
            f"{header.width}×{header.height} pixels would become {width}×{height}, and a page "
            f"shows at most {MAX_PIXELS / 1e6:.0f} megapixels and {MAX_SIDE} per side: cut out a "
            "part"
        )
    elif header.frames > 1:
        problem = f"it has {header.frames} frames, and a page shows one: take one out"
    elif header.bits > 8:
        problem = f"it has {header.bits} bits per channel, and a page shows 8: convert it"
    else:
        return read(path)
    raise sr_runtime.ImageError(
        f"{problem} first, or upscale it with python -m sr_runtime upscale", path=path
    )


def as_shown(picture: Picture) -> PIL.Image.Image:
    """A picture in RGB, on white where it is transparent."""
    image = to_pil(picture)
    shown = PIL.Image.new("RGB", image.size, "white")
    alpha = image.getchannel("A") if "A" in image.getbands() else None
    shown.paste(image.convert("RGB"), mask=alpha)
    if len(image.getbands()) >= 3:  # a profile of gray does not describe RGB
        shown.info["icc_profile"] = picture.icc_profile
    return shown


def central_box(photo: PIL.Image.Image) -> Box:
    """A square of `DETAIL` pixels in the middle, or as much of it as the photo has."""
    width, height = min(DETAIL, photo.width), min(DETAIL, photo.height)
    left, top = (photo.width - width) // 2, (photo.height - height) // 2
    return left, top, left + width, top + height


def parsed_box(text: str, photo: PIL.Image.Image) -> Box:
    """LEFT,TOP,WIDTH,HEIGHT; ArgumentError if that is not within the photo."""
    try:
        left, top, width, height = map(int, text.split(","))
    except ValueError as error:
        raise sr_runtime.ArgumentError(
            f"--box {text} is not four whole numbers: give LEFT,TOP,WIDTH,HEIGHT"
        ) from error
    right, bottom = left + width, top + height
    if min(left, top) < 0 or min(width, height) < 1 or right > photo.width or bottom > photo.height:
        raise sr_runtime.ArgumentError(
            f"--box {text} is not within the photo, which has {photo.width}×{photo.height} pixels: "
            "give LEFT,TOP,WIDTH,HEIGHT of a part of it"
        )
    return left, top, right, bottom


def targets_in(folder: Path, photo: Path, scale: int) -> tuple[Path, Path, Path]:
    """The files to write; their folder exists now, and none of them is the photo."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise sr_runtime.StorageError(
            f"this folder cannot be created ({error.strerror}): name another with -o", path=folder
        ) from error
    large = folder / f"{photo.stem}_x{scale}.png"
    targets = large, folder / "before_after.png", folder / "before_after.html"
    for target in targets:
        check_target(target, inputs=[photo])
    return targets


def draw_panels(
    photo: PIL.Image.Image, before: PIL.Image.Image, after: PIL.Image.Image, box: Box, scale: int
) -> PIL.Image.Image:
    """The detail three times, side by side: the photo's own pixels, bicubic, the model."""
    left, top, right, bottom = (edge * scale for edge in box)
    width, height = right - left, bottom - top
    # Cut from whole enlargements: the model needs the context around the detail.
    panels = (
        photo.crop(box).resize((width, height), Resampling.NEAREST),
        *(large.crop((left, top, right, bottom)) for large in (before, after)),
    )
    drawn = PIL.Image.new("RGB", (3 * width + 2 * GAP, height), "white")
    for place, panel in enumerate(panels):
        drawn.paste(panel, (place * (width + GAP), 0))
    return drawn


def filled_page(
    facts: Mapping[str, object], before: PIL.Image.Image, after: PIL.Image.Image
) -> str:
    """The page with both pictures in it; `facts` are escaped here."""
    template = string.Template((EXAMPLES / "before_after.html").read_text(encoding="utf-8"))
    values = {name: escape(str(value)) for name, value in facts.items()}
    return template.substitute(values, before=data_url(before), after=data_url(after))


def data_url(image: PIL.Image.Image) -> str:
    """A picture as a `data:` URL."""
    file = io.BytesIO()
    image.save(file, "WEBP", quality=QUALITY, icc_profile=image.info.get("icc_profile"))
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


if __name__ == "__main__":
    sys.exit(main())

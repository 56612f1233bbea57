"""A picture of what models make of photos that were halved and saved as JPEG.

Each row is a part of a photo of SR_DATA: skin, text, fur and eyes, edges and sky. It shows bicubic
interpolation, then each model. The parts are cut from whole results.
"""

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
from numpy.typing import NDArray

import sr_runtime
from benchmarks.arguments import count
from benchmarks.data import in_data
from sr_runtime.cli.console import run_cli
from sr_runtime.cli.parser import Parser, path
from sr_runtime.embedded import EMBEDDED
from sr_runtime.errors import ArgumentError
from sr_runtime.evaluation.scoring import bicubic
from sr_runtime.resize import downscale
from sr_runtime.storage.atomic import atomic_path, check_target

SIDE = 56
"""Of a part, in pixels of the small photo."""
SCALE = 4
BEST_QUALITY = 95
LABEL = 28
"""Height of the line of names, in pixels of the picture."""


class Part(NamedTuple):
    """The square of a small photo whose upper left corner this is."""

    photo: str
    left: int
    top: int


PARTS = (
    Part("astronaut.png", 90, 20),
    Part("astronaut.png", 60, 150),
    Part("chelsea.png", 60, 45),
    Part("chelsea.png", 150, 70),
    Part("coffee.png", 100, 60),
    Part("rocket.jpg", 180, 60),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Draw the picture; return 0, or 2 after an error."""
    return run_cli(lambda words: _run(**vars(parser().parse_args(words))), argv)


def parser() -> Parser:
    """The command line."""
    made = Parser(
        prog="python -m benchmarks.compressed_photos",
        description=__doc__,
        examples={"-o looks.png": "", "mine.onnx -o looks.png --quality 60": ""},
    )
    made.add_argument(
        "models", nargs="*", metavar="MODEL",
        help="models of the package, or ONNX files that enlarge 4 times (default: all of the "
        "package)",
    )  # fmt: skip
    made.add_argument("-o", "--output", type=path, required=True, metavar="PNG", help="the picture")
    made.add_argument(
        "--quality", type=count, default=40, metavar="Q",
        help="of the JPEG, 1 to 95 (default: %(default)s)",
    )  # fmt: skip
    return made


def _run(models: Sequence[str], output: Path, quality: int) -> int:
    if quality > BEST_QUALITY:
        raise ArgumentError(f"--quality is {quality}: give 1 to {BEST_QUALITY}")
    check_target(output)
    photos = {part.photo: _small(in_data(f"photos/{part.photo}"), quality) for part in PARTS}
    columns = {"bicubic": {name: bicubic(photo, SCALE) for name, photo in photos.items()}}
    for model in models or EMBEDDED:
        with sr_runtime.load(model) as upscaler:
            if (scale := upscaler.info.scale) != SCALE:
                raise ArgumentError(f"{model} enlarges {scale} times: name models for {SCALE}")
            columns[model] = {name: upscaler.upscale(photo) for name, photo in photos.items()}
    pictures = [
        np.concatenate([_label(name), *(_cut(large[part.photo], part) for part in PARTS)])
        for name, large in columns.items()
    ]
    with atomic_path(output) as temporary:
        PIL.Image.fromarray(np.concatenate(pictures, axis=1)).save(temporary, "PNG")
    print(f"{output}: {len(PARTS)} parts of photos, halved and saved as JPEG {quality}")
    return 0


def _small(file: Path, quality: int) -> NDArray[np.uint8]:
    """The photo at half its size, after JPEG."""
    with PIL.Image.open(file) as image:
        pixels = np.asarray(image.convert("RGB"))
    height, width = (side // 2 * 2 for side in pixels.shape[:2])
    stored = io.BytesIO()
    PIL.Image.fromarray(downscale(pixels[:height, :width], 2)).save(stored, "JPEG", quality=quality)
    return np.asarray(PIL.Image.open(stored))


def _cut(large: NDArray[np.uint8], part: Part) -> NDArray[np.uint8]:
    left, top, side = part.left * SCALE, part.top * SCALE, SIDE * SCALE
    return large[top : top + side, left : left + side]


def _label(model: str) -> NDArray[np.uint8]:
    line = PIL.Image.new("RGB", (SIDE * SCALE, LABEL), "white")
    font = PIL.ImageFont.load_default(18)
    PIL.ImageDraw.Draw(line).text((6, LABEL // 2), Path(model).name, "black", font, anchor="lm")
    return np.asarray(line)


if __name__ == "__main__":
    sys.exit(main())

"""One picture of a detail: the input's own pixels, bicubic interpolation, and the model.

python -m benchmarks.before_after MODEL.onnx PHOTO --box LEFT,TOP,WIDTH,HEIGHT -o OUT.png
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import PIL.Image
from PIL.Image import Resampling

import sr_runtime
from sr_runtime.console import exit_code

GAP = 8


def main(argv: Sequence[str] | None = None) -> int:
    """Write the picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.before_after", description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--box", required=True, help="LEFT,TOP,WIDTH,HEIGHT in the photo's pixels")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args(argv)
    return exit_code(lambda: _draw(arguments))


def _draw(arguments: argparse.Namespace) -> int:
    left, top, width, height = map(int, arguments.box.split(","))
    with PIL.Image.open(arguments.photo) as file, sr_runtime.load(arguments.model) as upscaler:
        photo = file.convert("RGB")
        scale = upscaler.info.scale
        detail = photo.crop((left, top, left + width, top + height))
        size = (width * scale, height * scale)
        # The whole photo, so that the detail has the surroundings that a user's would have.
        large = upscaler.upscale(photo).crop(
            (left * scale, top * scale, (left + width) * scale, (top + height) * scale)
        )
    shown = (
        detail.resize(size, Resampling.NEAREST),
        detail.resize(size, Resampling.BICUBIC),
        large,
    )
    picture = PIL.Image.new("RGB", (3 * size[0] + 2 * GAP, size[1]), "white")
    for place, panel in enumerate(shown):
        picture.paste(panel, (place * (size[0] + GAP), 0))
    picture.save(arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())

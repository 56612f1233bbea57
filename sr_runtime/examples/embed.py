"""A program that embeds the runtime: one loaded model, many images, from several threads.

    python -m sr_runtime.examples.embed esrgan photo.jpg portrait.png

It stands for a server or a desktop application: the model is loaded once, requests arrive on
several threads, images are Pillow's or numpy arrays, and every error is a sentence for the user.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import PIL.Image

import sr_runtime


def enlarge(upscaler: sr_runtime.Upscaler, path: Path) -> bool:
    """Handle one request: print how it went, and return whether it succeeded."""

    def progress(done: int, total: int) -> None:
        print(f"{path.name}: tile {done} of {total}")

    try:
        with PIL.Image.open(path) as photo:
            large = upscaler.upscale(photo, progress=progress)
    except (OSError, sr_runtime.SRError) as error:
        print(f"{path.name} failed: {error}")
        return False
    brightness = np.asarray(large).mean()  # `upscale` also takes and returns numpy arrays
    print(
        f"{path.name}: {photo.width}×{photo.height} became {large.width}×{large.height}, "
        f"mean brightness {brightness:.1f}"
    )
    return True


def main(model: str, *paths: str) -> int:
    """Upscale every image; return the program's exit code."""
    try:
        upscaler = sr_runtime.load(model)
    except sr_runtime.SRError as error:
        print(error, file=sys.stderr)
        return 2
    with upscaler, ThreadPoolExecutor(4) as requests:
        succeeded = list(requests.map(lambda path: enlarge(upscaler, Path(path)), paths))
    return 0 if all(succeeded) else 1


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python -m sr_runtime.examples.embed MODEL IMAGE…")
    sys.exit(main(*sys.argv[1:]))

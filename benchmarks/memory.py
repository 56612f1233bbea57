"""Peak memory of upscaling one large photo from file to file.

    python -m benchmarks.memory MODEL.onnx PHOTO [--size 2000x3000]

The photo is first resized to the given size (height × width). Then a new process upscales it, and
the operating system reports its peak memory.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import PIL.Image


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    import resource  # not on Windows

    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--size", default="2000x3000", help="height x width (%(default)s)")
    arguments = parser.parse_args(argv)
    PIL.Image.MAX_IMAGE_PIXELS = None  # the result is larger than Pillow's limit
    height, width = map(int, arguments.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "photo.png"), Path(folder, "large.png")
        with PIL.Image.open(arguments.photo) as photo:
            photo.convert("RGB").resize((width, height), PIL.Image.Resampling.BICUBIC).save(source)
        command = [sys.executable, "-m", "sr_runtime", "upscale", str(source), "-o", str(target)]
        subprocess.run([*command, "-m", str(arguments.model)], check=True)
        with PIL.Image.open(target) as large:
            result = f"{large.height}×{large.width}"
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    peak_bytes = peak if sys.platform == "darwin" else peak * 1024
    print(f"{height}×{width} to {result}: peak memory {peak_bytes / 1e9:.2f} GB")
    return 0


if __name__ == "__main__":
    sys.exit(main())

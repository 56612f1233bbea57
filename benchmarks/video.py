"""Frames per second of a video, beside the bare rate of the network over the same frames.

    python -m benchmarks.video [--size 180x320] [--frames 48] [--codec h264 hevc] [-m MODEL]

The clip pans over a photo, so that no two frames are equal. In each round the network first
upscales the decoded frames in memory, by as many threads as its engine takes images at once; then
each codec makes a video of the same clip, with decoding, colour conversion, encoding and joining.
The medians of all rounds are printed, and the peak memory of the process.
"""

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import sr_runtime
from benchmarks.data import photo
from benchmarks.machine import processor
from sr_runtime.cli.console import run_cli
from sr_runtime.embedded import DEFAULT
from sr_runtime.errors import ArgumentError
from sr_runtime.video import CODECS, Codec, upscale_video

RATE = 25


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return 0, or 2 after an error."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.video", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--size", default="180x320", help="height x width (%(default)s)")
    parser.add_argument("--frames", type=int, default=48, help="(%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--codec", nargs="+", choices=CODECS, default=["h264"], help="(h264)")
    parser.add_argument("-m", "--model", default=DEFAULT, help="as for upscale (%(default)s)")
    parser.add_argument("--device", default="auto", help="as for upscale (%(default)s)")
    arguments = parser.parse_args(argv)
    return run_cli(lambda _: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    try:
        height, width = map(int, arguments.size.split("x"))
    except ValueError as error:
        size = arguments.size
        raise ArgumentError(f"--size {size} is not HEIGHTxWIDTH, such as 180x320") from error
    frames = panned(photo(), arguments.frames, height, width)
    codecs: list[Codec] = arguments.codec
    bare: list[float] = []
    rates: dict[Codec, list[float]] = {codec: [] for codec in codecs}
    with (
        tempfile.TemporaryDirectory() as folder,
        sr_runtime.load(arguments.model, device=arguments.device) as upscaler,
    ):
        clip, large = Path(folder, "clip.mp4"), Path(folder, "large.mkv")
        write_clip(frames, clip)
        upscaler.upscale(frames[0])
        for _ in range(arguments.rounds):
            bare.append(bare_rate(upscaler, frames))
            for codec in codecs:
                start = time.perf_counter()
                upscale_video(upscaler, clip, large, codec=codec)
                rates[codec].append(len(frames) / (time.perf_counter() - start))
        backend = upscaler.backend
        print(
            f"{len(frames)} frames of {width}×{height} with {arguments.model}, "
            f"{backend.compute_dtype} on {backend.device} ({backend.name}), {processor()}, "
            f"{os.cpu_count()} cores"
        )
    print("| | frames/s | of the bare rate |\n|---|--:|--:|")
    print(f"| the network alone | {statistics.median(bare):.2f} | |")
    for codec in codecs:
        shares = [rate / alone for rate, alone in zip(rates[codec], bare, strict=True)]
        print(
            f"| {codec} | {statistics.median(rates[codec]):.2f} | "
            f"{100 * statistics.median(shares):.0f} % |"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak memory {peak * (1 if sys.platform == 'darwin' else 1024) / 1e9:.2f} GB")
    return 0


def panned(
    image: NDArray[np.uint8], count: int, height: int, width: int
) -> list[NDArray[np.uint8]]:
    """Frames of a camera that moves over the image, which is repeated."""
    tiles = -(-(height + count) // image.shape[0]), -(-(width + 2 * count) // image.shape[1])
    wide = np.tile(image, (*tiles, 1))
    return [np.ascontiguousarray(wide[n : n + height, 2 * n : 2 * n + width]) for n in range(count)]


def write_clip(frames: Sequence[NDArray[np.uint8]], path: Path) -> None:
    """An MP4 as a telephone makes it: H.264, 4:2:0, BT.709."""
    import av

    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream("libx264", rate=RATE, options={"crf": "18"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.colorspace = stream.codec_context.color_range = 1
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.colorspace = 1
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())


def bare_rate(upscaler: sr_runtime.Upscaler, frames: Sequence[NDArray[np.uint8]]) -> float:
    """Frames a second of the network alone."""
    start = time.perf_counter()
    with ThreadPoolExecutor(upscaler.backend.limits.images) as workers:
        for result in workers.map(upscaler.upscale, frames):
            del result
    return len(frames) / (time.perf_counter() - start)


if __name__ == "__main__":
    sys.exit(main())

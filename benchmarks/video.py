"""Frames per second of a video, beside the bare rate of the network over the same frames.

The clip pans over a photo, so that no two frames are equal. In each round the network first
upscales the decoded frames in memory, by as many threads as its engine takes images at once; then
each codec makes a video of the same clip, with decoding, colour conversion, encoding and joining:
once with the network, and once with pixels repeated instead, which takes no time. The lower of both
rates limits the video. The medians of all rounds are printed, and the peak memory of the process.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import sr_runtime
from benchmarks.arguments import count, size
from benchmarks.data import photo
from benchmarks.machine import processor, require_peak_memory
from sr_runtime.backends.base import Limits
from sr_runtime.cli.console import run_cli
from sr_runtime.cli.parser import Parser, nonempty
from sr_runtime.embedded import DEFAULT
from sr_runtime.model_info import ModelInfo
from sr_runtime.video import upscale_video
from sr_runtime.video.formats import CODECS, Codec

RATE = 25


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return 0, or 2 after an error."""
    return run_cli(lambda words: _run(**vars(parser().parse_args(words))), argv)


def parser() -> Parser:
    """The command line."""
    made = Parser(
        prog="python -m benchmarks.video",
        description=__doc__,
        examples={"": "", "--codec h264 hevc av1 ffv1": "every codec"},
    )
    made.add_argument(
        "--size", type=size, default="320x180", metavar="WxH",
        help="width and height of a frame in pixels (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--frames", type=count, default=48, metavar="N", help="frames (default: %(default)s)"
    )
    made.add_argument(
        "--rounds", type=count, default=3, metavar="N",
        help="how often everything is measured (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--codec", nargs="+", choices=CODECS, help="codecs of the result (default: h264)",
    )  # fmt: skip
    made.add_argument(
        "-m", "--model", type=nonempty, default=DEFAULT,
        help="a model's name or file, as for upscale (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--device", type=nonempty, default="auto", help="as for upscale (default: %(default)s)"
    )
    return made


def _run(
    *,
    size: tuple[int, int],
    frames: int,
    rounds: int,
    codec: Sequence[Codec] | None,
    model: str,
    device: str,
) -> int:
    require_peak_memory()
    import resource

    width, height = size
    codecs = codec or ["h264"]
    pictures = panned(photo(), frames, height, width)
    bare: list[float] = []
    rates: dict[Codec, list[float]] = {each: [] for each in codecs}
    others: dict[Codec, list[float]] = {each: [] for each in codecs}
    with (
        tempfile.TemporaryDirectory() as folder,
        sr_runtime.load(model, device=device) as upscaler,
    ):
        clip, large = Path(folder, "clip.mp4"), Path(folder, "large.mkv")
        write_clip(pictures, clip)
        upscaler.upscale(pictures[0])
        repeating = sr_runtime.Upscaler(Repeating(upscaler.info.scale, upscaler.backend.limits))
        for _ in range(rounds):
            bare.append(bare_rate(upscaler, pictures))
            for each in codecs:
                for by, measured in ((upscaler, rates), (repeating, others)):
                    start = time.perf_counter()
                    upscale_video(by, clip, large, codec=each)
                    measured[each].append(frames / (time.perf_counter() - start))
        backend = upscaler.backend
        print(
            f"{frames} frames of {width}×{height} with {model}, {backend.compute_dtype} on "
            f"{backend.device} ({backend.name}), {processor()}, {os.cpu_count()} cores"
        )
    megapixels = height * width * upscaler.info.scale**2 / 1e6
    print(
        "| | frames/s | megapixels/s of the result | of the bare rate | frames/s without the "
        "network |\n|---|--:|--:|--:|--:|"
    )
    alone = statistics.median(bare)
    print(f"| the network alone | {alone:.2f} | {alone * megapixels:.2f} | | |")
    for each in codecs:
        shares = [rate / alone for rate, alone in zip(rates[each], bare, strict=True)]
        share = 100 * statistics.median(shares)
        rate, other = statistics.median(rates[each]), statistics.median(others[each])
        print(f"| {each} | {rate:.2f} | {rate * megapixels:.2f} | {share:.0f} % | {other:.2f} |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak memory {peak * (1 if sys.platform == 'darwin' else 1024) / 1e9:.2f} GB")
    return 0


def panned(
    image: NDArray[np.uint8], frames: int, height: int, width: int
) -> list[NDArray[np.uint8]]:
    """Frames of a camera that moves over the image, which is repeated."""
    tiles = -(-(height + frames) // image.shape[0]), -(-(width + 2 * frames) // image.shape[1])
    wide = np.tile(image, (*tiles, 1))
    return [
        np.ascontiguousarray(wide[n : n + height, 2 * n : 2 * n + width]) for n in range(frames)
    ]


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


class Repeating:
    """A backend of next to no cost, which repeats each pixel."""

    name, device, compute_dtype = "repeating", "cpu", "fp32"
    notes: tuple[str, ...] = ()

    def __init__(self, scale: int, limits: Limits) -> None:
        self.info = ModelInfo(
            arch="repeating", scale=scale, in_channels=3, out_channels=3, io="float32",
            weights_dtype="float32", halo=0, receptive_radius=0,
        )  # fmt: skip
        self.limits = replace(limits, pixels=True)

    def submit(self, batch: NDArray[Any]) -> "Repeated":
        return Repeated(batch.repeat(self.info.scale, axis=2).repeat(self.info.scale, axis=1))

    def shrink(self) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Repeated:
    """A batch of it."""

    pixels: NDArray[Any]

    def result(self) -> NDArray[Any]:
        return self.pixels

    def release(self) -> None: ...


def bare_rate(upscaler: sr_runtime.Upscaler, frames: Sequence[NDArray[np.uint8]]) -> float:
    """Frames a second of the network alone."""
    start = time.perf_counter()
    with ThreadPoolExecutor(upscaler.backend.limits.images) as workers:
        for result in workers.map(upscaler.upscale, frames):
            del result
    return len(frames) / (time.perf_counter() - start)


if __name__ == "__main__":
    sys.exit(main())

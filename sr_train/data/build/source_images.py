"""What can be known to be wrong with a folder of images before any is decoded."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image

from sr_runtime.errors import ArgumentError, ImageError
from sr_runtime.image import size_and_frames
from sr_runtime.image.bit_depth import bits_per_channel
from sr_runtime.image.exif import descriptive_exif
from sr_runtime.evaluation.pairs import Pair

__all__ = ["Header", "check_pairs", "fingerprint", "read_header"]

SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that exchange height and width


@dataclass(frozen=True)
class Header:
    """What an image will be when it is read."""

    height: int
    width: int
    channels: int
    """1 (gray) or 3 (RGB)."""


def read_header(path: Path) -> Header:
    """Of an image that can be trained on: one picture, 8 bits, no alpha. Else raises ImageError."""
    _, _, frames = size_and_frames(path)
    if frames == 0:
        raise ImageError(f"{path}: no image that can be read: remove it, or get it once more")
    if frames > 1:
        raise ImageError(f"{path}: an animation of {frames} frames: save those you want as PNG")
    with Image.open(path) as image:
        if (bits := bits_per_channel(image)) > 8:
            raise ImageError(f"{path}: {bits} bits per channel: convert it to 8")
        if image.has_transparency_data:
            raise ImageError(f"{path}: has an alpha channel: flatten it, or save it without")
        height, width = image.height, image.width
        if _orientation(image) in SIDEWAYS:
            height, width = width, height
        return Header(height, width, 1 if image.mode in ("1", "L") else 3)


def check_pairs(
    pairs: Sequence[Pair], scale: int, *, gray_among_rgb: bool
) -> tuple[list[tuple[int, int]], int]:
    """Heights and widths of the HR images, and the channels of all.

    Raises ArgumentError or ImageError, naming the file, if one cannot be trained on, is smaller
    than `scale`, or is gray among RGB. Benchmarks have gray images, to be read as R = G = B:
    `gray_among_rgb` allows that.
    """
    sizes: list[tuple[int, int]] = []
    gray: list[Path] = []
    colored: list[Path] = []
    for pair in pairs:
        header = read_header(pair.hr)
        sizes.append((header.height, header.width))
        headers = {pair.hr: header}
        if pair.lr is not None:
            headers[pair.lr] = _check_lr(pair.lr, header, scale)
        for path, found in headers.items():
            (gray if found.channels == 1 else colored).append(path)
    _check_sizes(pairs, sizes, scale)
    if gray and colored and not gray_among_rgb:
        raise ArgumentError(
            f"{gray[0]}: grayscale, as {len(gray)} of {len(gray) + len(colored)} images are, among "
            "RGB: convert it to RGB, or prepare gray images as a data set of their own"
        )
    return sizes, 3 if colored else 1


def fingerprint(pairs: Sequence[Pair]) -> str:
    """Changes when a file is added, removed, renamed or written."""
    digest = hashlib.sha256()
    for path in (path for pair in pairs for path in (pair.hr, pair.lr) if path is not None):
        facts = path.stat()
        # A name is any bytes, and not always UTF-8.
        digest.update(os.fsencode(path.name))
        digest.update(f"/{facts.st_size}/{facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _orientation(image: Image.Image) -> int | None:
    # Of a PNG without EXIF at its beginning, Pillow would decode all pixels to look at the end.
    if image.format == "PNG" and not {"exif", "Raw profile type exif"} & image.info.keys():
        return None
    return descriptive_exif(image).get(ExifTags.Base.Orientation)


def _check_sizes(pairs: Sequence[Pair], sizes: Sequence[tuple[int, int]], scale: int) -> None:
    small = [i for i, size in enumerate(sizes) if min(size) < scale]
    if 2 * len(small) > len(sizes):  # then it is not the images that are wrong
        height, width = min(sizes, key=min)
        raise ArgumentError(
            f"--scale {scale} is too large for {len(small)} of {len(sizes)} images, of which the "
            f"smallest has {height}×{width} pixels: choose a smaller scale"
        )
    if small:
        height, width = sizes[small[0]]
        raise ArgumentError(
            f"{pairs[small[0]].hr}: {height}×{width} pixels cannot be shrunk {scale} times: "
            "remove it"
        )


def _check_lr(path: Path, hr: Header, scale: int) -> Header:
    lr = read_header(path)
    if (lr.height, lr.width) != (hr.height // scale, hr.width // scale):
        raise ArgumentError(
            f"{path}: {lr.height}×{lr.width} pixels, where its HR image of {hr.height}×{hr.width} "
            f"shrunk {scale} times has {hr.height // scale}×{hr.width // scale}: choose images "
            f"made for a scale of {scale}"
        )
    return lr

"""Checking a folder of images by their headers, before any is decoded."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from sr_runtime.errors import ArgumentError, DataError, ImageError
from sr_runtime.evaluation.pairs import Pair
from sr_runtime.image import Header, read_header

__all__ = ["check_pairs", "fingerprint"]


def check_pairs(
    pairs: Sequence[Pair], scale: int, *, gray_among_rgb: bool
) -> tuple[list[tuple[int, int]], int]:
    """Height and width of each HR image, and the number of channels of all.

    Args:
        gray_among_rgb: Accept gray images among RGB ones, as benchmarks have them; they will be
            read as R = G = B.

    Raises:
        ImageError: An image cannot be trained on.
        DataError: An image is smaller than `scale` or gray among RGB, or an LR image has not the
            size of its shrunk HR image.
        ArgumentError: Most images are smaller than `scale`.
    """
    sizes: list[tuple[int, int]] = []
    gray: list[Path] = []
    colored: list[Path] = []
    for pair in pairs:
        header = _checked_header(pair.hr)
        sizes.append((header.height, header.width))
        headers = {pair.hr: header}
        if pair.lr is not None:
            headers[pair.lr] = _check_lr(pair.lr, header, scale)
        for path, found in headers.items():
            (gray if found.gray else colored).append(path)
    _check_sizes(pairs, sizes, scale)
    if gray and colored and not gray_among_rgb:
        raise DataError(
            f"grayscale, as {len(gray)} of {len(gray) + len(colored)} images are: convert "
            "them to RGB, or prepare them as a data set of their own",
            path=gray[0],
        )
    return sizes, 3 if colored else 1


def fingerprint(pairs: Sequence[Pair]) -> str:
    """A digest that changes when a file is added, removed, renamed or written."""
    digest = hashlib.sha256()
    for path in (path for pair in pairs for path in (pair.hr, pair.lr) if path is not None):
        facts = path.stat()
        # Names are bytes, not always UTF-8.
        digest.update(os.fsencode(path.name))
        digest.update(f"/{facts.st_size}/{facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _checked_header(path: Path) -> Header:
    """The header of an image that can be trained on; raises ImageError for any other."""
    header = read_header(path)
    if header.frames > 1:
        raise ImageError(
            f"an animation of {header.frames} frames: save those you want as PNG", path=path
        )
    if header.bits > 8:
        raise ImageError(f"{header.bits} bits per channel: convert it to 8", path=path)
    if header.alpha:
        raise ImageError("an alpha channel: flatten it, or save it without", path=path)
    return header


def _check_sizes(pairs: Sequence[Pair], sizes: Sequence[tuple[int, int]], scale: int) -> None:
    small = [i for i, size in enumerate(sizes) if min(size) < scale]
    if 2 * len(small) > len(sizes):  # then the scale is wrong, not the images
        height, width = min(sizes, key=min)
        raise ArgumentError(
            f"--scale {scale} is too large for {len(small)} of {len(sizes)} images, the smallest "
            f"of {height}×{width} pixels: choose a smaller scale"
        )
    if small:
        height, width = sizes[small[0]]
        raise DataError(
            f"{height}×{width} pixels cannot be shrunk {scale} times: remove it",
            path=pairs[small[0]].hr,
        )


def _check_lr(path: Path, hr: Header, scale: int) -> Header:
    lr = _checked_header(path)
    if (lr.height, lr.width) != (hr.height // scale, hr.width // scale):
        raise DataError(
            f"{lr.height}×{lr.width} pixels, and its HR image of {hr.height}×{hr.width} shrunk "
            f"{scale} times has {hr.height // scale}×{hr.width // scale}: use images made for a "
            f"scale of {scale}",
            path=path,
        )
    return lr

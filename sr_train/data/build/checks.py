"""Which images can be prepared, judged by their headers before any is decoded."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sr_runtime.errors import ArgumentError, DataError, ImageError, SRError
from sr_runtime.evaluation.pairs import Pair
from sr_runtime.image import Header, read_header

__all__ = ["Candidate", "check_pairs"]


@dataclass(frozen=True)
class Candidate:
    """A pair whose headers show nothing against it."""

    pair: Pair
    size: tuple[int, int]
    """Height and width of HR."""
    gray: bool


def check_pairs(
    pairs: Sequence[Pair], scale: int, *, gray_among_rgb: bool
) -> tuple[list[Candidate], list[SRError]]:
    """The pairs that can be prepared, and the errors of all others.

    An image is refused if it is damaged, an animation, of several pages, of more than 8 bits, has
    alpha, or is smaller than `scale`. So is an LR image whose size does not fit its HR's.

    Args:
        gray_among_rgb: Accept gray images among RGB ones, as benchmarks have them; they will be
            read as R = G = B.

    Raises:
        ArgumentError: Most images are smaller than `scale`.
    """
    fit: list[Candidate] = []
    unfit: list[SRError] = []
    small: list[tuple[int, int]] = []
    for pair in pairs:
        try:
            hr = _checked_header(pair.hr)
            size = hr.height, hr.width
            if min(size) < scale:
                small.append(size)
                raise DataError(
                    f"{hr.height}×{hr.width} pixels cannot be shrunk {scale} times: remove it",
                    path=pair.hr,
                )
            if pair.lr is not None:
                _check_lr(pair.lr, hr, scale)
            fit.append(Candidate(pair, size, hr.gray))
        except (DataError, ImageError) as error:
            unfit.append(error)
    if 2 * len(small) > len(pairs):  # then the scale is wrong, not the images
        height, width = min(small, key=min)
        raise ArgumentError(
            f"--scale {scale} is too large for {len(small)} of {len(pairs)} images, the smallest "
            f"of {height}×{width} pixels: choose a smaller scale"
        )
    gray = [candidate for candidate in fit if candidate.gray]
    if gray_among_rgb or len(gray) in (0, len(fit)):
        return fit, unfit
    unfit += [
        DataError(
            f"grayscale ({len(gray)} of {len(fit)} images): convert it to RGB, or prepare gray "
            "images as a data set of their own",
            path=candidate.pair.hr,
        )
        for candidate in gray
    ]
    return [candidate for candidate in fit if not candidate.gray], unfit


def _checked_header(path: Path) -> Header:
    """The header of an image that can be trained on; raises ImageError for any other."""
    header = read_header(path)
    if header.frames > 1:
        raise ImageError(
            f"{header.frames} frames or pages: save those you want as files of their own", path=path
        )
    if header.bits > 8:
        raise ImageError(f"{header.bits} bits per channel: convert it to 8", path=path)
    if header.alpha:
        raise ImageError("an alpha channel: flatten it, or save it without", path=path)
    return header


def _check_lr(path: Path, hr: Header, scale: int) -> None:
    lr = _checked_header(path)
    if (lr.height, lr.width) != (hr.height // scale, hr.width // scale):
        raise DataError(
            f"{lr.height}×{lr.width} pixels, and its HR image of {hr.height}×{hr.width} shrunk "
            f"{scale} times has {hr.height // scale}×{hr.width // scale}: use images made for a "
            f"scale of {scale}",
            path=path,
        )
    if lr.gray != hr.gray:
        kinds = ("gray", "RGB") if lr.gray else ("RGB", "gray")
        raise DataError(
            "{} pixels, and its HR image's are {}: convert either".format(*kinds), path=path
        )

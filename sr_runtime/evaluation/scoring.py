"""Scoring a model on the whole images of a data set, as the literature does, and the tables."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from statistics import fmean
from typing import Any, Protocol, get_args

from numpy.typing import NDArray

from sr_runtime.errors import ArgumentError, about
from sr_runtime.evaluation.metrics import Channel, cropped, psnr, ssim
from sr_runtime.printable import printable
from sr_runtime.resize import resize
from sr_runtime.upscaler import Upscaler

__all__ = [
    "DISTANCES",
    "TILE",
    "Distance",
    "ImagePair",
    "Score",
    "bicubic",
    "compare",
    "mean",
    "models_table",
    "score",
    "table",
    "upscale_whole",
]

Distance = Callable[[NDArray[Any], NDArray[Any]], float]
"""A learned distance between an image and its original: the caller brings the network."""

DISTANCES = {
    "lpips": ("LPIPS", "LPIPS v0.1 with SqueezeNet"),
    "st_lpips": ("ST-LPIPS", "ST-LPIPS with VGG-16"),
    "vgg19": ("VGG-19", "distance of VGG-19's features"),
}
"""The columns of learned distances, by the field of `Score`: their titles, and what they are."""

TILE = 4096
"""LR pixels, for `sr_runtime.load`: more than any benchmark image has a side."""


class ImagePair(Protocol):
    """An image of a data set: `sr_runtime.evaluation.pairs.Pair`, or one of a packed data set."""

    @property
    def name(self) -> str: ...

    def read(self, scale: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """LR `(h, w, C)` and HR `(scale·h, scale·w, C)`."""

    def read_hr(self, scale: int) -> NDArray[Any]:
        """HR alone."""


@dataclass(frozen=True)
class Score:
    """PSNR in dB, SSIM and learned distances of one image, or their means over a data set."""

    name: str
    psnr_y: float
    ssim_y: float
    psnr_rgb: float
    ssim_rgb: float
    lpips: float | None = None
    """None, here and below: not measured."""
    st_lpips: float | None = None
    vgg19: float | None = None


def score(
    upscale: Callable[[NDArray[Any]], NDArray[Any]],
    pairs: Iterable[ImagePair],
    *,
    scale: int,
    crop: int | None = None,
    distances: Mapping[str, Distance] | None = None,
) -> list[Score]:
    """Score `upscale`, from `(H, W, C)` to `(scale·H, scale·W, C)`, on whole images.

    Args:
        crop: HR pixels to leave out along each border; None: `scale`, as is customary.
        distances: Those of DISTANCES to measure, of two `(H, W, C)` images without their borders.
    """
    border = scale if crop is None else crop
    scores = []
    for pair in pairs:
        lr, hr = pair.read(scale)
        scores.append(compare(pair.name, upscale(lr), hr, crop=border, distances=distances))
    return scores


def compare(
    name: str,
    sr: NDArray[Any],
    hr: NDArray[Any],
    *,
    crop: int,
    distances: Mapping[str, Distance] | None = None,
) -> Score:
    """Score the result `sr` against `hr`; raises ArgumentError, about `name`, as `psnr` does."""
    with about(name):
        values = [
            metric(sr, hr, channel=channel, crop=crop)
            for channel in get_args(Channel)
            for metric in (psnr, ssim)
        ]
        inner = cropped(sr, hr, crop, smallest=1)
        learned = {field: distance(*inner) for field, distance in (distances or {}).items()}
    return Score(name, *values, **learned)


def mean(scores: Sequence[Score], name: str = "mean") -> Score:
    """The mean of every column; None of a column that some score lacks."""
    columns = zip(*(astuple(row)[1:] for row in scores), strict=True)
    figures: list[Any] = [None if None in column else fmean(column) for column in columns]
    return Score(name, *figures)


def table(scores: Sequence[Score], *, crop: int, references: Sequence[Score] = ()) -> str:
    """Markdown: the protocol, then `scores`, their mean and the `references` to compare it with."""
    return _markdown("image", [*scores, mean(scores), *references], images=len(scores), crop=crop)


def models_table(means: Sequence[Score], *, images: int, crop: int) -> str:
    """Markdown: the protocol, then one row per model with its mean over `images` images."""
    return _markdown("model", means, images=images, crop=crop)


def _markdown(label: str, rows: Sequence[Score], *, images: int, crop: int) -> str:
    head = (
        f"{images} images, each as a whole, {crop} pixels cropped along every border; PSNR in "
        "dB, SSIM with an 11×11 Gaussian window; Y: luma in BT.601 studio range"
    )
    columns = {
        label: [printable(row.name) for row in rows],
        "PSNR Y": [f"{row.psnr_y:.3f}" for row in rows],
        "SSIM Y": [f"{row.ssim_y:.4f}" for row in rows],
        "PSNR RGB": [f"{row.psnr_rgb:.3f}" for row in rows],
        "SSIM RGB": [f"{row.ssim_rgb:.4f}" for row in rows],
    }
    learned = []
    for field, (title, what) in DISTANCES.items():
        values = [getattr(row, field) for row in rows]
        if any(value is not None for value in values):
            learned.append(what)
            columns[title] = ["" if value is None else f"{value:.4f}" for value in values]
    if learned:
        head += f"; {', '.join(learned)}: in RGB, smaller is better"
    titled = [(title, *cells) for title, cells in columns.items()]
    first, *others = (max(map(len, column)) for column in titled)
    lines = []
    for name, *texts in zip(*titled, strict=True):
        cells = (f"{text:>{width}}" for text, width in zip(texts, others, strict=True))
        lines.append(f"| {name:{first}} | {' | '.join(cells)} |")
    rule = f"|:{'-' * first}-|" + "".join("-" * (width + 1) + ":|" for width in others)
    return "\n".join([head, "", lines[0], rule, *lines[1:]])


def upscale_whole(upscaler: Upscaler, image: NDArray[Any]) -> NDArray[Any]:
    """Upscale in a single tile; ArgumentError if the model cannot take the whole image."""
    if len(upscaler.plan(*image.shape[:2])) > 1:
        raise ArgumentError(
            f"an image has {image.shape[0]}×{image.shape[1]} pixels and the model takes at most "
            f"{upscaler.max_tile[0]}×{upscaler.max_tile[1]}: use a model that takes any size"
        )
    return upscaler.upscale(image)


def bicubic(image: NDArray[Any], scale: int) -> NDArray[Any]:
    """MATLAB's bicubic enlargement, from `(H, W, C)` to `(scale·H, scale·W, C)`."""
    return resize(image, scale * image.shape[0], scale * image.shape[1])

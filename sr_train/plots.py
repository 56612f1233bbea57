"""The pictures of a run: networks side by side, and the curves of metrics.csv."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from math import ceil
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
from numpy.typing import NDArray

from sr_runtime.errors import require_extra
from sr_runtime.evaluation.metrics import psnr
from sr_runtime.resize import resize
from sr_runtime.storage.atomic import atomic_path
from sr_train.metrics_file import read_metrics

__all__ = ["comparison", "curves", "draw_curves", "magnified", "side_by_side", "stacked"]

Image = NDArray[np.uint8]
Series = Mapping[str, Sequence[tuple[str, int, float]]]

# A comparison shows at most this many HR pixels of each axis, from the middle.
WINDOW = 512

CAPTION = 24
GAP = 4

# The curves of a panel have the same unit. Keys are columns of metrics.csv, values their labels.
PANELS: dict[str, dict[str, str]] = {
    "Content loss": {"content": "training crops", "val_content": "validation"},
    "Generator's loss": {"perceptual": "perceptual", "g_total": "total"},
    "Adversarial losses": {"g_adversarial": "generator", "d_adversarial": "discriminator"},
    "PSNR Y in dB, higher is better": {"val_psnr_y": "validation"},
    "LPIPS, lower is better": {"val_lpips": "validation"},
    "Learning rates": {"lr_g": "generator", "lr_d": "discriminator"},
}
LOGARITHMIC = ("Content loss", "Learning rates")

# The second line is dashed, so that the first shows through where they are equal.
LINES = (
    {"color": "tab:blue", "linewidth": 2.0},
    {"color": "tab:orange", "linewidth": 1.5, "linestyle": (0, (4, 3))},
)


def comparison(lr: Image, srs: Mapping[str, Image], hr: Image, scale: int) -> Image:
    """LR, bicubic, each of `srs` and HR side by side, with captions and PSNR Y: (H, W, 3) uint8.

    `lr` is (h, w, 1 or 3), the others are `scale` times as high and wide.
    """
    height, width = hr.shape[:2]
    panels = {"LR": magnified(lr, scale)}
    for name, image in {"bicubic": resize(lr, height, width), **srs}.items():
        panels[f"{name}  {psnr(image, hr, channel='y', crop=scale):.2f} dB"] = image
    panels["HR"] = hr
    return side_by_side(panels)


def side_by_side(panels: Mapping[str, Image]) -> Image:
    """Images of one size, (H, W, 1 or 3), with their captions: (H, W, 3) uint8.

    Large images are cropped to the middle, small ones magnified by a whole number.
    """
    first = next(iter(panels.values()))
    window = _middle(first.shape[0]), _middle(first.shape[1])
    shown_height, shown_width = first[window].shape[:2]
    font = PIL.ImageFont.load_default(size=CAPTION * 0.6)
    needed = ceil(max(font.getlength(caption) for caption in panels)) + 2 * GAP
    # Magnified until the captions fit, but not beyond the window.
    factor = max(1, min(ceil(needed / shown_width), WINDOW // max(shown_height, shown_width)))
    column = max(needed, factor * shown_width)
    size = (len(panels) * (column + GAP) - GAP, CAPTION + factor * shown_height)
    canvas = PIL.Image.new("RGB", size, color="white")
    draw = PIL.ImageDraw.Draw(canvas)
    for index, (caption, image) in enumerate(panels.items()):
        left = index * (column + GAP)
        rgb = np.broadcast_to(image[window], (shown_height, shown_width, 3))
        canvas.paste(PIL.Image.fromarray(magnified(rgb, factor)), (left, CAPTION))
        draw.text((left + GAP, CAPTION / 2), caption, fill=(0, 0, 0), font=font, anchor="lm")
    return np.asarray(canvas)


def magnified(image: Image, factor: int) -> Image:
    """(H, W, C) with each pixel as a square of `factor` × `factor`."""
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def stacked(pictures: Sequence[Image]) -> Image:
    """Pictures (H, W, 3) below one another, on white."""
    sizes = [picture.shape for picture in pictures]
    canvas = np.full((sum(h for h, _, _ in sizes), max(w for _, w, _ in sizes), 3), 255, np.uint8)
    top = 0
    for picture in pictures:
        height, width, _ = picture.shape
        canvas[top : top + height, :width] = picture
        top += height
    return canvas


def draw_curves(folder: Path) -> None:
    """Write curves.png from the run's metrics.csv, or nothing if that has no values."""
    series = read_metrics(folder / "metrics.csv")
    if not series:
        return
    with atomic_path(folder / "curves.png") as temporary:
        curves(series).savefig(temporary, dpi=110)


def curves(series: Series) -> Any:
    """A matplotlib figure with a panel for each quantity and a line for each stage."""
    with require_extra("train"):
        from matplotlib.figure import Figure

    shown = [title for title, names in PANELS.items() if names.keys() & series.keys()]
    columns = 2 if len(shown) <= 4 else 3
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(5.5 * columns, 4.2 * rows), layout="constrained")
    for place, title in enumerate(shown, start=1):
        axes = figure.add_subplot(rows, columns, place)
        axes.set_title(title, fontsize=11, loc="left")
        axes.set_xlabel("mini-batches")
        axes.grid(alpha=0.3)
        axes.margins(y=0.12)  # room for the names of the stages
        if title in LOGARITHMIC:
            axes.set_yscale("log")
        for (name, label), style in zip(PANELS[title].items(), LINES, strict=False):
            _draw_lines(axes, series.get(name, ()), label, style)
        if len(PANELS[title]) > 1:  # above the panel, where it hides no line
            axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
        _mark_stages(axes, series)
    return figure


def _middle(length: int) -> slice:
    start = max(0, length - WINDOW) // 2
    return slice(start, start + min(length, WINDOW))


def _draw_lines(
    axes: Any, values: Sequence[tuple[str, int, float]], label: str, style: Mapping[str, object]
) -> None:
    marker = "." if label == "validation" else ""
    for _, points in groupby(values, key=itemgetter(0)):
        _, steps, heights = zip(*points, strict=True)
        axes.plot(steps, heights, marker=marker, label=label, **style)
        label = ""


def _mark_stages(axes: Any, series: Series) -> None:
    """Give all panels the same steps; name the two stages and shade the second."""
    rows = sorted((step, stage) for values in series.values() for stage, step, _ in values)
    (_, first), (end, last) = rows[0], rows[-1]
    axes.set_xlim(0, end)
    if first != last:
        border = max(step for step, stage in rows if stage == first)
        axes.axvspan(border, end, color="tab:blue", alpha=0.06)
        place = {"y": 0.98, "transform": axes.get_xaxis_transform(), "va": "top", "fontsize": 8}
        axes.text(border, s=f"{first} ", ha="right", **place)
        axes.text(border, s=f" {last}", ha="left", **place)

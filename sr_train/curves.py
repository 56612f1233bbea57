"""The pictures of a run: the curves of metrics.csv, and images side by side."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
from numpy.typing import NDArray

from sr_runtime.atomic import atomic_path
from sr_runtime.console import needing_extra
from sr_runtime.metrics import psnr
from sr_runtime.resize import resize
from sr_train.metrics_file import read_metrics

__all__ = ["comparison", "draw_curves", "stacked"]

Image = NDArray[np.uint8]
Series = Mapping[str, Sequence[tuple[str, int, float]]]

NAMES = {
    "content": "content",
    "perceptual": "perceptual",
    "g_adversarial": "adversarial",
    "g_total": "generator, total",
    "d_adversarial": "discriminator",
    "lr_g": "generator",
    "lr_d": "discriminator",
    "val_psnr_y": "PSNR Y",
    "val_lpips": "LPIPS",
}

COLORS = ("tab:blue", "tab:orange", "tab:green", "tab:red")

# HR pixels of an image that a comparison shows: of larger ones, the middle.
WINDOW = 512

CAPTION = 24
GAP = 4


def draw_curves(folder: Path) -> None:
    """Draw curves.png from the metrics.csv of a run; nothing if nothing was measured."""
    series = read_metrics(folder / "metrics.csv")
    if not series:
        return
    with needing_extra("train"):
        from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 8.5), layout="constrained")
    content, losses, quality, rates = figure.subplots(2, 2).flat
    _plot(content, series, "content", title="Content loss")
    adversarial = ("perceptual", "g_adversarial", "g_total", "d_adversarial")
    _plot(losses, series, *adversarial, title="Losses of stage 2")
    _plot(quality, series, "val_psnr_y", title="Validation: PSNR Y in dB, more is better")
    if "val_lpips" in series:
        quality.set_title(f"{quality.get_title()}; LPIPS (right), less is better")
        _lines(quality.twinx(), series, "val_lpips", color="tab:orange")
        quality.plot([], [], color="tab:orange", marker=".", label=NAMES["val_lpips"])
        quality.legend()
    _plot(rates, series, "lr_g", "lr_d", title="Learning rates")
    for axes in (content, rates):
        axes.set_yscale("log")
    for axes in (content, losses, quality, rates):
        _mark_stages(axes, series)
    with atomic_path(folder / "curves.png") as temporary:
        figure.savefig(temporary, dpi=110)


def comparison(lr: Image, srs: Mapping[str, Image], hr: Image, scale: int) -> Image:
    """LR, bicubic, each of `srs` and HR side by side, with captions and PSNR Y: (H, W, 3) uint8.

    `lr` is (h, w, 1 or 3), the others are `scale` times as high and wide.
    """
    height, width = hr.shape[:2]
    panels = {"LR": lr.repeat(scale, axis=0).repeat(scale, axis=1)}
    for name, image in {"bicubic": resize(lr, height, width), **srs}.items():
        panels[f"{name}  {psnr(image, hr, channel='y', crop=scale):.2f} dB"] = image
    panels["HR"] = hr
    window = _middle(height), _middle(width)
    shown_height, shown_width = hr[window].shape[:2]
    size = (len(panels) * (shown_width + GAP) - GAP, CAPTION + shown_height)
    canvas = PIL.Image.new("RGB", size, color="white")
    draw = PIL.ImageDraw.Draw(canvas)
    font = PIL.ImageFont.load_default(size=CAPTION * 0.6)
    for index, (caption, image) in enumerate(panels.items()):
        left = index * (shown_width + GAP)
        rgb = np.broadcast_to(image[window], (shown_height, shown_width, 3))
        canvas.paste(PIL.Image.fromarray(np.ascontiguousarray(rgb)), (left, CAPTION))
        draw.text((left + 4, CAPTION / 2), caption, fill=(0, 0, 0), font=font, anchor="lm")
    return np.asarray(canvas)


def stacked(pictures: Sequence[Image]) -> Image:
    """Pictures (H, W, 3) one below the other, on white."""
    sizes = [picture.shape for picture in pictures]
    canvas = np.full((sum(h for h, _, _ in sizes), max(w for _, w, _ in sizes), 3), 255, np.uint8)
    top = 0
    for picture in pictures:
        height, width, _ = picture.shape
        canvas[top : top + height, :width] = picture
        top += height
    return canvas


def _middle(length: int) -> slice:
    start = max(0, length - WINDOW) // 2
    return slice(start, start + min(length, WINDOW))


def _plot(axes: Any, series: Series, *names: str, title: str) -> None:
    axes.set_title(title, fontsize=11)
    axes.set_xlabel("mini-batches")
    axes.grid(alpha=0.3)
    measured = [name for name in names if name in series]
    for name, color in zip(measured, COLORS, strict=False):
        _lines(axes, series, name, color=color)
    if measured:
        axes.legend()
    else:
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", color="gray")


def _lines(axes: Any, series: Series, name: str, *, color: str) -> None:
    """A line for each stage."""
    label, marker = NAMES[name], "." if name.startswith("val_") else ""
    for _, points in groupby(series[name], key=itemgetter(0)):
        _, steps, values = zip(*points, strict=True)
        axes.plot(steps, values, color=color, marker=marker, linewidth=1.2, label=label)
        label = ""


def _mark_stages(axes: Any, series: Series) -> None:
    """The same steps in all pictures, with the second stage, where there are two, shaded."""
    rows = sorted((step, stage) for values in series.values() for stage, step, _ in values)
    (_, first), (end, last) = rows[0], rows[-1]
    axes.set_xlim(0, end)
    if first != last:
        border = max(step for step, stage in rows if stage == first)
        axes.axvspan(border, end, color="tab:blue", alpha=0.06)
        place = {"y": 0.98, "transform": axes.get_xaxis_transform(), "va": "top", "fontsize": 8}
        axes.text(border, s=f"{first} ", ha="right", **place)
        axes.text(border, s=f" {last}", ha="left", **place)

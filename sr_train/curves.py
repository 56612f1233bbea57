"""The curves of a run's metrics.csv in one picture."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from sr_runtime.atomic import atomic_path
from sr_runtime.console import needing_extra
from sr_train.metrics_file import read_metrics

__all__ = ["draw_curves"]
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

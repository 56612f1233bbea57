"""The curves of a run's metrics.csv in one picture."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from sr_runtime.atomic import atomic_path
from sr_runtime.cli.console import require_extra
from sr_train.metrics_file import read_metrics

__all__ = ["curves", "draw_curves"]

Series = Mapping[str, Sequence[tuple[str, int, float]]]

# What is shown together is of one size; the columns of metrics.csv with their names there.
PANELS: dict[str, dict[str, str]] = {
    "Content loss": {"content": "training crops", "val_content": "validation"},
    "Generator's loss": {"perceptual": "perceptual", "g_total": "total"},
    "Adversarial losses": {"g_adversarial": "generator", "d_adversarial": "discriminator"},
    "PSNR Y in dB, more is better": {"val_psnr_y": "validation"},
    "LPIPS, less is better": {"val_lpips": "validation"},
    "Learning rates": {"lr_g": "generator", "lr_d": "discriminator"},
}
LOGARITHMIC = ("Content loss", "Learning rates")

# The second lies over the first where they are equal: both are to be seen.
LINES = (
    {"color": "tab:blue", "linewidth": 2.0},
    {"color": "tab:orange", "linewidth": 1.5, "linestyle": (0, (4, 3))},
)


def draw_curves(folder: Path) -> None:
    """Draw curves.png from the metrics.csv of a run; nothing if nothing was measured."""
    series = read_metrics(folder / "metrics.csv")
    if not series:
        return
    with atomic_path(folder / "curves.png") as temporary:
        curves(series).savefig(temporary, dpi=110)


def curves(series: Series) -> Any:
    """A figure of matplotlib: a panel for each thing measured, a line for each stage in it."""
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
        axes.margins(y=0.12)  # room for the stages' names
        if title in LOGARITHMIC:
            axes.set_yscale("log")
        for (name, label), style in zip(PANELS[title].items(), LINES, strict=False):
            _lines(axes, series.get(name, ()), label, style)
        if len(PANELS[title]) > 1:  # above, where it covers no line
            axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
        _mark_stages(axes, series)
    return figure


def _lines(
    axes: Any, values: Sequence[tuple[str, int, float]], label: str, style: Mapping[str, object]
) -> None:
    marker = "." if label == "validation" else ""
    for _, points in groupby(values, key=itemgetter(0)):
        _, steps, heights = zip(*points, strict=True)
        axes.plot(steps, heights, marker=marker, label=label, **style)
        label = ""


def _mark_stages(axes: Any, series: Series) -> None:
    """The same steps in all panels, with the second stage, where there are two, shaded."""
    rows = sorted((step, stage) for values in series.values() for stage, step, _ in values)
    (_, first), (end, last) = rows[0], rows[-1]
    axes.set_xlim(0, end)
    if first != last:
        border = max(step for step, stage in rows if stage == first)
        axes.axvspan(border, end, color="tab:blue", alpha=0.06)
        place = {"y": 0.98, "transform": axes.get_xaxis_transform(), "va": "top", "fontsize": 8}
        axes.text(border, s=f"{first} ", ha="right", **place)
        axes.text(border, s=f" {last}", ha="left", **place)

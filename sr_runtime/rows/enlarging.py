"""The network over rows: one row of tiles at a time, with the result that the whole image gives."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from sr_runtime.frame import alpha_plane, color_planes, count_layers, with_alpha
from sr_runtime.rows.protocols import RowReader
from sr_runtime.rows.window import MadeRows, Window
from sr_runtime.tileable import NO_WRAP
from sr_runtime.tiled_network import TiledNetwork
from sr_runtime.tiling import Span, TilePlan
from sr_runtime.transparency import bleed_reach, bleed_rows

__all__ = ["enlarged"]


def enlarged(source: RowReader, network: TiledNetwork, on_tiles: Callable[[int], None]) -> MadeRows:
    """The source after one pass of the network. Each band is what a row of tiles writes.

    Args:
        on_tiles: Called with how many more tiles of the plan are done, those too that are left out.
            What it raises ends the run.
    """
    height, width, channels = source.shape
    scale = network.info.scale
    plan = network.plan(height, width)

    def bands(begin: int) -> Iterator[NDArray[Any]]:
        window = Window(source)
        for span in plan.rows:
            if span.end * scale > begin:
                first = max(begin, span.begin * scale) - span.start * scale
                yield enlarge_row(window, span)[first : (span.end - span.start) * scale]
            else:
                on_tiles(len(plan.cols))

    def enlarge_row(window: Window, span: Span) -> NDArray[Any]:
        top, bottom = span.start, min(span.start + plan.shape[0], height)
        first, last = bleed_reach(top, bottom, height) if channels in (2, 4) else (top, bottom)
        rows, part = window.rows(first, last), slice(top - first, bottom - first)
        layers, alpha = count_layers(rows[part]), alpha_plane(rows)
        runs = counted = 0

        def report(done: int, tiles: int) -> None:
            nonlocal counted
            now = len(plan.cols) * (runs * tiles + done) // (layers * tiles)
            more, counted = now - counted, now
            on_tiles(more)

        def enlarge(layer: NDArray[Any]) -> NDArray[Any]:
            nonlocal runs
            result = network.run(layer, NO_WRAP, report, _one_row(plan, span))
            runs += 1
            return result

        if alpha is None:
            return enlarge(rows)
        color = enlarge(bleed_rows(color_planes(rows), alpha, part))
        return with_alpha(color, alpha[part], enlarge)

    return MadeRows((height * scale, width * scale, channels), source.dtype, bands)


def _one_row(plan: TilePlan, span: Span) -> TilePlan:
    """The tiles of one row of a plan, counted from where they start to read."""
    height = plan.shape[0]
    rows = Span(0, span.begin - span.start, span.end - span.start)
    return replace(plan, padded=(height, plan.padded[1]), rows=(rows,))

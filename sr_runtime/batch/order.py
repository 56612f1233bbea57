"""In which order images are taken: those of one tile shape together, a few hundred at a time."""

from collections.abc import Iterator, Sequence
from itertools import islice

from sr_runtime.batch.job import Job
from sr_runtime.image.header import header_of
from sr_runtime.tileable import Tileable
from sr_runtime.tiling import LONGEST
from sr_runtime.upscaler import Upscaler

__all__ = ["in_order"]

STRETCH = 500
"""Images whose headers are read before the first of them is upscaled: a tenth of a second."""

Shape = tuple[int, int] | None


def in_order(upscaler: Upscaler, jobs: Sequence[Job], tileable: Tileable | None) -> Iterator[int]:
    """The numbers of the jobs in their order, or by tile shape where the engine prepares itself
    anew for each; the shape of the image before comes first.
    """
    if upscaler.backend.limits.shape_cost == 0:
        yield from range(len(jobs))
        return

    def shape_of(number: int) -> Shape:
        header = header_of(jobs[number].source)
        if header is None or max(header.height, header.width) > LONGEST:
            return None  # it fails when it is its turn
        return upscaler.plan(header.height, header.width, tileable=tileable).shape

    numbers = iter(range(len(jobs)))
    latest: Shape = None
    while stretch := list(islice(numbers, STRETCH)):
        groups: dict[Shape, list[int]] = {latest: []}
        for number in stretch:
            groups.setdefault(shape_of(number), []).append(number)
        for group in groups.values():
            yield from group
        latest = next(reversed(groups))

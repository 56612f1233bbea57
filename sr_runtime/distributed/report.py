"""The table of a run: what each worker did, and all of them together."""

from dataclasses import dataclass

from sr_runtime.distributed.tasks import Outcome

__all__ = ["Table"]

HEAD: tuple[str, ...] = ("worker", "images", "failed", "MP", "seconds", "MP/s")


@dataclass
class _Sum:
    images: int = 0
    failed: int = 0
    pixels: int = 0
    seconds: float = 0

    def add(self, outcome: Outcome) -> None:
        self.images += outcome.status != "failed"
        self.failed += outcome.status == "failed"
        self.pixels += outcome.height * outcome.width * outcome.frames
        self.seconds += outcome.worker_seconds

    def cells(self, name: str, seconds: float) -> tuple[str, ...]:
        megapixels = self.pixels / 1e6
        rate = megapixels / max(seconds, 1e-3)
        numbers = f"{megapixels:.2f}", f"{seconds:.1f}", f"{rate:.3f}"
        return name, str(self.images), str(self.failed), *numbers


class Table:
    """Counts what becomes of the images; megapixels are those of the sources."""

    def __init__(self) -> None:
        self._all, self._workers = _Sum(), dict[str, _Sum]()

    def add(self, outcome: Outcome) -> None:
        """Count an image."""
        for each in (self._all, self._workers.setdefault(outcome.worker, _Sum())):
            each.add(outcome)

    def lines(self, seconds: float) -> list[str]:
        """Each worker's work in the time that it took, and all work in the run's `seconds`."""
        rows = [
            HEAD,
            *(each.cells(name, each.seconds) for name, each in sorted(self._workers.items())),
            self._all.cells("all", seconds),
        ]
        first, *others = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return [
            "  ".join([f"{name:<{first}}", *map("{:>{}}".format, cells, others)])
            for name, *cells in rows
        ]

"""What is told of the images of a run: a line of JSON for each, or a summary for people."""

import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from sr_runtime.batch.job import Failure, Job, Report
from sr_runtime.cli.console import say
from sr_runtime.cli.pipes import STANDARD, Pipes
from sr_runtime.cli.plan import Plan
from sr_runtime.printable import some

__all__ = ["Reports"]

NAMED = 5
"""Results that are there already and that the summary names, at most."""


class Reports:
    """Counts and tells what becomes of the images; as a context manager it tells the sums too."""

    def __init__(self, pipes: Pipes, by: str, *, as_json: bool, quiet: bool) -> None:
        """
        Args:
            by: The model, and what runs it.
        """
        self._pipes, self._by, self._as_json, self._quiet = pipes, by, as_json, quiet
        self._started = self._began = time.perf_counter()
        self._all, self._now = _Totals(), _Totals()

    def __enter__(self) -> "Reports":
        return self

    def __exit__(self, *_: object) -> None:
        if self._as_json:
            seconds = time.perf_counter() - self._started
            _print_json({"event": "summary", **self._all.fields(seconds), "by": self._by})

    def begin(self, plan: Plan) -> None:
        """Tell what is known before the work."""
        self._now, self._began = _Totals(), time.perf_counter()
        for failure in plan.failures:
            self.add(Report(source=failure.source, status="failed", error=failure.error))
        for job in plan.kept:
            self.add(Report(source=job.source, target=job.target, status=plan.kept_as))

    def add(self, report: Report) -> None:
        """Tell what became of an image; one thread at a time."""
        self._all.add(report)
        self._now.add(report)
        if self._as_json:
            _print_json(_fields(report, self._pipes))

    def end(self, plan: Plan, failures: list[Failure]) -> None:
        """Tell people what became of a plan; the failures are those of its inputs too."""
        if not self._quiet and not self._as_json:
            # The picture itself may go to standard output.
            stream = sys.stdout if self._pipes.sent is None else sys.stderr
            say(*self._summary(plan), file=stream)
        if failures:
            say(f"{len(failures)} failed:", *(f"  {each}" for each in failures), file=sys.stderr)

    def _summary(self, plan: Plan) -> list[str]:
        """What was written, kept and left out."""
        counts, jobs = self._now.images, plan.jobs
        total = len(jobs) + len(plan.failures)
        kept = _kept_text(plan)
        lines = []
        if jobs:
            target = self._pipes.names.get(jobs[0].target, jobs[0].target)
            named = "to standard output" if str(target) == STANDARD else target
            done = counts["written"]
            written = named if total == done == 1 else f"{done} of {total} {_kind(jobs)}"
            seconds = time.perf_counter() - self._began
            what = self._now.text(seconds)
            lines.append(f"wrote {written} in {seconds:.1f} s: {what}{self._by}")
            if others := counts["done"] - len(plan.kept) * (plan.kept_as == "done"):
                lines[-1] += f"; another process made {others}"
            lines[-1] += kept and f"; {kept}"
        elif kept:
            lines.append(f"nothing to do: {kept}")
        if plan.left_out:
            lines.append(f"left out: {plan.left_out}")
        return lines


class _Totals:
    """Images, counted."""

    def __init__(self) -> None:
        self.images: Counter[str] = Counter()
        self._pixels = self._bytes = 0
        self._last: Report | None = None

    def add(self, report: Report) -> None:
        self.images[report.status] += 1
        self._bytes += report.bytes
        if report.status == "written":
            self._last = report
            if report.size is not None:
                self._pixels += report.size[0] * report.size[1] * report.frames

    def text(self, seconds: float) -> str:
        """`4000×3000 to 16000×12000 by `, or `31.0 MP at 0.49 MP/s, 512.3 MB by `."""
        if self._last is None:
            return ""
        if self.images["written"] > 1:
            speed = self._pixels / 1e6 / max(seconds, 1e-3)
            megabytes = f"{self._bytes / 1e6:.1f} MB"
            return f"{self._pixels / 1e6:.2f} MP at {speed:.2f} MP/s to {megabytes} by "
        size, result_size = self._last.size, self._last.result_size
        if size is None or result_size is None:
            return ""
        return f"{size[1]}×{size[0]} to {result_size[1]}×{result_size[0]} by "

    def fields(self, seconds: float) -> dict[str, object]:
        """For a line of JSON."""
        return {
            **{status: self.images[status] for status in ("written", "failed", "done", "existing")},
            "megapixels": round(self._pixels / 1e6, 6),
            "bytes": self._bytes,
            "seconds": round(seconds, 3),
            "megapixels_per_second": round(self._pixels / 1e6 / max(seconds, 1e-3), 3),
        }


def _kind(jobs: Sequence[Job]) -> str:
    videos = [job.video for job in jobs]
    return "videos" if all(videos) else "files" if any(videos) else "images"


def _kept_text(plan: Plan) -> str:
    """`photo_x4.png exists already`, or nothing."""
    if not plan.kept:
        return ""
    one, several = {"existing": ("exists", "exist"), "done": ("is done", "are done")}[plan.kept_as]
    named = [job.target for job in plan.kept[:NAMED]]
    if len(plan.kept) == 1:
        return f"{named[0]} {one} already"
    return (
        f"{len(plan.kept)} results {several} already: {some([*named, *plan.kept[NAMED:]], NAMED)}"
    )


def _fields(report: Report, pipes: Pipes) -> dict[str, object]:
    """An image as its line of JSON states it; what is not known is null."""

    def named(path: Path | None) -> str | None:
        return None if path is None else str(pipes.names.get(path, path))

    height, width = report.size or (None, None)
    result_height, result_width = report.result_size or (None, None)
    return {
        "event": "image",
        "source": named(report.source),
        "target": named(report.target),
        "status": report.status,
        "width": width,
        "height": height,
        "result_width": result_width,
        "result_height": result_height,
        "frames": report.frames,
        "bytes": report.bytes,
        "seconds": round(report.seconds, 3),
        "error": None if report.error is None else " ".join(str(report.error).split()),
    }


def _print_json(fields: dict[str, object]) -> None:
    print(json.dumps(fields), flush=True)  # in ASCII, and so without what `printable` escapes

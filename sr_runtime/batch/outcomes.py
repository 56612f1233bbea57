"""Which images a run does, and what becomes of each: claims, failures, reports."""

import errno
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from threading import Lock

from sr_runtime.batch.job import Failure, Job, Report, Size
from sr_runtime.batch.ledger import Claim, Ledger
from sr_runtime.errors import BackendError, ModelError, OutOfMemoryError, SRError, StorageError

__all__ = ["Outcomes", "Taken"]

FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass
class Taken:
    """A job that a run has come to."""

    number: int
    job: Job
    claim: Claim | None = None
    size: Size | None = None
    frames: int = 1
    started: float = field(default_factory=time.perf_counter)


class Outcomes:
    """What becomes of the jobs of one run. Any thread may call it.

    Attributes:
        disk_full: No further image is to be begun.
    """

    def __init__(
        self, jobs: Sequence[Job], ledger: Ledger | None, on_report: Callable[[Report], None]
    ) -> None:
        self._jobs, self._ledger, self._on_report = jobs, ledger, on_report
        self._ended = bytearray(len(jobs))
        self._failures: dict[int, Failure] = {}
        self._claims: set[Claim] = set()
        self._reporting = Lock()
        self.disk_full = False

    def take(self, number: int) -> Taken | None:
        """The job, if this run does it; None if another process does, or if it `has_ended`."""
        taken = Taken(number, self._jobs[number])
        if self._ledger is None:
            return taken
        with self.noting_failure(taken):
            taken.claim = self._ledger.claim(taken.job)
            if taken.claim is None:
                return None
            self._claims.add(taken.claim)
            if not self._ledger.is_done(taken.job):
                return taken
            self._end(
                taken, Report(source=taken.job.source, target=taken.job.target, status="done")
            )
        return None

    def has_ended(self, number: int) -> bool:
        """Whether a job is done or has failed."""
        return bool(self._ended[number])

    def has_failed(self, number: int) -> bool:
        """Whether a job has failed."""
        return number in self._failures

    def noting_result(self, taken: Taken) -> AbstractContextManager[None]:
        """As `Claim.noting`, if a ledger is kept."""
        return nullcontext() if taken.claim is None else taken.claim.noting()

    def succeed(self, taken: Taken, result_size: Size | None) -> None:
        """A job has its result."""
        nbytes = 0
        with suppress(OSError):  # somebody has removed it
            nbytes = taken.job.target.stat().st_size
        report = Report(
            source=taken.job.source,
            target=taken.job.target,
            status="written",
            size=taken.size,
            result_size=result_size,
            frames=taken.frames,
            bytes=nbytes,
            seconds=time.perf_counter() - taken.started,
        )
        self._end(taken, report)

    @contextmanager
    def noting_failure(self, taken: Taken) -> Iterator[None]:
        """Note what is wrong with this image; an error of the model ends the run."""
        try:
            yield
        except (ModelError, BackendError):
            raise
        except SRError as error:
            cause = error.__cause__
            self.disk_full |= isinstance(cause, OSError) and cause.errno in FULL
            self._fail(taken, error)
        except MemoryError as error:
            detail = f" ({error})" if str(error) else ""
            reason = f"not enough memory to upscale it{detail}: use a smaller image or --scale"
            self._fail(taken, OutOfMemoryError(reason))

    def release_claims(self) -> None:
        """Let others have what has not ended."""
        for claim in self._claims:
            claim.release()

    def failures(self) -> list[Failure]:
        """Those of a run that is over, in the order of the jobs; what was not begun is one too."""
        for number, ended in enumerate(self._ended):
            if not ended:
                reason = "it was not begun, since the disk for the results is full"
                self._fail(Taken(number, self._jobs[number]), StorageError(reason))
        return [self._failures[number] for number in sorted(self._failures)]

    def _fail(self, taken: Taken, error: SRError) -> None:
        error.path = error.path or taken.job.source
        self._failures[taken.number] = Failure(taken.job.source, error)
        report = Report(
            source=taken.job.source,
            target=taken.job.target,
            status="failed",
            size=taken.size,
            frames=taken.frames,
            seconds=time.perf_counter() - taken.started,
            error=error,
        )
        self._end(taken, report)

    def _end(self, taken: Taken, report: Report) -> None:
        self._ended[taken.number] = True
        if taken.claim is not None:
            self._claims.discard(taken.claim)
            taken.claim.release()
        with self._reporting:
            self._on_report(report)

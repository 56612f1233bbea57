"""One image or video to upscale, and what became of it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from sr_runtime.errors import SRError

__all__ = ["Failure", "Job", "Report", "Size", "Status"]

Status: TypeAlias = Literal["written", "failed", "done", "existing"]
"""`done`: an earlier run, or another process, has made this result. `existing`: a file of that name
was there, and was to be kept."""


Size: TypeAlias = tuple[int, int]
"""Height and width."""


@dataclass(frozen=True, slots=True)
class Job:
    """One image or video to upscale, and where its result goes.

    A hundred thousand of them share the paths of their folders.
    """

    folder: Path
    name: str
    place: Path
    """The folder of the result."""
    result: str
    """Its name."""
    video: bool = False

    @classmethod
    def of(cls, source: Path, target: Path, *, video: bool = False) -> "Job":
        """The job from file to file."""
        return cls(source.parent, source.name, target.parent, target.name, video)

    @property
    def suffix(self) -> str:
        """The ending of the result's name."""
        return os.path.splitext(self.result)[1]  # noqa: PTH122 (faster, for many images)

    @property
    def source(self) -> Path:
        """The image."""
        return self.folder / self.name

    @property
    def target(self) -> Path:
        """Its result."""
        return self.place / self.result


@dataclass(frozen=True)
class Failure:
    """An input that could not be upscaled, and why."""

    source: Path
    error: SRError

    def __str__(self) -> str:
        return str(self.error) if self.error.path == self.source else f"{self.source}: {self.error}"


@dataclass(frozen=True, kw_only=True)
class Report:
    """What became of one image."""

    source: Path
    target: Path | None = None
    """None where the input has no result, such as a folder that cannot be read."""
    status: Status
    size: Size | None = None
    """None if it is not known."""
    result_size: Size | None = None
    """None if nothing was written, or it is not known."""
    frames: int = 1
    bytes: int = 0
    """Of the file that was written."""
    seconds: float = 0.0
    """From the start of its work until it was written, while others were in work too."""
    error: SRError | None = None
    """Why it failed."""

"""One image or video to upscale, and where its result goes."""

from dataclasses import dataclass
from pathlib import Path

from sr_runtime.cli.folders import real_folder

__all__ = ["Job"]


@dataclass(frozen=True)
class Job:
    """One image or video to upscale."""

    source: Path
    target: Path
    video: bool = False

    @property
    def is_beside(self) -> bool:
        """Whether the result stands beside its input."""
        return real_folder(self.source.parent) == real_folder(self.target.parent)

"""An `Upscaler` as the parts of the package know it that it uses itself."""

from pathlib import Path
from typing import Protocol

from sr_runtime.backends.base import Backend
from sr_runtime.model_info import ModelInfo
from sr_runtime.model_version import ModelVersion
from sr_runtime.passes import Progress
from sr_runtime.rows.protocols import RowReader, RowWriter

__all__ = ["RowUpscaler"]


class RowUpscaler(Protocol):
    """What upscales rows, and says how; `Upscaler` documents it."""

    @property
    def info(self) -> ModelInfo: ...
    @property
    def backend(self) -> Backend: ...
    @property
    def halo(self) -> int: ...
    @property
    def tile(self) -> tuple[int, int]: ...
    @property
    def tta(self) -> bool: ...
    @property
    def model(self) -> Path | None: ...
    @property
    def model_version(self) -> ModelVersion | None: ...

    def upscale_stream(
        self,
        reader: RowReader,
        writer: RowWriter,
        *,
        scale: float | None = None,
        width: int | None = None,
        height: int | None = None,
        progress: Progress | None = None,
    ) -> None: ...

"""Imports the TensorRT that is installed, and keeps what it logs.

Importing this module raises an ImportError with the reason if TensorRT or the GPU is missing.
"""

from collections import deque
from typing import TYPE_CHECKING

from sr_runtime.backends.cuda import driver
from sr_runtime.backends.out_of_memory import is_out_of_memory

# Checked before TensorRT is touched, because without a driver it ends the process.
if (_reason := driver.missing()) is not None:
    raise ImportError(_reason)

if TYPE_CHECKING:
    import tensorrt as trt
else:
    try:
        try:
            import tensorrt as trt
        except ModuleNotFoundError as error:
            if error.name != "tensorrt":
                raise
            try:
                import tensorrt_lean as trt
            except ModuleNotFoundError:
                raise error from None
    except OSError as error:  # a library that the package loads is missing
        raise ImportError(f"TensorRT cannot be loaded ({error})") from error

__all__ = ["LEAN", "Log", "trt"]

LEAN = not hasattr(trt, "Builder")
"""Whether this is the lean runtime: it runs version-compatible engines, and builds none."""


class Log(trt.ILogger):
    """Keeps errors and prints nothing: an exception reports each of them once.

    It must live as long as the objects made with it.
    """

    def __init__(self) -> None:
        trt.ILogger.__init__(self)
        # Only the last ones: a good build logs errors too, for kernels that it tried.
        self._errors: deque[str] = deque(maxlen=3)

    def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
        if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
            self._errors.append(" ".join(msg.split()))

    @property
    def last_error(self) -> str:
        """The latest error, on one line."""
        return self._errors[-1] if self._errors else "TensorRT gives no reason"

    @property
    def out_of_memory(self) -> bool:
        """Whether one of the latest errors since `clear` is about memory."""
        return any(map(is_out_of_memory, self._errors))

    def clear(self) -> None:
        """Forget the errors so far."""
        self._errors.clear()

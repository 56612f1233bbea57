"""Which TensorRT there is, and what it says while it works.

Importing this raises an ImportError with the reason where no TensorRT or no GPU can be used.
"""

from collections import deque
from typing import TYPE_CHECKING

from sr_runtime.backends.cuda import driver

# Before TensorRT is touched: without a driver it ends the process.
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
    except OSError as error:  # the package is there, and a library that it loads is not
        raise ImportError(f"TensorRT cannot be loaded ({error})") from error

__all__ = ["LEAN", "Log", "trt"]

LEAN = not hasattr(trt, "Builder")
"""The library runs version-compatible engines and builds none."""


class Log(trt.ILogger):
    """Keeps errors and prints nothing: each is told once, with the exception that comes of it.

    It must live as long as what was made with it.
    """

    def __init__(self) -> None:
        trt.ILogger.__init__(self)
        # The last ones: a build that goes well has its errors too, of kernels that were tried.
        self._errors: deque[str] = deque(maxlen=3)

    def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
        if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
            self._errors.append(" ".join(msg.split()))

    @property
    def last_error(self) -> str:
        """The latest error, on one line."""
        return self._errors[-1] if self._errors else "TensorRT does not say why"

    @property
    def out_of_memory(self) -> bool:
        """Whether the latest errors since `clear` are about memory."""
        words = ("out of memory", "outofmemory", "insufficient memory", "memory allocation")
        return any(word in error.lower() for error in self._errors for word in words)

    def clear(self) -> None:
        """Forget what was said so far."""
        self._errors.clear()

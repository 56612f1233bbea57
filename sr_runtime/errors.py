"""What can go wrong for reasons a caller can do something about.

Every message is one sentence that gives the value, the limit and the next step, fit to be shown to
a user as it is. Anything else that is raised is a bug of ours.
"""

__all__ = [
    "ArgumentError",
    "BackendError",
    "ImageError",
    "ModelError",
    "NonFiniteError",
    "OutOfMemoryError",
    "SRError",
]


class SRError(Exception):
    """Base of every error this project raises on purpose."""


class ArgumentError(SRError, ValueError):
    """An argument is outside what the call accepts."""


class ImageError(SRError):
    """An image cannot be read, or cannot be written as asked."""


class ModelError(SRError):
    """A file is not a super-resolution model, or not one that fits the request."""


class BackendError(SRError):
    """An engine, device or precision was asked for and is not there."""


class OutOfMemoryError(SRError, MemoryError):
    """The device has not enough memory for what was asked."""


class NonFiniteError(SRError, ArithmeticError):
    """The network returned NaN or infinity."""

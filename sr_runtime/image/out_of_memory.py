"""Running out of memory, which numpy, Pillow and libvips each report in their own way."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

from sr_runtime.errors import OutOfMemoryError, SRError

__all__ = ["memory_for"]

# Pillow's and libvips' words; the encoder of WebP has two such codes (webp/encode.h). A thread
# needs memory for its stack.
OUT_OF_MEMORY = re.compile(r"out of memory|encoding error [12]\b|can't start new thread")


@contextmanager
def memory_for(task: str, nbytes: int) -> Iterator[None]:
    """Raise OutOfMemoryError where the block runs out of memory.

    Args:
        task: A verb and its object, as in "read 4000 × 3000 pixels".
        nbytes: What these pixels take.
    """
    try:
        yield
    except SRError:  # said already, and better
        raise
    except (MemoryError, OSError, RuntimeError, ValueError) as error:
        no_memory = isinstance(error, MemoryError) or OUT_OF_MEMORY.search(str(error))
        if not no_memory and getattr(error, "errno", None) != errno.ENOMEM:
            raise
        raise OutOfMemoryError(
            f"not enough memory to {task} ({nbytes / 1e6:.0f} MB): close other programs or use a "
            "smaller image"
        ) from error

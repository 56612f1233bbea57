"""Fuzz one target in this process: `python -m tests.fuzz.one TARGET CORPUS [libFuzzer's options]`.

libFuzzer ends the process. It exits with an error when it has found an input, which it keeps.
"""

import contextlib
import io
import random
import struct
import sys
import threading
import zlib

import atheris
from tqdm import tqdm

# It says a line for every module.
with (
    contextlib.redirect_stderr(io.StringIO()),
    atheris.instrument_imports(include=["sr_runtime", "sr_train", "sr_export", "PIL"]),
):
    from tests.fuzz.targets import TARGETS, accepts

__all__ = ["fuzz"]


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """A mutation whose PNG chunks have right checksums, most of the time.

    Without them a reader refuses nearly every mutation at once.
    """
    data = atheris.Mutate(data, max_size)
    if random.Random(seed).random() < 0.1 or not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    result, position = bytearray(data), 8
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            break
        struct.pack_into(">I", result, end, zlib.crc32(data[position + 4 : end]))
        position = end + 4
    return bytes(result)


def fuzz(target: str, options: list[str]) -> None:
    """Fuzz a target until libFuzzer ends this process."""
    tqdm.set_lock(threading.RLock())  # its own has a semaphore, which libFuzzer would leave behind
    mutator = {"custom_mutator": mutate} if target == "image" else {}
    atheris.Setup(["fuzz", *options], lambda data: accepts(TARGETS[target], data), **mutator)
    atheris.Fuzz()


if __name__ == "__main__":
    fuzz(sys.argv[1], sys.argv[2:])

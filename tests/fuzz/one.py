"""Fuzz one target in this process: `python -m tests.fuzz.one TARGET CORPUS [libFuzzer's options]`.

libFuzzer ends the process. It exits with an error when it has found an input, which it keeps.
"""

import random
import struct
import sys
import zlib

import atheris

with atheris.instrument_imports(include=["sr_runtime", "sr_train", "sr_export", "PIL"]):
    from tests.fuzz.targets import TARGETS, accepts


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


if __name__ == "__main__":
    name = sys.argv.pop(1)
    options = {"custom_mutator": mutate} if name == "image" else {}
    atheris.Setup(sys.argv, lambda data: accepts(TARGETS[name], data), **options)
    atheris.Fuzz()

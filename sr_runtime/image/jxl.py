"""The header of a JPEG XL (ISO 18181-1, annexes A and D): its plug-in decodes all when it opens."""

from typing import BinaryIO, NamedTuple

from sr_runtime.errors import ImageError

__all__ = ["check_jxl"]

CODESTREAM = b"\xff\x0a"
HEADER_BYTES = 128
RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}

Choices = tuple[tuple[int, int], ...]
"""The four ways of writing a number: an offset, and how many bits are added to it."""
SIDE: Choices = ((1, 9), (1, 13), (1, 18), (1, 30))
PREVIEW_SIDE: Choices = ((1, 6), (65, 8), (321, 10), (1345, 12))
PREVIEW_EIGHTHS: Choices = ((16, 0), (32, 0), (1, 5), (33, 9))
INTEGER_BITS: Choices = ((8, 0), (10, 0), (12, 0), (1, 6))


class _Bits:
    """Numbers from bytes, the lowest bit first."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise ImageError("the file is damaged (its header is cut): replace it or leave it out")
        taken = self._value & ((1 << count) - 1)
        self._value >>= count
        return taken

    def choose(self, choices: Choices) -> int:
        offset, count = choices[self.take(2)]
        return offset + self.take(count)


class _Header(NamedTuple):
    width: int
    height: int
    animated: bool
    bits: int


def check_jxl(file: BinaryIO, max_pixels: int) -> None:
    """Raise ImageError for what the plug-in would not read whole, or not within the limit."""
    width, height, animated, bits = _header(_codestream(file))
    if width * height > max_pixels:
        raise ImageError(
            f"{width} × {height} pixels are more than the limit of {max_pixels}: raise it with "
            "--max-pixels (in Python: max_pixels)"
        )
    if animated:
        raise ImageError(
            "only the first frame of an animated JPEG XL can be read: convert it to WebP first"
        )
    if bits != 8:
        raise ImageError(
            f"its {bits} bits per channel would be cut to 8: convert it to 8 bits, or to a 16-bit "
            "RGB PNG or TIFF, first"
        )


def _codestream(file: BinaryIO) -> bytes:
    """The first bytes of the image itself, which may lie in a container's box."""
    file.seek(0)
    start = file.read(HEADER_BYTES)
    while start and not start.startswith(CODESTREAM):
        size, kind = int.from_bytes(start[:4]), start[4:8]
        body = 8
        if size == 1:  # a size of 64 bits follows
            size, body = int.from_bytes(start[8:16]), 16
        if kind in (b"jxlc", b"jxlp"):
            start = start[body + 4 * (kind == b"jxlp") :]
            break
        if size < body:
            break
        file.seek(size - len(start), 1)
        start = file.read(HEADER_BYTES)
    return start.removeprefix(CODESTREAM)


def _header(data: bytes) -> _Header:
    bits = _Bits(data)
    height, width = _size(bits)
    depth, animated = 8, False
    if bits.take(1):  # all else has its usual value
        return _Header(width, height, animated, depth)
    if bits.take(1):
        bits.take(3)  # the orientation, which the decoder applies
        if bits.take(1):
            _size(bits)  # on a screen
        if bits.take(1):
            eighths = bits.take(1)
            bits.choose(PREVIEW_EIGHTHS if eighths else PREVIEW_SIDE)
            if not bits.take(3):
                bits.choose(PREVIEW_EIGHTHS if eighths else PREVIEW_SIDE)
        animated = bool(bits.take(1))
    if not animated:
        is_float = bits.take(1)
        depth = 32 if is_float else bits.choose(INTEGER_BITS)
    return _Header(width, height, animated, depth)


def _size(bits: _Bits) -> tuple[int, int]:
    """Height and width."""
    eighths = bits.take(1)

    def side() -> int:
        return 8 * (bits.take(5) + 1) if eighths else bits.choose(SIDE)

    height = side()
    ratio = bits.take(3)
    if ratio == 0:
        return height, side()
    numerator, denominator = RATIOS[ratio]
    return height, height * numerator // denominator

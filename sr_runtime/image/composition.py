"""The frames of animated PNG and GIF as a viewer shows them.

Pillow mixes the alpha of a PNG's frames where they lie over each other, and fills with the
background colour where viewers show a GIF as transparent. So each frame is decoded as a file of its
own, and drawn here (PNG, 3rd edition, 11.3.6; GIF89a, 23).
"""

import io
import struct
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_runtime.image.png import SIGNATURE, png_chunk, scale_color_key

__all__ = ["Region", "drawn", "gif_regions", "png_regions"]

Disposal = Literal["keep", "clear", "restore"]
PNG_DISPOSALS: dict[int, Disposal] = {1: "clear", 2: "restore"}
GIF_DISPOSALS: dict[int, Disposal] = {2: "clear", 3: "restore"}


class Region(NamedTuple):
    """A frame as it is stored: the part of the canvas that it changes."""

    file: bytes
    """A still PNG or GIF of it."""
    left: int
    top: int
    width: int
    height: int
    over: bool
    """Whether it is drawn over what is there, and does not replace it."""
    disposal: Disposal
    """What becomes of it before the next frame."""
    duration: float
    """Milliseconds."""


def drawn(regions: Iterable[Region], height: int, width: int) -> Iterator[NDArray[Any]]:
    """The canvas, `(height, width, 4)` uint8, after each region; what lies outside is cut off."""
    canvas = np.zeros((height, width, 4), np.uint8)
    for region in regions:
        before = canvas.copy() if region.disposal == "restore" else canvas
        area = canvas[region.top :, region.left :][: region.height, : region.width]
        if area.size:
            pixels = _pixels(region.file)[: area.shape[0], : area.shape[1]]
            area[...] = _composite(area, pixels) if region.over else pixels
        yield canvas.copy()
        if region.disposal == "clear":
            area[...] = 0
        canvas = before


def png_regions(data: bytes) -> Iterator[Region]:
    """The frames of an animated PNG, without the still for viewers that show no animation."""
    header, shared, pixels = b"", b"", b""
    control: tuple[int, ...] | None = None
    for name, content in chain(_chunks(data), [(b"IEND", b"")]):  # which a cut file may lack
        if control is not None and name in (b"fcTL", b"IEND"):
            yield _png_region(header, control, shared, pixels)
        match name:
            case b"IEND":
                return
            case b"IHDR":
                header = content
            case b"PLTE" | b"tRNS":
                shared += png_chunk(name, content)
            case b"fcTL":
                control, pixels = struct.unpack(">4x4I2H2B", content), b""
            case b"IDAT":
                pixels += content
            case b"fdAT":
                pixels += content[4:]


def gif_regions(data: bytes) -> Iterator[Region]:
    """The frames of a GIF."""
    place = 13 + _table_bytes(data[10])
    head, palette = data[:6], data[10:place]
    transparent, disposal, delay = b"", 0, 0
    while data[place : place + 1] not in (b"", b";"):
        kind, start, place = data[place], place, place + 1
        if kind == ord("!"):
            start, place = place + 1, _behind_blocks(data, place + 1)
            if data[start - 1] == 0xF9:
                flags, delay, index = struct.unpack_from("<BHB", data, start + 1)
                disposal = flags >> 2 & 7
                transparent = struct.pack("<4BHBB", ord("!"), 0xF9, 4, flags & 1, 0, index, 0)
        elif kind == ord(","):
            left, top, width, height, flags = struct.unpack_from("<4HB", data, place)
            content = start + 10
            place = _behind_blocks(data, content + _table_bytes(flags) + 1)
            screen = head + struct.pack("<HH", width, height) + palette
            frame = struct.pack("<B4HB", kind, 0, 0, width, height, flags) + data[content:place]
            yield Region(
                file=screen + transparent + frame + b";",
                left=left,
                top=top,
                width=width,
                height=height,
                over=True,
                disposal=GIF_DISPOSALS.get(disposal, "keep"),
                duration=10 * delay,
            )
            transparent, disposal, delay = b"", 0, 0


def _png_region(header: bytes, control: tuple[int, ...], shared: bytes, pixels: bytes) -> Region:
    width, height, left, top, numerator, denominator, disposal, blend = control
    ihdr = png_chunk(b"IHDR", struct.pack(">II", width, height) + header[8:])
    body = shared + png_chunk(b"IDAT", pixels) + png_chunk(b"IEND", b"")
    return Region(
        file=SIGNATURE + ihdr + body,
        left=left,
        top=top,
        width=width,
        height=height,
        over=blend == 1,
        disposal=PNG_DISPOSALS.get(disposal, "keep"),
        duration=1000 * numerator / (denominator or 100),
    )


def _pixels(file: bytes) -> NDArray[Any]:
    with Image.open(io.BytesIO(file), formats=("PNG", "GIF")) as image:
        if image.format == "PNG":
            scale_color_key(image)
        return np.asarray(image.convert("RGBA"))


def _composite(below: NDArray[Any], above: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(Image.alpha_composite(Image.fromarray(below), Image.fromarray(above)))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = len(SIGNATURE)
    while place + 8 <= len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4])
        yield data[place + 4 : place + 8], data[place + 8 : end]
        place = end + 4


def _table_bytes(flags: int) -> int:
    """The length of the colour table, from the flags of a screen or an image."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _behind_blocks(data: bytes, place: int) -> int:
    """The place behind sub-blocks, each of which begins with its size, and an empty one."""
    while place < len(data) and data[place]:
        place += 1 + data[place]
    return place + 1

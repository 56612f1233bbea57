"""Reading image files: limits first, then the pixels as a viewer would show them."""

import io
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import Base

from sr_runtime.errors import ImageError
from sr_runtime.image import sixteen_bit
from sr_runtime.image.bit_depth import bits_per_channel, file_bytes, jpeg2000_depths
from sr_runtime.image.color import with_profile
from sr_runtime.image.comment import with_comment
from sr_runtime.image.exif import descriptive_exif, orientation_of
from sr_runtime.image.frames import check_size, is_part_of_its_canvas, play_count, read_frames
from sr_runtime.image.header import (
    DEFAULT_MAX_PIXELS,
    SIDEWAYS,
    check_max_pixels,
    frame_indices,
    opened,
    reading,
)
from sr_runtime.image.heif import decode_heif
from sr_runtime.image.iptc import iptc_of
from sr_runtime.image.jpeg import with_end_mark
from sr_runtime.image.out_of_memory import memory_for
from sr_runtime.image.picture import Picture, pixels_text
from sr_runtime.image.pillow import dpi_of, pixels_of
from sr_runtime.image.png import scale_color_key
from sr_runtime.image.tga import read_tga
from sr_runtime.image.tiff_compression import told_apart_from_damage
from sr_runtime.image.xmp import descriptive_xmp

__all__ = ["TURNS", "check_kind", "described", "read", "read_still"]

PLANES, INTERLEAVED, SEPARATE = Base.PlanarConfiguration, 1, 2
UNSIGNED = 1

# How the `(H, W, C)` array of each EXIF orientation becomes upright.
TURNS: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


def read(path: str | os.PathLike[str], *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Picture:
    """Read an image file: the pixels upright, an animation as the frames that a viewer shows.

    A TIFF's reduced copies and masks are left out; its second and further pages are in `pages`. A
    JPEG (MPO) or HEIF of several pictures is read as the main one. Damaged EXIF and XMP are
    dropped. The file may be a pipe: it is opened once.

    Args:
        max_pixels: Limit on width × height × frames, checked before anything is decoded.

    Raises:
        ImageError: The file is missing, damaged, not an image, larger than `max_pixels`, a camera's
            raw file, HDR, or could only be read with a loss.
        OutOfMemoryError: Its pixels do not fit into memory.
        ArgumentError: `max_pixels` is not a whole number, at least 1.
    """
    check_max_pixels(max_pixels)
    with reading(path), Path(path).open("rb") as stream:
        file: BinaryIO = stream if stream.seekable() else io.BytesIO(stream.read())
        image = opened(file, max_pixels, pixels=True)
        indices = frame_indices(image)
        if image.format == "TIFF":
            first, *pages = _read_pages(image, indices, max_pixels)
            return replace(first, pages=tuple(pages))
        check_size(image.width, image.height, len(indices), max_pixels)
        return _picture(image, indices, max_pixels)


def read_still(path: str | os.PathLike[str]) -> NDArray[Any]:
    """The `(H, W, C)` pixels of a file with one frame on one page; raises as `read` for others."""
    picture = read(path)
    if len(picture.frames) > 1 or picture.pages:
        raise ImageError(
            f"it has {max(len(picture.frames), len(picture.pages) + 1)} frames or pages, and one "
            "picture is needed: take one out first",
            path=path,
        )
    return picture.frames[0]


def _read_pages(image: Image.Image, indices: Sequence[int], max_pixels: int) -> list[Picture]:
    total = 0
    for index in indices:
        _go_to_page(image, index)
        total += image.width * image.height
    if len(indices) == 1:
        check_size(image.width, image.height, 1, max_pixels)
    elif total > max_pixels:
        raise ImageError(
            f"{len(indices)} pages of {total} pixels are more than the limit of {max_pixels}: "
            "raise it with --max-pixels (in Python: max_pixels)"
        )
    pages = []
    for index in indices:
        _go_to_page(image, index)
        pages.append(_picture(image, [index], max_pixels))
    return pages


def _go_to_page(image: Image.Image, index: int) -> None:
    if index != image.tell():
        for name in ("icc_profile", "dpi"):  # which Pillow would carry over
            image.info.pop(name, None)
        image.seek(index)


def _picture(image: Image.Image, indices: Sequence[int], max_pixels: int) -> Picture:
    bits = bits_per_channel(image)
    check_kind(image, len(indices), bits)
    size = pixels_text(image.height, image.width, len(indices))
    pixels = image.width * image.height * len(indices)
    nbytes = pixels * len(image.getbands()) * (2 if bits > 8 else 1)
    with memory_for(f"read {size}", nbytes), told_apart_from_damage(image):
        return _decoded(image, indices, bits, max_pixels)


def _decoded(image: Image.Image, indices: Sequence[int], bits: int, max_pixels: int) -> Picture:
    durations: tuple[int, ...] = ()
    sideways = orientation_of(image) in SIDEWAYS  # Pillow turns a TIFF itself, and forgets it
    if len(indices) > 1 or is_part_of_its_canvas(image):
        frames, durations = read_frames(image, indices, max_pixels)
        frames, profile = with_profile(image, frames)
    elif bits > 8 and image.mode in ("RGB", "RGBA", "L", "LA"):
        frames, profile = with_profile(image, [_read_deep_color(image, indices[0], bits)])
    else:
        image = with_end_mark(image)
        frame, profile = _read_still(image)
        frames = [frame]

    turn = TURNS.get(orientation_of(image) or 1, TURNS[1])
    return replace(
        described(
            image,
            [np.ascontiguousarray(turn(frame)) for frame in frames],
            profile,
            sideways=sideways,
        ),
        durations=durations,
        loop=play_count(image) if durations else None,
    )


def described(
    image: Image.Image,
    frames: Sequence[NDArray[Any]],
    profile: bytes | None,
    *,
    sideways: bool,
) -> Picture:
    """A Picture of upright `frames` with all that `image` states; its pixels may lie `sideways`."""
    exif, dpi = descriptive_exif(image), dpi_of(image)
    exif.pop(Base.Orientation, None)
    if sideways and dpi is not None:
        dpi = dpi[::-1]
    return Picture(
        frames=tuple(frames),
        icc_profile=profile,
        exif=exif.tobytes() if exif else None,
        dpi=dpi,
        xmp=descriptive_xmp(image.info.get("xmp")),
        iptc=iptc_of(image),
        png_text=with_comment(image.info.get("png_text", ()), image.info.get("comment")),
    )


def check_kind(image: Image.Image, frames: int, bits: int) -> None:
    """Raise ImageError for a file that would lose bits, or whose range is not known."""
    if image.format == "TIFF":
        unsigned = set(_tiff_tag(image, Base.SampleFormat) or (UNSIGNED,)) == {UNSIGNED}
        if bits not in (1, 2, 4, 8, 16) or not unsigned:
            kind = "unsigned" if unsigned else "signed or floating-point"
            raise ImageError(
                f"its {kind} samples of {bits} bits have no stated range: convert it to 8 or 16 "
                "bits first"
            )
    if image.format == "JPEG2000" and (fewest := min(jpeg2000_depths(file_bytes(image)))) < 8:
        raise ImageError(
            f"its {fewest}-bit values would be read too dark: convert it to 8 bits first"
        )
    if bits > 8:
        readable = {
            "PNG": "I;16 RGB RGBA",
            "TIFF": "I;16 I;16B RGB RGBA",
            "PPM": "I",
            "HEIF": "RGB RGBA L LA",
        }
        several = frames > 1 or is_part_of_its_canvas(image)
        if several or image.mode not in readable.get(image.format or "", "").split():
            raise ImageError(
                f"its {bits} bits per channel would be cut to 8: convert it to 8 bits, or to a "
                "16-bit RGB PNG or TIFF, first"
            )


def _read_still(image: Image.Image) -> tuple[NDArray[Any], bytes | None]:
    if image.format == "TGA":
        return read_tga(image)
    if image.format == "PNG":
        scale_color_key(image)
    if _tiff_tag(image, Base.SamplesPerPixel) == 1 and _tiff_tag(image, PLANES) == SEPARATE:
        # Pillow would forget that white is zero in a plane of its own, or how many bits it has.
        image.tag_v2[PLANES] = INTERLEAVED  # type: ignore[attr-defined]
        image._setup()  # type: ignore[attr-defined]
    return pixels_of(image)


def _read_deep_color(image: Image.Image, page: int, bits: int) -> NDArray[Any]:
    """`(H, W, C)` uint16 of what Pillow would cut to 8 bits."""
    if image.format == "HEIF":
        return decode_heif(file_bytes(image), bits)
    if image.format == "PNG":
        return sixteen_bit.decode(file_bytes(image), "PNG")
    # The fourth channel of a TIFF need not be alpha; Pillow's mode shows whether it is.
    return sixteen_bit.decode(file_bytes(image), "TIFF", page=page)[:, :, : len(image.getbands())]


def _tiff_tag(image: Image.Image, tag: int) -> Any:
    return image.tag_v2.get(tag) if image.format == "TIFF" else None  # type: ignore[attr-defined]

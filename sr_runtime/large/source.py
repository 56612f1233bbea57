"""Image files read by rows through libvips, with the pixels that `sr_runtime.image.read` gives."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import Base

from sr_runtime.errors import ImageError
from sr_runtime.image.bit_depth import bits_per_channel
from sr_runtime.image.color import with_profile
from sr_runtime.image.exif import orientation_of
from sr_runtime.image.frames import is_part_of_its_canvas
from sr_runtime.image.header import SIDEWAYS, frame_indices, opened, reading
from sr_runtime.image.reader import check_kind, described
from sr_runtime.image.sixteen_bit import load_vips
from sr_runtime.large.vips_files import check_name, os_error_of
from sr_runtime.storage.temporary import scratch_errors

__all__ = ["LargeFile"]

FORMATS = ("PNG", "TIFF", "JPEG")
CHANNELS = {"L": 1, "I;16": 1, "I;16B": 1, "LA": 2, "RGB": 3, "RGBA": 4}
"""Of Pillow's modes; libvips reads the same pixels of these."""
BITS = (8, 16)
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
BLACK_IS_ZERO, RGB, YCBCR = 1, 2, 6  # values of TIFF's tag PhotometricInterpretation
PREMULTIPLIED = 1  # value of TIFF's tag ExtraSamples
UPRIGHT, MIRRORED = 1, 2  # EXIF orientations


class LargeFile:
    """A `RowReader` of a PNG, TIFF or JPEG, upright, in gray or RGB, with alpha or without.

    The memory that it takes depends on the image's width alone, unless it is an interlaced PNG or a
    progressive JPEG, which libvips decodes whole. A PNG or JPEG whose EXIF or XMP turns it is
    first unpacked into the folder for temporary files.

    Attributes:
        picture: The metadata, with a single pixel.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Raises ImageError if the file is damaged, or of a kind that is not read by rows."""
        self._path = Path(path)
        check_name(self._path)
        with self._reading(), self._path.open("rb") as file:
            # Without a limit: rows are bounded by the width.
            self._image = image = opened(file, 1 << 48, pixels=False)
            page, orientation = _only_page(image), orientation_of(image) or UPRIGHT
            pixels = self._open_pixels(page, orientation)
            self.shape = (pixels.height, pixels.width, pixels.bands)
            self.dtype = np.dtype(np.uint16 if bits_per_channel(image) > 8 else np.uint8)
            pixel = np.zeros((1, 1, pixels.bands), self.dtype)
            _, profile = with_profile(image, [pixel])
            sideways = orientation in SIDEWAYS
            self.picture = described(image, [pixel], profile, sideways=sideways)
            self._region = load_vips().Region.new(pixels)

    def _open_pixels(self, page: int, orientation: int) -> Any:
        """The image of libvips, upright."""
        # Turned rows are columns of the file.
        access = "sequential" if orientation in (UPRIGHT, MIRRORED) else "random"
        options: dict[str, Any] = {"access": access, "fail_on": "error", "revalidate": True}
        if self._image.format == "TIFF":
            options["page"] = page
        vips = load_vips()
        pixels = vips.Image.new_from_file(os.fspath(self._path), **options).copy()
        pixels.set_type(vips.GValue.gint_type, "orientation", orientation)  # XMP may state it
        pixels = pixels.autorot()
        if self._image.format == "TIFF":
            # The fourth channel need not be alpha; Pillow's mode says whether it is.
            pixels = pixels.extract_band(0, n=CHANNELS[self._image.mode])
        return pixels

    def read(self, begin: int, end: int) -> NDArray[Any]:
        """As `RowReader.read`. Raises ImageError if the file is damaged there."""
        _, width, channels = self.shape
        with self._reading():
            content = self._region.fetch(0, begin, width, end - begin)
        rows = np.frombuffer(content, self.dtype).reshape(end - begin, width, channels)
        (rows,), _ = with_profile(self._image, [rows])
        return rows

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Raise errors of Pillow and libvips as ours; `reading` knows what they mean."""
        vips = load_vips()
        with reading(self._path):
            try:
                yield
            except vips.Error as error:
                refused = os_error_of(error)
                if refused is None:
                    raise ValueError(" ".join(error.detail.split())) from error
                if refused.errno in NO_ROOM:  # nothing but the unpacked image is written
                    with scratch_errors("the unpacked image"):
                        raise refused from error
                raise refused from error


def _only_page(image: Image.Image) -> int:
    """The page of a file that is read by rows. Raises ImageError for other kinds of files."""
    pages = frame_indices(image)
    bits = bits_per_channel(image)
    check_kind(image, len(pages), bits)
    if len(pages) > 1 or is_part_of_its_canvas(image):
        raise _refusal(f"it has {len(pages)} frames or pages")
    if image.format not in FORMATS:
        raise _refusal(f"it is a {image.format}")
    if image.mode not in CHANNELS or bits not in BITS or "transparency" in image.info:
        kind = "transparency by a colour" if "transparency" in image.info else image.mode
        raise _refusal(f"its pixels are {kind} of {bits} bits")
    if image.format == "TIFF":
        tags: Any = image.tag_v2  # type: ignore[attr-defined]
        photometric = tags.get(Base.PhotometricInterpretation)
        if photometric not in (BLACK_IS_ZERO, RGB, YCBCR):
            raise _refusal(f"its photometric interpretation is {photometric}")
        # Pillow rounds those of 8 bits otherwise.
        if bits == 8 and PREMULTIPLIED in tags.get(Base.ExtraSamples, ()):
            raise _refusal("its colours are premultiplied with alpha")
    return pages[0]


def _refusal(reason: str) -> ImageError:
    return ImageError(
        f"an image too large for memory is read by rows, and this one is not ({reason}): save it "
        "as a PNG, TIFF or JPEG of one page, in gray or RGB of 8 or 16 bits, or read it whole with "
        "--max-pixels (in Python: max_pixels)"
    )

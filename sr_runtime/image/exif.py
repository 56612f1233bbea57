"""EXIF: the tags that stay true when an image is upscaled, and the pixel sizes it states."""

from typing import Any

from PIL import Image
from PIL.ExifTags import IFD, Base

__all__ = ["ORIENTATION", "descriptive_exif", "exif_with_size", "orientation_of", "unchanged"]

ORIENTATION = Base.Orientation

# All other tags of the first directory describe how the old file stores its pixels (strips, tiles,
# sample layout, a thumbnail): in the new file they would be wrong, or break a TIFF.
# fmt: off
DESCRIPTIVE = {
    ORIENTATION, Base.ImageDescription, Base.Make, Base.Model, Base.XResolution, Base.YResolution,
    Base.ResolutionUnit, Base.Software, Base.DateTime, Base.Artist, Base.HostComputer, Base.Rating,
    Base.RatingPercent, Base.Copyright, Base.XPTitle, Base.XPComment, Base.XPAuthor,
    Base.XPKeywords, Base.XPSubject,
}
# fmt: on


def descriptive_exif(image: Image.Image) -> Image.Exif:
    """The camera's and author's tags of `image`, orientation included; none if they are damaged."""
    kept = Image.Exif()
    try:
        exif = image.getexif()
        for tag in DESCRIPTIVE & set(exif):
            kept[tag] = unchanged(exif[tag])
        if image.format == "JXL" and not image.jpeg:  # type: ignore[attr-defined]
            kept.pop(ORIENTATION, None)  # the codestream states it, and its decoder applies it
        for directory in (IFD.Exif, IFD.GPSInfo):
            # Interop is an offset into the old file; color.py has read what is there.
            tags = {t: v for t, v in exif.get_ifd(directory).items() if t != IFD.Interop}
            if tags:
                kept[directory] = tags
        kept.tobytes()
    except Exception:  # damaged EXIF raises nearly anything and must not cost the photo
        return Image.Exif()
    return kept


def orientation_of(image: Image.Image) -> int | None:
    """How the pixels are turned (Exif 2.32, tag 274), if it is stated."""
    orientation: int | None = descriptive_exif(image).get(ORIENTATION)
    return orientation


def unchanged(value: Any) -> Any:
    """`value` such that Pillow writes the bytes it read: it reads text as Latin-1, writes ASCII."""
    return value.encode("latin-1", "replace") if isinstance(value, str) else value


def exif_with_size(exif: bytes, *, width: int, height: int) -> bytes:
    """`exif` with the pixel dimensions in it, if there are any, replaced by the given ones."""
    tags = Image.Exif()
    tags.load(exif)
    for tag in set(tags) & DESCRIPTIVE:
        tags[tag] = unchanged(tags[tag])
    camera: dict[int, Any] = tags.get_ifd(IFD.Exif)
    if Base.ExifImageWidth in camera:
        camera[Base.ExifImageWidth] = width
    if Base.ExifImageHeight in camera:
        camera[Base.ExifImageHeight] = height
    return tags.tobytes()

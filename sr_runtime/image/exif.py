"""EXIF: what survives upscaling, and the pixel sizes it states."""

from typing import Any

from PIL import ExifTags, Image

__all__ = ["descriptive_exif", "exif_with_size", "unchanged"]

ORIENTATION = ExifTags.Base.Orientation

# Everything else in a first directory says how the old file stored its pixels (strips, tiles,
# sample layout, a thumbnail) and would be wrong, or break a TIFF, in the new one.
DESCRIPTIVE = {
    ORIENTATION,
    ExifTags.Base.ImageDescription,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.XResolution,
    ExifTags.Base.YResolution,
    ExifTags.Base.ResolutionUnit,
    ExifTags.Base.Software,
    ExifTags.Base.DateTime,
    ExifTags.Base.Artist,
    ExifTags.Base.HostComputer,
    ExifTags.Base.Rating,
    ExifTags.Base.RatingPercent,
    ExifTags.Base.Copyright,
    ExifTags.Base.XPTitle,
    ExifTags.Base.XPComment,
    ExifTags.Base.XPAuthor,
    ExifTags.Base.XPKeywords,
    ExifTags.Base.XPSubject,
}


def descriptive_exif(image: Image.Image) -> Image.Exif:
    """The camera's and author's tags of `image`, orientation included; empty where damaged."""
    kept = Image.Exif()
    try:
        exif = image.getexif()
        for tag in DESCRIPTIVE & set(exif):
            kept[tag] = unchanged(exif[tag])
        for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            # An offset into the old file: nothing reads what it points to.
            tags = {t: v for t, v in exif.get_ifd(directory).items() if t != ExifTags.IFD.Interop}
            if tags:
                kept[directory] = tags
        kept.tobytes()
    except Exception:  # damaged EXIF raises nearly anything, and is no reason to refuse a photo
        return Image.Exif()
    return kept


def unchanged(value: Any) -> Any:
    """A value to be written as it was read: Pillow reads text as Latin-1, but writes ASCII."""
    return value.encode("latin-1", "replace") if isinstance(value, str) else value


def exif_with_size(exif: bytes, *, width: int, height: int) -> bytes:
    """`exif` with the pixel dimensions it states, if it does, replaced by the given ones."""
    tags = Image.Exif()
    tags.load(exif)
    for tag in set(tags) & DESCRIPTIVE:
        tags[tag] = unchanged(tags[tag])
    camera: dict[int, Any] = tags.get_ifd(ExifTags.IFD.Exif)
    if ExifTags.Base.ExifImageWidth in camera:
        camera[ExifTags.Base.ExifImageWidth] = width
    if ExifTags.Base.ExifImageHeight in camera:
        camera[ExifTags.Base.ExifImageHeight] = height
    return tags.tobytes()

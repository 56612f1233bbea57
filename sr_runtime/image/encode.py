"""Encoding a picture into an open file, with the metadata that its format can hold."""

import io
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sr_runtime.image import sixteen_bit
from sr_runtime.image.color import in_srgb, profile_for
from sr_runtime.image.comment import comment_of
from sr_runtime.image.exif import exif_with_size
from sr_runtime.image.formats import Format
from sr_runtime.image.gif import write_gif
from sr_runtime.image.iptc import photoshop_segment
from sr_runtime.image.picture import Picture
from sr_runtime.image.png import png_texts, with_texts
from sr_runtime.image.png_encoder import write_png
from sr_runtime.image.tiff import write_tiff

__all__ = ["encode"]

QUALITY = 95

# For animations and what is written by rows. Measured with an upscaled photo of 2400 × 1600:
# level 1 writes 17.8 MP/s and 4.05 MB, level 3 11.4 MP/s and 3.80 MB, level 6 3.9 MP/s and 3.48 MB.
PNG_COMPRESSION = 1
# 18 MP/s; Pillow's default, 4, writes 8 MP/s and files 3 % smaller.
WEBP_METHOD = 2
# Lossless, the quality is the effort: 80, Pillow's default, takes 4 times as long for files 1 %
# smaller.
WEBP_EFFORT = 20
# The default, 6, takes 3 times as long for files 7 % smaller.
AVIF_SPEED = 8
# The default, 7, takes 2 and 7 times as long, for files of the same size and 5 % smaller.
JXL_EFFORT, JXL_LOSSLESS_EFFORT = 5, 3

LARGEST_SEGMENT = 65533
"""Bytes of one JPEG segment; XMP begins with 29 that name it."""


def encode(picture: Picture, file: BinaryIO, format: Format, quality: int | str | None) -> None:
    """Encode `picture`, which the format can hold; `quality` as in Output.

    Raises what the encoders raise: OSError, ValueError, struct.error and others.
    """
    if format == "tiff":
        write_tiff((picture, *picture.pages), file)
        return
    frames = picture.frames
    # Pillow writes no profile into GIF and JPEG XL. WebP has none of gray, and readers show gray
    # AVIF as RGB.
    if format in ("gif", "jxl") or (format in ("webp", "avif") and frames[0].shape[2] < 3):
        frames = tuple(in_srgb(frame, picture.icc_profile) for frame in frames)
    if format == "gif":
        write_gif(
            frames,
            file,
            durations=picture.durations,
            loop=picture.loop,
            comment=comment_of(picture.png_text),
        )
        return
    height, width, channels = frames[0].shape
    options: dict[str, Any] = {
        "icc_profile": profile_for(channels, picture.icc_profile),
        "exif": _exif(picture, format, height, width),
        "dpi": picture.dpi,
    }
    if format == "png" and frames[0].dtype == np.uint16 and channels > 1:
        png = sixteen_bit.encode_png(frames[0], compression=PNG_COMPRESSION, **options)
        file.write(with_texts(png, png_texts(picture.png_text, picture.xmp)))
        return
    options |= _options(picture, format, quality)
    if format == "png" and len(frames) == 1:
        pixel = io.BytesIO()
        _save(_image(frames[0][:1, :1]), pixel, format, options)
        write_png(frames[0], pixel.getvalue(), file)
        return
    first, *others = map(_image, frames)
    if others:
        options |= {
            "save_all": True,
            "append_images": others,
            "duration": list(picture.durations),
            "loop": 1 if picture.loop is None else picture.loop,
        }
    _save(first, file, format, options)


def _image(frame: NDArray[Any]) -> Image.Image:
    return Image.fromarray(frame[:, :, 0] if frame.shape[2] == 1 else frame)


def _save(image: Image.Image, file: BinaryIO, format: Format, options: dict[str, Any]) -> None:
    given = {name: value for name, value in options.items() if value is not None}
    if format == "jpg":
        # Pillow's encoder of JPEG does not notice when the disk is full.
        whole = io.BytesIO()
        image.save(whole, format="JPEG", **given)
        file.write(whole.getbuffer())
        return
    image.save(file, format=format.upper(), **given)


def _options(picture: Picture, format: Format, quality: int | str | None) -> dict[str, Any]:
    """What Pillow's encoder of a format takes beyond `icc_profile`, `exif` and `dpi`."""
    lossless = quality == "lossless"
    number = QUALITY if quality is None or lossless else quality
    match format:
        case "png":
            return {"compress_level": PNG_COMPRESSION, "pnginfo": _text(picture)}
        case "jpg":
            return _jpeg_options(picture) | {"quality": number, "subsampling": "4:4:4"}
        case "webp":
            # `exact` keeps the colours under transparency.
            return {
                "xmp": picture.xmp,
                "method": WEBP_METHOD,
                "quality": WEBP_EFFORT if lossless else number,
                "lossless": lossless,
                "exact": lossless,
            }
        case "avif":
            return {
                "xmp": picture.xmp,
                "quality": number,
                "subsampling": "4:4:4",
                "speed": AVIF_SPEED,
            }
        case "jxl":
            effort = JXL_LOSSLESS_EFFORT if lossless else JXL_EFFORT
            return {
                "xmp": picture.xmp,
                "quality": number,
                "lossless": lossless,
                "effort": effort,
            }
    return {}


def _exif(picture: Picture, format: Format, height: int, width: int) -> bytes | None:
    """EXIF that states the size; None where there is none, or too much for a JPEG."""
    exif = picture.exif and exif_with_size(picture.exif, width=width, height=height)
    return exif if exif and (format != "jpg" or len(exif) <= LARGEST_SEGMENT) else None


def _text(picture: Picture) -> PngInfo:
    info = PngInfo()
    for name, content in png_texts(picture.png_text, picture.xmp):
        info.add(name, content)
    return info


def _jpeg_options(picture: Picture) -> dict[str, Any]:
    """XMP, IPTC and the comment, each if it fits one segment."""
    xmp = picture.xmp if len(picture.xmp or b"") <= LARGEST_SEGMENT - 29 else None
    comment = comment_of(picture.png_text)
    return {
        "xmp": xmp,
        "extra": photoshop_segment(picture.iptc) if picture.iptc else None,
        "comment": comment if len(comment or b"") <= LARGEST_SEGMENT else None,
    }

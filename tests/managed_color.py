"""Colours as a viewer shows them that manages colour: by LittleCMS, without our code."""

import io

import numpy as np
from PIL import Image, ImageCms

__all__ = ["shown_in_srgb"]


def shown_in_srgb(
    image: Image.Image, profile: bytes | None, *, black_point: bool = False
) -> np.ndarray:
    """The `(H, W, 3)` uint8 pixels; without a profile they are taken for sRGB.

    `black_point` maps the darkest colour of one space to that of the other, as photo editors do.
    """
    if profile is None:
        return np.asarray(image.convert("RGB"))
    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION if black_point else ImageCms.Flags.NONE
    return np.asarray(
        ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=flags,
        )
    )

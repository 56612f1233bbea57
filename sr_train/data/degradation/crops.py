"""The share of training crops that are damaged, and the HR that they are compared with."""

import numpy as np

from sr_runtime.errors import require_extra
from sr_train.config.degradation import Degradation
from sr_train.data.degradation.pixels import Floats, Pixels, floats_of, pixels_of
from sr_train.data.degradation.process import degrade

with require_extra("train"):
    import cv2

__all__ = ["degraded", "sharpened"]


def degraded(
    lr: Pixels, hr: Pixels, config: Degradation, generator: np.random.Generator
) -> tuple[Pixels, Pixels]:
    """A pair of (h, w, C) and (scale·h, scale·w, C) uint8 crops, damaged or as they are."""
    if config.probability == 0 or generator.random() >= config.probability:
        return lr, hr
    process = config.mild if generator.random() < config.mild_share else config.real
    if config.usm_targets:
        hr = sharpened(hr)
    return degrade(hr, process, generator, scale=len(hr) // len(lr)), hr


def sharpened(image: Pixels) -> Pixels:
    """(H, W, C) uint8 after Real-ESRGAN's unsharp mask, which leaves weak contrasts alone."""
    pixels = floats_of(image)
    detail: Floats = pixels - _blurred(pixels)
    strength = _blurred((np.abs(detail) > 10 / 255).astype(np.float32))
    sharp: Floats = np.clip(pixels + 0.5 * detail, 0, 1)
    pixels += strength * (sharp - pixels)
    return pixels_of(pixels)


def _blurred(image: Floats) -> Floats:
    # 51 pixels wide, for which OpenCV takes a standard deviation of 8.
    blurred: Floats = cv2.GaussianBlur(image, (51, 51), 0)
    return blurred.reshape(image.shape)

"""The share of training crops that are degraded, and the HR that they are compared with."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sr_runtime.errors import require_extra
from sr_train.config.degradation import Degradation
from sr_train.data.degradation.pixels import Floats, Pixels, floats_of, pixels_of
from sr_train.data.degradation.process import Step, apply, draw

with require_extra("train"):
    import cv2

__all__ = ["Crop", "degraded", "sharpened"]


class Crop(NamedTuple):
    """What the network sees of an image, (h, w, C) and (scale·h, scale·w, C) uint8."""

    lr: Pixels
    hr: Pixels
    clean: Pixels
    """LR as it was prepared, after `augmentation`, which may compress or blank parts of it."""
    steps: Sequence[Step] = ()
    """What made `lr` from `hr`; nothing if it is the clean one."""


def degraded(lr: Pixels, hr: Pixels, config: Degradation, generator: np.random.Generator) -> Crop:
    """Degrade a pair of crops, or leave it as it is, as often as configured."""
    if config.probability == 0 or generator.random() >= config.probability:
        return Crop(lr, hr, clean=lr)
    process = config.mild if generator.random() < config.mild_share else config.real
    if config.usm_targets:
        hr = sharpened(hr)
    steps = draw(process, hr.shape[:2], lr.shape[:2], generator)
    return Crop(apply(steps, hr, generator), hr, clean=lr, steps=steps)


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

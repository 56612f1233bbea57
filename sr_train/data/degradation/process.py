"""From HR to a degraded LR: the second-order process of Real-ESRGAN (arXiv:2107.10833).

What happens to an image is drawn first, as a list of steps, and then done. Images are
(H, W, C) float32 in [0, 1] between the steps, and every step keeps the middle of the image where it
is. The operations are OpenCV's, which comes with Albumentations: those of Albumentations draw their
parameters themselves, from other distributions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sr_runtime.errors import require_extra
from sr_runtime.resize import resize
from sr_train.config.degradation import DegradationPass, DegradationProcess, Method
from sr_train.data.degradation.draws import pick, uniform
from sr_train.data.degradation.jpeg import Jpeg, draw_jpeg
from sr_train.data.degradation.kernels import Blur, Sinc, draw_blur, draw_sinc
from sr_train.data.degradation.noise import GaussianNoise, PoissonNoise, draw_noise
from sr_train.data.degradation.pixels import Floats, Pixels, floats_of, pixels_of

with require_extra("train"):
    import cv2

__all__ = ["Resize", "Step", "apply", "degrade", "draw"]

Size = tuple[int, int]
"""Height and width."""

INTERPOLATIONS: Mapping[Method, int] = {
    "area": cv2.INTER_AREA,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
}


@dataclass(frozen=True)
class Resize:
    """Resizing, in which `bilinear` and `bicubic` alias, as in many programs."""

    size: Size
    method: Method

    def __call__(self, image: Floats, generator: np.random.Generator) -> Floats:
        """Resize (H, W, C)."""
        height, width = self.size
        if image.shape[:2] == self.size:
            return image
        if self.method == "antialiased":
            return resize(image, height, width)
        how = INTERPOLATIONS[self.method]
        resized: Floats = cv2.resize(image, (width, height), interpolation=how)
        return resized


Step = Blur | Sinc | Resize | GaussianNoise | PoissonNoise | Jpeg
"""A change of (H, W, C) float32."""


def degrade(
    hr: Pixels, process: DegradationProcess, generator: np.random.Generator, scale: int
) -> Pixels:
    """LR (H/scale, W/scale, C) of HR (H, W, C), uint8 of 1 or 3 channels.

    H and W are multiples of the scale. All randomness comes from `generator`.
    """
    height, width = hr.shape[:2]
    steps = draw(process, (height, width), (height // scale, width // scale), generator)
    return apply(steps, hr, generator)


def draw(
    process: DegradationProcess, hr: Size, lr: Size, generator: np.random.Generator
) -> list[Step]:
    """What happens to an image of the size `hr` that becomes one of the size `lr`."""
    first, second = process.first, process.second
    steps: list[Step] = [
        *draw_blur(first, generator),
        _draw_resize(first, hr, generator),
        *draw_noise(first, generator),
        *draw_jpeg(first, generator),
        *draw_blur(second, generator),
        _draw_resize(second, lr, generator),
        *draw_noise(second, generator),
    ]
    shrink: list[Step] = [Resize(lr, pick(second.resize_methods, generator))]
    if generator.random() < process.final_sinc_probability:
        shrink.append(draw_sinc(second, generator))
    jpeg = draw_jpeg(second, generator)
    if generator.random() < process.final_jpeg_probability:
        return [*steps, *shrink, *jpeg]
    return [*steps, *jpeg, *shrink]


def apply(steps: Sequence[Step], hr: Pixels, generator: np.random.Generator) -> Pixels:
    """Do these steps to (H, W, C) uint8, and round."""
    image = floats_of(hr)
    for step in steps:
        # OpenCV drops the axis of a single channel.
        image = step(image, generator)
        image = image.reshape(*image.shape[:2], hr.shape[2])
    return pixels_of(image)


def _draw_resize(settings: DegradationPass, size: Size, generator: np.random.Generator) -> Resize:
    smallest, largest = settings.resize_factor
    change = pick(settings.resize, generator)
    between = {"up": (1.0, largest), "down": (smallest, 1.0), "keep": (1.0, 1.0)}[change]
    factor = uniform(between, generator)
    height, width = (max(1, int(side * factor)) for side in size)
    return Resize((height, width), pick(settings.resize_methods, generator))

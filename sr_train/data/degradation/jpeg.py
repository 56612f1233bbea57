"""JPEG compression by a real encoder: libjpeg, as OpenCV brings it."""

from dataclasses import dataclass

import numpy as np

from sr_runtime.errors import require_extra
from sr_train.config.degradation import DegradationPass
from sr_train.data.degradation.pixels import Floats, Pixels, floats_of, pixels_of

with require_extra("train"):
    import cv2

__all__ = ["Jpeg", "draw_jpeg"]

BLOCK = 16
"""Side of what is encoded at once: 2×2 blocks of brightness, and one of each colour difference."""


@dataclass(frozen=True)
class Jpeg:
    """Compression as most programs do it, with colours at half the resolution."""

    quality: int
    corner: tuple[int, int] = (0, 0)
    """Row and column of a block where the image begins: it is a part of a larger one."""

    def __call__(self, image: Floats, generator: np.random.Generator) -> Floats:
        """Compress (H, W, C) in [0, 1]."""
        top, left = self.corner
        larger = np.pad(pixels_of(image), ((top, 0), (left, 0), (0, 0)), "reflect")
        return floats_of(self.compressed(larger)[top:, left:])

    def compressed(self, image: Pixels) -> Pixels:
        """Compress (H, W, C) uint8 of 1 or 3 channels."""
        # OpenCV takes the channels as BGR.
        file = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, self.quality])[1]
        decoded = np.asarray(cv2.imdecode(file, cv2.IMREAD_UNCHANGED), np.uint8)
        return np.ascontiguousarray(decoded.reshape(image.shape)[:, :, ::-1])


def draw_jpeg(settings: DegradationPass, generator: np.random.Generator) -> list[Jpeg]:
    """The compression of a pass, which may have none."""
    if generator.random() >= settings.jpeg_probability:
        return []
    smallest, largest = settings.jpeg_quality
    quality = int(generator.integers(smallest, largest + 1))
    # Otherwise a network could tell where blocks begin by the distance to the crop's border.
    top, left = generator.integers(BLOCK, size=2).tolist()
    return [Jpeg(quality, (top, left))]

"""A photo and its two enlargements, and the details in which they differ most."""

from dataclasses import dataclass

import numpy as np
import PIL.Image
from PIL.Image import Resampling

from sr_runtime.examples.before_after.details import Box, around, fine_detail, windows

__all__ = ["DETAIL_HEIGHT", "DETAIL_WIDTH", "Comparison", "compared"]

# Pixels of the enlargement that a detail shows: three side by side fill the window of a notebook.
DETAIL_WIDTH, DETAIL_HEIGHT = 416, 280

DETAILS = 2


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All pictures are RGB and have the photo's ICC profile in their `info`."""

    photo: PIL.Image.Image
    model: PIL.Image.Image
    """`photo` enlarged by a model."""
    bicubic: PIL.Image.Image
    """`photo` enlarged to the same size by bicubic interpolation, as photo editors do it."""

    @property
    def scale(self) -> int:
        """Result over photo."""
        return self.model.width // self.photo.width

    def details(self, middle: tuple[int, int] | None) -> list[Box]:
        """The parts of the photo that gain most; first, if given, the one around `middle`.

        What counts in each square is the less of the detail that the photo has and the detail that
        the model adds: grain on a smooth surface is no gain.
        """
        width = min(self.photo.width, max(1, DETAIL_WIDTH // self.scale))
        height = min(self.photo.height, max(1, DETAIL_HEIGHT // self.scale))
        has = fine_detail(self.bicubic, self.scale)
        adds = fine_detail(self.model, self.scale) - has
        corners = windows(
            np.minimum(has, adds),
            width,
            height,
            count=DETAILS,
            first=middle and around(middle, width, height, within=self.photo.size)[:2],
        )
        return [(left, top, left + width, top + height) for left, top in corners]

    def crops(self, box: Box) -> tuple[PIL.Image.Image, PIL.Image.Image, PIL.Image.Image]:
        """One part: the photo's own pixels, bicubic and model, the latter two cut from the whole.

        Enlarging the part alone would differ at its edges, where the context is missing.
        """
        left, top, right, bottom = (edge * self.scale for edge in box)
        large = left, top, right, bottom
        return self.photo.crop(box), self.bicubic.crop(large), self.model.crop(large)


def compared(photo: PIL.Image.Image, model: PIL.Image.Image) -> Comparison:
    """`photo` and its enlargement by a model beside its bicubic one."""
    bicubic = photo.resize(model.size, Resampling.BICUBIC)
    return Comparison(photo=photo, bicubic=bicubic, model=model)

"""What the page says of the photo and the model, in words that a photographer uses."""

from pathlib import Path

import numpy as np
import PIL.Image

from sr_runtime.embedded import EMBEDDED
from sr_runtime.examples.before_after.comparison import Comparison
from sr_runtime.image import Picture
from sr_runtime.model_folder import stem_of

__all__ = ["facts_of", "size_text"]

EMBEDDED_LICENCE = (
    "It comes with sr-toolkit and is for non-commercial use only. No right is claimed in the "
    "pictures that it enlarges."
)
OTHER_LICENCE = "Its author decides that: look for a licence where the model was published."


def facts_of(
    *,
    name: str,
    photo: Picture,
    credit: str | None,
    comparison: Comparison,
    model: str,
    architecture: str,
    result: Path,
) -> dict[str, object]:
    """The values of the template that are no pictures.

    Args:
        name: The photo's file name.
        photo: All of it, where `comparison` may show a part.
        credit: Whose photo it is, if known.
        model: As the command line has it.
        result: The file with the enlargement.
    """
    frame = photo.frames[0]
    rows, columns, channels = frame.shape
    notes = [] if credit is None else [credit]
    if (columns, rows) != comparison.photo.size:
        notes.append(
            f"That is more than a page holds, so a part of {size_text(comparison.photo)} is shown."
        )
    if frame.dtype == np.uint16:
        notes.append("Of the 16 bits of its colours, this page shows 8.")
    if channels in (2, 4):
        notes.append("Where it is transparent, it is shown on white.")
    return {
        "photo": name,
        "photo_size": f"{columns}×{rows}",
        "notes": " ".join(notes),
        "scale": comparison.scale,
        "width": comparison.model.width,
        "height": comparison.model.height,
        "model_name": stem_of(model),
        "architecture": architecture,
        "licence": EMBEDDED_LICENCE if model in EMBEDDED else OTHER_LICENCE,
        "result": result.name,
    }


def size_text(image: PIL.Image.Image) -> str:
    """Width and height."""
    return f"{image.width}×{image.height}"

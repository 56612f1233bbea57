"""The self-ensemble of EDSR (Lim et al. 2017): the mean over eight flips and rotations."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["VIEWS", "apply_view", "undo_view"]

VIEWS = range(8)


def apply_view(tile: NDArray[Any], view: int) -> NDArray[Any]:
    """Rotate an `(h, w, C)` tile by `view` % 4 quarter turns; views 4 to 7 are mirrored too."""
    rotated = np.rot90(tile, view % 4)
    return rotated[:, ::-1] if view >= 4 else rotated


def undo_view(planes: NDArray[np.float32], view: int) -> NDArray[np.float32]:
    """Undo `apply_view` on `(N, C, h, w)` planes."""
    if view >= 4:
        planes = planes[:, :, :, ::-1]
    return np.rot90(planes, -(view % 4), axes=(2, 3))

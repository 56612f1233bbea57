"""How the features' network sees images in stage 2: shifted and turned, otherwise in every step."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

__all__ = ["View", "random_view"]

View = Callable[[Tensor], Tensor]


def random_view(seed: int, batch: int, scale: int) -> View:
    """A view of `(N, C, H, W)`, drawn for mini-batch `batch`: cut by less than `scale`, and turned.

    A network with strides is blind to some patterns of the generator's own period, its scale, and
    to more where they always come the same way round: left alone, the generator finds them.
    Kettunen et al., "E-LPIPS", 2019 (arXiv:1906.03973) move images at random for that reason.
    """
    random = np.random.default_rng((seed, batch))
    top, left = random.integers(scale, size=2).tolist()
    quarters, mirrored = int(random.integers(4)), bool(random.integers(2))

    def view(images: Tensor) -> Tensor:
        turned = torch.rot90(images[:, :, top:, left:], quarters, dims=(2, 3))
        return turned.flip(3) if mirrored else turned

    return view

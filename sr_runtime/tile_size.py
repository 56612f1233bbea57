"""How large tiles and their halo are: what the caller asks for, or what suits the model."""

import math

from sr_runtime.backends.base import Backend
from sr_runtime.errors import ArgumentError
from sr_runtime.memory.free import free_memory
from sr_runtime.model_info import LARGEST_HALO, ModelInfo
from sr_runtime.printable import shown

__all__ = ["halo_pixels", "largest_tile"]

# Larger tiles recompute less halo but take more memory.
AUTO_TILE = {"bf16": 512, "fp16": 512, "fp32": 384}

# What a tile of that side takes: a 23-block RRDBNet, in each precision.
AUTO_TILE_BYTES = 2_000_000_000

# A network that looks further than its halo gets the image in one tile up to this side on a GPU,
# which says in time that memory runs out, and where the system does not say how much is free.
WHOLE_TILE = 1024

# On a CPU such a tile may take this share of the free memory, because Linux kills a process that
# takes more than there is. The estimate assumes that memory grows with a tile's area, as it does
# for pooling and for attention between channels or within windows.
WHOLE_TILE_SHARE = 0.5

LARGEST_TILE = 1 << 16


def halo_pixels(info: ModelInfo, halo: object) -> int:
    """LR pixels for "auto", "exact" or a number. Raises ArgumentError for anything else."""
    if halo == "auto":
        return info.halo
    if halo == "exact":
        if info.receptive_radius is None:
            raise ArgumentError(
                "halo exact needs the model's receptive radius, which this file does not state: "
                "export it with `python -m sr_export onnx`, or give the halo as a number"
            )
        return info.receptive_radius
    if isinstance(halo, int) and not isinstance(halo, bool) and 0 <= halo <= LARGEST_HALO:
        return halo
    raise ArgumentError(
        f"halo {shown(halo)} is not valid: give auto, exact, or a number from 0 to {LARGEST_HALO}"
    )


def largest_tile(backend: Backend, tile: object, halo: int) -> tuple[int, int]:
    """(height, width) for "auto" or a largest side. Raises ArgumentError for anything else."""
    limits = backend.limits
    least = max(limits.min_tile)
    if tile == "auto":
        usual = limits.tile or AUTO_TILE[backend.compute_dtype]
        if backend.info.tiles_differ(halo):
            usual = max(usual, _whole_tile(backend))
        side = max(usual, 2 * halo + usual // 2, least)
    elif isinstance(tile, int) and not isinstance(tile, bool) and least <= tile <= LARGEST_TILE:
        side = tile
    else:
        raise ArgumentError(
            f"tile {shown(tile)} is not valid: give auto, or a number from {least}, the smallest "
            f"that this model takes, to {LARGEST_TILE}"
        )
    most = limits.max_tile or (side, side)
    return min(side, most[0]), min(side, most[1])


def _whole_tile(backend: Backend) -> int:
    """The side up to which a network that looks further than its halo gets an image in one tile."""
    free = free_memory() if backend.device == "cpu" else None
    if free is None:
        return WHOLE_TILE
    areas = WHOLE_TILE_SHARE * free / AUTO_TILE_BYTES
    return int(AUTO_TILE[backend.compute_dtype] * math.sqrt(areas))

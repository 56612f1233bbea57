"""How large tiles and their halo are to be: what was asked for, within what the model takes."""

from sr_runtime.backends import Backend
from sr_runtime.errors import ArgumentError
from sr_runtime.model_info import ModelInfo

__all__ = ["chosen_halo", "largest_tile"]

# Larger tiles recompute less halo and take more memory: with a 23-block RRDBNet about 2 GB, either.
AUTO_TILE = {"bf16": 512, "fp16": 512, "fp32": 384}

LARGEST_TILE = 1 << 16


def chosen_halo(info: ModelInfo, halo: object) -> int:
    """LR pixels for "auto", "exact" or a number; ArgumentError for anything else."""
    if halo == "auto":
        return info.halo
    if halo == "exact":
        if info.receptive_radius is None:
            raise ArgumentError(
                "halo exact needs the model's receptive radius, which this file does not state: "
                "export it with `python -m sr_export onnx`, or give the halo as a number"
            )
        return info.receptive_radius
    if isinstance(halo, int) and halo >= 0:
        return halo
    raise ArgumentError(f"halo {halo!r} is none of auto, exact, or a number from 0 up")


def largest_tile(backend: Backend, tile: object, halo: int) -> tuple[int, int]:
    """(height, width) for "auto" or a largest side; ArgumentError for anything else."""
    limits = backend.limits
    least = max(limits.min_tile)
    if tile == "auto":
        usual = limits.tile or AUTO_TILE[backend.compute_dtype]
        side = max(usual, 2 * halo + usual // 2, least)
    elif isinstance(tile, int) and least <= tile <= LARGEST_TILE:
        side = tile
    else:
        raise ArgumentError(
            f"tile {tile!r} is neither auto nor a number from {least}, the smallest that this "
            f"model takes, to {LARGEST_TILE}"
        )
    most = limits.max_tile or (side, side)
    return min(side, most[0]), min(side, most[1])

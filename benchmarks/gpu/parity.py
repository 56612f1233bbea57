"""Every engine against fp32 in torch, and many tiles in flight against one at a time.

A fast answer is worth nothing if it is wrong, so this comes before timing.
"""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.gpu.engines import Engine, open_engines
from benchmarks.gpu.run import Found, Run, reason_of
from benchmarks.gpu.stream import stream
from sr_runtime.backends.base import infer
from sr_runtime.tensor import float_planes, planes_from_output, tensor_from_tiles

__all__ = ["TORCH", "against", "parity"]

TORCH = "plain PyTorch, channels-last"
TILES = 12  # several times as many as are in flight
COMPARED = 4  # with fp32, computed on the CPU
STEP = 16

Planes = NDArray[np.floating[Any]]


def parity(run: Run) -> Found:
    """PSNR and largest difference of each engine, and whether its tiles are independent."""
    tiles = _tiles(run)
    wanted = _planes(run.generator, tiles[:COMPARED])
    yield TORCH, against(_planes(run.to_device(), tiles[:COMPARED]), wanted)
    for engine in open_engines(run):
        try:
            yield engine.name, _checked(engine, tiles, wanted)
        # Check the others too, and record that this one failed, not that it was left out.
        except Exception as error:
            yield engine.name, {"failed": reason_of(error)}


def _tiles(run: Run) -> list[NDArray[np.uint8]]:
    """Different tiles of a real photo."""
    side = run.sizes.parity_tile
    photo = run.photo_of(side + STEP * TILES, side)
    return [photo[top : top + side] for top in range(0, STEP * TILES, STEP)]


@torch.inference_mode()
def _planes(generator: torch.nn.Module, tiles: list[NDArray[np.uint8]]) -> Planes:
    """The output of a torch network for the tiles, one at a time."""
    weight = next(generator.parameters())
    planes = []
    for tile in tiles:
        tensor = torch.from_numpy(tile.transpose(2, 0, 1)[np.newaxis] / np.float32(255))
        planes.append(generator(tensor.to(weight.device, weight.dtype)).float().cpu().numpy())
    return np.concatenate(planes)


def _checked(engine: Engine, tiles: list[NDArray[np.uint8]], wanted: Planes) -> dict[str, Any]:
    backend = engine.upscaler.backend
    info, fewest = backend.info, backend.limits.batch if backend.limits.fixed_batch else 1
    batches = [tensor_from_tiles([tile] * fewest, info) for tile in tiles]
    alone = [infer(backend, batch)[:1] for batch in batches]
    flight: list[NDArray[Any]] = []
    stream(backend, batches, lambda output: flight.append(output[:1].copy()))
    got = float_planes(planes_from_output(np.concatenate(alone[:COMPARED]), info))
    if info.io == "uint8":
        wanted = np.rint(wanted.clip(0, 1) * 255) / np.float32(255)
    return {
        **against(got, wanted),
        "tiles_in_flight": len(flight),
        "same_in_flight": all(map(np.array_equal, flight, alone)),
    }


def against(got: Planes, wanted: Planes) -> dict[str, Any]:
    """PSNR in dB (peak 1, at most 150) and the largest difference in 8-bit steps."""
    error = float(np.mean(np.square(got - wanted, dtype=np.float64)))
    if not math.isfinite(error):
        return {"failed": "its output holds NaN or infinity"}
    rounded = [np.rint(planes.clip(0, 1) * 255) for planes in (got, wanted)]
    return {
        "psnr_db": -10 * math.log10(max(error, 1e-15)),
        "largest_difference": int(np.abs(rounded[0] - rounded[1]).max()),
    }

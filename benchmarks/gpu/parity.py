"""Every engine against fp32 in torch, and many tiles in flight against one at a time.

A fast answer is worth nothing if it is wrong, so this comes before timing.
"""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.gpu.engines import open_engines
from benchmarks.gpu.run import Found, Run, reason_of
from benchmarks.gpu.stream import stream
from sr_runtime.backends.base import Backend, infer
from sr_runtime.tensor import float_planes, planes_from_output, tensor_from_tiles

__all__ = ["TORCH", "against", "parity"]

TORCH = "plain PyTorch, channels-last"
MIN_PSNR = 45.0  # what sr_export demands of the files it writes
TILES = 12  # several times as many as are in flight
COMPARED = 4  # with fp32, computed on the CPU
STEP = 16

Planes = NDArray[np.floating[Any]]


def parity(run: Run) -> Found:
    """PSNR and largest difference of each engine, and whether its tiles are independent."""
    side = run.sizes.parity_tile
    photo = run.photo_of(side + STEP * TILES, side)
    tiles = [photo[top : top + side] for top in range(0, STEP * TILES, STEP)]
    wanted = _planes(run.generator, tiles[:COMPARED])
    yield TORCH, against(_planes(run.to_device(), tiles[:COMPARED]), wanted)
    for engine in open_engines(run):
        try:
            yield engine.name, _checked(engine.upscaler.backend, tiles, wanted)
        # Check the others too, and record that this one failed, not that it was left out.
        except Exception as error:
            yield engine.name, {"right": False, "failed": reason_of(error)}


@torch.inference_mode()
def _planes(generator: torch.nn.Module, tiles: list[NDArray[np.uint8]]) -> Planes:
    """The output of a torch network for the tiles, one at a time."""
    weight = next(generator.parameters())
    planes = []
    for tile in tiles:
        tensor = torch.from_numpy(tile.transpose(2, 0, 1)[np.newaxis] / np.float32(255))
        planes.append(generator(tensor.to(weight.device, weight.dtype)).float().cpu().numpy())
    return np.concatenate(planes)


def _checked(backend: Backend, tiles: list[NDArray[np.uint8]], wanted: Planes) -> dict[str, Any]:
    info, fewest = backend.info, backend.limits.batch if backend.limits.fixed_batch else 1
    batches = [tensor_from_tiles([tile] * fewest, info) for tile in tiles]
    alone = [infer(backend, batch)[:1] for batch in batches]
    flight: list[NDArray[Any]] = []
    stream(backend, batches, lambda output: flight.append(output[:1].copy()))
    got = float_planes(planes_from_output(np.concatenate(alone[:COMPARED]), info))
    if info.io == "uint8":
        wanted = np.rint(wanted.clip(0, 1) * 255) / np.float32(255)
    row = against(got, wanted)
    same = len(flight) == len(alone) and all(map(np.array_equal, flight, alone))
    return {**row, "right": row["right"] and same, "same_in_flight": same}


def against(got: Planes, wanted: Planes, *, least: float = MIN_PSNR) -> dict[str, Any]:
    """PSNR in dB (peak 1, at most 150), the largest difference in 8-bit steps, and the verdict."""
    error = float(np.mean(np.square(got - wanted, dtype=np.float64)))
    if not math.isfinite(error):
        return {"right": False, "failed": "its output holds NaN or infinity"}
    psnr = -10 * math.log10(max(error, 1e-15))
    rounded = [np.rint(planes.clip(0, 1) * 255) for planes in (got, wanted)]
    return {
        "right": psnr >= least,
        "psnr_db": psnr,
        "least_db": least,
        "largest_difference": int(np.abs(rounded[0] - rounded[1]).max()),
    }

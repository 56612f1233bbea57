"""Speed of the upscaler on a CPU, against the bare engine and a plain PyTorch loop.

The contenders run in turn, round after round: a machine's speed drifts, and a ratio within one
round does not. `python -m benchmarks.report` runs this and prints medians, p90 and ratios.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import openvino as ov
import pytest
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

import sr_runtime
from benchmarks.plain_torch import torch_tile_loop
from sr_runtime import Upscaler
from sr_runtime.tensor import tensor_from_tiles
from sr_train.models.generator import Generator

ROUNDS = 4
TILE = 256
TILED, BARE, ORT, UPSCALER, UINT8, TORCH = CONTENDERS = (
    f"upscaler, tiles of {TILE}",
    "bare OpenVINO, the same tiles",
    "bare ONNX Runtime FP32, the same tiles",
    "upscaler, default tile",
    "upscaler, default tile, --io uint8",
    "PyTorch FP32 tile loop, padding 10",
)

Photo = NDArray[np.uint8]


@pytest.fixture(scope="session")
def upscaler(model: Path) -> Upscaler:
    return sr_runtime.load(model, backend="openvino", tile=TILE)


@pytest.fixture(scope="session")
def tiles(upscaler: Upscaler, photo: Photo) -> list[NDArray[Any]]:
    """The batches that the upscaler submits for the photo."""
    plan = upscaler.plan(*photo.shape[:2])
    height, width = plan.shape
    return [
        tensor_from_tiles(
            [photo[t.rows.start : t.rows.start + height, t.cols.start : t.cols.start + width]],
            upscaler.info,
        )
        for t in plan
    ]


@pytest.fixture(scope="session")
def contenders(
    upscaler: Upscaler,
    tiles: list[NDArray[Any]],
    model: Path,
    uint8_model: Path,
    photo: Photo,
    generator: Generator,
) -> dict[str, Callable[[], Any]]:
    precision = {"bf16": "bf16", "fp32": "f32"}[upscaler.backend.compute_dtype]
    hints = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
    request = ov.Core().compile_model(model, "CPU", hints).create_infer_request()
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    at_defaults = sr_runtime.load(model, backend="openvino")
    of_uint8 = sr_runtime.load(uint8_model, backend="openvino")
    return {
        TILED: lambda: upscaler.upscale(photo),
        BARE: lambda: [request.infer([tile]) for tile in tiles],
        ORT: lambda: [session.run(None, {"input": tile}) for tile in tiles],
        UPSCALER: lambda: at_defaults.upscale(photo),
        UINT8: lambda: of_uint8.upscale(photo),
        TORCH: lambda: torch_tile_loop(generator, photo),
    }


@pytest.mark.parametrize(
    ("turn", "contender"), [(turn, name) for turn in range(ROUNDS) for name in CONTENDERS]
)
def test_speed(
    turn: int,
    contender: str,
    contenders: dict[str, Callable[[], Any]],
    upscaler: Upscaler,
    tiles: list[NDArray[Any]],
    photo: Photo,
    benchmark: BenchmarkFixture,
) -> None:
    benchmark.group = f"round {turn}"
    benchmark.extra_info |= {
        "contender": contender,
        "precision": upscaler.backend.compute_dtype,
        "photo_pixels": photo.shape[0] * photo.shape[1],
        "tile_pixels": sum(tile.shape[2] * tile.shape[3] for tile in tiles),
        "tiles": len(tiles),
    }
    benchmark.pedantic(  # type: ignore[no-untyped-call]
        contenders[contender], rounds=1, warmup_rounds=1 if turn == 0 else 0
    )


def test_the_upscaler_and_the_tile_loop_make_the_same_picture(
    contenders: dict[str, Callable[[], Any]],
) -> None:
    difference = contenders[UPSCALER]().astype(int) - contenders[TORCH]()
    assert np.abs(difference).mean() < 0.5  # in steps of 255: bf16, and the loop's short padding

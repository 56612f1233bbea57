"""The measured limits of a network, and the targets of the GPU benchmark."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.training import PLAIN

__all__ = ["gain", "limits_of", "targets"]

MIN_PSNR = 45.0

Found = Mapping[str, Any]
"""What a part has found."""


def targets(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each target with its measurement (None if there is none) and the outcome in words.

    The targets hold for RRDB-23 ×4 in FP16 on an H200; rates are LR megapixels per second.
    """
    found = {name: part["found"] for name, part in content["parts"].items()}
    photo, parity = found.get("whole_photo", {}), found.get("parity", {}).values()
    failed = any("failed" in row for row in parity)
    checked = [row for row in parity if "same_in_flight" in row]
    tensorrt = [row for name, row in photo.items() if name.startswith("tensorrt")]
    cuda = [row for name, row in photo.items() if name.startswith("onnxruntime,")]
    limit = limits_of(found.get("peak", {})).get("arithmetic")
    kernels = [
        row["lr_mp_per_second"] / limit
        for row in found.get("kernels", {}).values()
        if limit and row["contender"].startswith("tensorrt")
    ]
    rows = [
        (
            "engines against fp32, PSNR in dB",
            MIN_PSNR,
            0.0 if failed else min((row["psnr_db"] for row in checked), default=None),
        ),
        (
            "tiles in flight the same, bit for bit, as one at a time",
            1,
            min((float(row["same_in_flight"]) for row in checked), default=None),
        ),
        ("ONNX Runtime, a photo", 5, _most(row["lr_mp_per_second"] for row in cuda)),
        (
            "ONNX Runtime, times the plain PyTorch loop",
            1.5,
            _most(row.get("times_the_loop") for row in cuda),
        ),
        ("TensorRT, a photo", 11, _most(row["lr_mp_per_second"] for row in tensorrt)),
        ("or TensorRT's kernels, of the measured matmul peak", 0.4, _most(kernels)),
        (
            "a folder of JPEGs, of the bare engine's rate",
            0.9,
            found.get("folder", {}).get("of_bare"),
        ),
        *(
            (f"{stage}, compiled bf16, times eager fp32", 3, _compiled_gain(found.get(stage, {})))
            for stage in ("pretraining", "training")
        ),
    ]
    return [
        {
            "target": name,
            "wanted": wanted,
            "measured": measured,
            "outcome": _outcome(wanted, measured, content["device"]),
        }
        for name, wanted, measured in rows
    ]


def limits_of(peak: Found) -> dict[str, float]:
    """LR megapixels per second that arithmetic and memory alone would allow; {} if unknown."""
    if "bytes_per_lr_pixel" not in peak:
        return {}
    flops = peak[f"{peak['dtype']}_flops"]
    return {
        "arithmetic": flops / peak["flop_per_lr_pixel"] / 1e6,
        "memory": peak["copy_bytes_per_second"] / peak["bytes_per_lr_pixel"] / 1e6,
    }


def _most(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _compiled_gain(found: Found) -> float | None:
    for contenders in found.get("seconds", {}).values():
        for name in contenders:
            if name.endswith("compiled"):
                return gain(contenders, name)
    return None


def gain(contenders: Mapping[str, Sequence[float]], name: str) -> float:
    """The median of the rounds' ratios."""
    pairs = zip(contenders[PLAIN], contenders[name], strict=True)
    return statistics.median([plain / ours for plain, ours in pairs])


def _outcome(wanted: float, measured: float | None, device: str) -> str:
    if measured is None:
        return "not run"
    if device == "cpu":
        return "not judged: the targets are for a GPU"
    return "met" if measured >= wanted else "short of"

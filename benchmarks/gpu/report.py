"""The results of the GPU benchmark as tables, and against the targets."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.training import PLAIN

__all__ = ["report", "targets"]

MIN_PSNR = 45.0

Results = Mapping[str, Any]


def targets(results: Results) -> list[dict[str, Any]]:
    """Each target with its measurement (None if there is none) and the outcome in words.

    The targets hold for RRDB-23 ×4 in FP16 on an H200; rates are LR megapixels per second.
    """
    photo = results.get("whole_photo", {}).get("contenders", {})
    parity = results.get("parity", {}).values()
    failed = any("failed" in row for row in parity)
    checked = [row for row in parity if "same_in_flight" in row]
    worst = min((row["psnr_db"] for row in checked), default=None)
    same = [float(row["same_in_flight"]) for row in checked]
    tensorrt = [name for name in photo if name.startswith("tensorrt,")]
    cuda = [name for name in photo if name.startswith("onnxruntime,")]
    kernels = [
        row.get("of_compute_floor", 0.0)
        for row in results.get("kernels", [])
        if row["contender"].startswith("tensorrt,")
    ]
    rows = [
        ("engines against fp32, PSNR in dB", MIN_PSNR, 0.0 if failed else worst),
        ("tiles in flight the same, bit for bit, as one at a time", 1, min(same, default=None)),
        ("ONNX Runtime, a photo", 5, _most(photo[name]["lr_mp_per_second"] for name in cuda)),
        (
            "ONNX Runtime, times the plain PyTorch loop",
            1.5,
            _most(photo[name].get("times_the_loop") for name in cuda),
        ),
        ("TensorRT, a photo", 11, _most(photo[name]["lr_mp_per_second"] for name in tensorrt)),
        ("or TensorRT's kernels, of the measured matmul peak", 0.4, _most(kernels)),
        (
            "a folder of JPEGs, of the bare engine's rate",
            0.9,
            results.get("folder", {}).get("of_bare"),
        ),
        *(
            (f"{stage}, compiled bf16, times eager fp32", 3, _compiled_gain(results, stage))
            for stage in ("pretraining", "training")
        ),
    ]
    return [
        {
            "target": name,
            "wanted": wanted,
            "measured": measured,
            "outcome": _outcome(wanted, measured, results.get("device", "")),
        }
        for name, wanted, measured in rows
    ]


def report(results: Results) -> str:
    """All results as Markdown tables."""
    lines = [*_environment(results), *_parity(results), *_kernels(results), *_photo(results)]
    lines += [*_folder(results), *_training(results), *_targets(results), *_left_out(results)]
    return "\n".join(lines)


def _environment(results: Results) -> list[str]:
    facts, peak, floors = (results.get(name, {}) for name in ("environment", "peak", "floors"))
    lines = ["", facts.get("gpu") or facts.get("processor", "")]
    lines.append(f"network: {results.get('models', {}).get('network', 'could not be exported')}")
    lines.append("LR-MP/s: megapixels of the small image in a second, and what part that is of the")
    lines.append(
        "rate that arithmetic (the matmul peak) or memory (the copy peak) alone would allow"
    )
    if peak:
        lines.append(
            f"measured: {peak['fp16_flops'] / 1e12:.3g} TFLOP/s in FP16, "
            f"{peak['fp32_flops'] / 1e12:.3g} in FP32, "
            f"{peak['copy_bytes_per_second'] / 1e9:.4g} GB/s read and written"
        )
    if floors:
        lines.append(
            f"an LR pixel in {floors['dtype']}: {floors['flop_per_lr_pixel'] / 1e6:.2f} MFLOP, "
            f"{floors['bytes_per_lr_pixel'] / 1e6:.3f} MB moved by unfused convolutions, "
            f"{floors['eager_bytes_per_lr_pixel'] / 1e6:.3f} by operations one after the other"
        )
    if "binding" in floors:
        compute, memory, eager = (
            floors[f"{name}_lr_pixels_per_second"] / 1e6
            for name in ("compute", "memory", "eager_memory")
        )
        lines.append(
            f"at most {compute:.3g} LR-MP/s by arithmetic, {memory:.3g} by memory: "
            f"{floors['binding']} binds; {eager:.3g} by memory, one operation after the other"
        )
    return lines


def _parity(results: Results) -> list[str]:
    rows = []
    for name, row in results.get("parity", {}).items():
        if "failed" in row:
            rows.append([name, "", row["failed"], "", ""])
            continue
        precision = results.get("engines", {}).get(name, {}).get("precision", "")
        same = {True: "yes", False: "NO", None: ""}[row.get("same_in_flight")]
        difference = f"{row['largest_difference']} of 255"
        rows.append([name, precision, f"{row['psnr_db']:.1f}", difference, same])
    heads = ["against fp32", "computes in", "PSNR, dB", "largest difference"]
    return _table([*heads, "several tiles at once: the same bits"], rows)


def _kernels(results: Results) -> list[str]:
    rows = [
        [
            row["contender"],
            f"{row['batch']}×{row['tile']}×{row['tile']}",
            *_rate(row),
            f"{row['latency_ms_p50']:.2f}",
            f"{row['latency_ms_p99']:.2f}",
        ]
        for row in sorted(
            results.get("kernels", []),
            key=lambda row: (row["contender"], row["tile"], row["batch"]),
        )
    ]
    heads = ["bare engine", "shape", "LR-MP/s", "of arithmetic", "of memory", "p50 ms", "p99 ms"]
    return _table(heads, rows)


def _photo(results: Results) -> list[str]:
    found = results.get("whole_photo", {})
    rows = [
        [name, *_rate(row), f"{row['times_the_loop']:.2f}×" if "times_the_loop" in row else ""]
        for name, row in found.get("contenders", {}).items()
    ]
    size = "×".join(map(str, found.get("photo", ())[:2]))
    heads = [f"a photo of {size}", "LR-MP/s", "of arithmetic", "of memory", "against the loop"]
    return _table(heads, rows)


def _folder(results: Results) -> list[str]:
    lines = []
    if found := results.get("folder"):
        busy = found["gpu_utilization_median"]
        lines += ["", f"a folder of {found['files']} JPEGs, {found['engine']}: "]
        lines[-1] += f"{found['lr_mp_per_second']:.2f} LR-MP/s; {found['of_bare']:.0%} of the bare "
        lines[-1] += f"engine's rate with the same tiles (median of {len(found['seconds'])} rounds)"
        lines[-1] += f", GPU busy {busy:.0f} %" if busy is not None else ""
    if found := results.get("several_gpus"):
        lines += ["", f"all GPUs, {found['engine']}: {found['times_one']:.2f} times one of them"]
    return lines


def _training(results: Results) -> list[str]:
    lines: list[str] = []
    for stage in ("pretraining", "training"):
        contenders = results.get(stage, {}).get("seconds", {}).get(stage, {})
        rows = [
            [name, f"{1 / statistics.median(times):.3f}", f"{_gain(contenders, name):.2f}×"]
            for name, times in contenders.items()
        ]
        lines += _table([stage, "steps/s", "against eager fp32"], rows)
    return lines


def _targets(results: Results) -> list[str]:
    rows = [
        [
            row["target"],
            f"{row['wanted']:g}",
            "" if row["measured"] is None else f"{row['measured']:.3g}",
            row["outcome"],
        ]
        for row in results.get("targets", [])
    ]
    return _table(["target", "wanted", "measured", ""], rows)


def _left_out(results: Results) -> list[str]:
    left_out = results.get("left_out", [])
    heading = ["", "left out:"] if left_out else []
    return heading + [f"- {row['what']}: {row['reason']}" for row in left_out]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    rule = ["---", *["--:"] * (len(heads) - 1)]
    return ["", *(f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows))]


def _rate(row: Results) -> list[str]:
    parts = [row.get(f"of_{floor}_floor") for floor in ("compute", "memory")]
    shares = ["" if part is None else f"{part:.1%}" for part in parts]
    return [f"{row['lr_mp_per_second']:.3g}", *shares]


def _most(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _compiled_gain(results: Results, stage: str) -> float | None:
    contenders = results.get(stage, {}).get("seconds", {}).get(stage, {})
    compiled = [name for name in contenders if name.endswith("compiled")]
    return _gain(contenders, compiled[0]) if compiled else None


def _gain(contenders: Mapping[str, Sequence[float]], name: str) -> float:
    """The median of the rounds' ratios."""
    pairs = zip(contenders[PLAIN], contenders[name], strict=True)
    return statistics.median([plain / ours for plain, ours in pairs])


def _outcome(wanted: float, measured: float | None, device: str) -> str:
    if measured is None:
        return "not run"
    if device == "cpu":
        return "not judged: the targets are for a GPU"
    return "met" if measured >= wanted else "short of"

"""The results of the GPU benchmark as Markdown."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.gpu.parts import PARTS
from benchmarks.gpu.targets import gain, limits_of, targets

__all__ = ["report"]

Found = Mapping[str, Any]
"""What a part has found."""
Section = Callable[[Found, Mapping[str, float]], list[str]]
"""Takes it and the limits that `limits_of` gives."""


def report(content: Mapping[str, Any]) -> str:
    """All results, a section a part; `content` is what the file holds."""
    found = {name: part["found"] for name, part in content["parts"].items()}
    found = {name: rows for name, rows in found.items() if rows}
    limits = limits_of(found.get("peak", {}))
    lines = [*_machines(content), f"Network: {content['network']}.", *_peak(found.get("peak", {}))]
    sections: dict[str, Section] = {
        "driver": _driver,
        "correct": _correct,
        "options": _options,
        "engines": _engines,
        "parity": _parity,
        "kernels": _kernels,
        "whole_photo": _photo,
        "folder": _folder,
        "several_gpus": _several,
        "convolutions": _convolutions,
        "pretraining": _training,
        "training": _training,
    }
    for part in PARTS:
        if part.name in found and part.name in sections:
            body = sections[part.name](found[part.name], limits)
            lines += ["", f"## {part.name}: {part.about}", "", *body]
    lines += ["", "## Targets, for RRDB-23 ×4 on an H200", ""]
    rows = [
        [row["target"], f"{row['wanted']:g}", _number(row["measured"]), row["outcome"]]
        for row in targets(content)
    ]
    lines += _table(["target", "wanted", "measured", "outcome"], rows)
    return "\n".join([*lines, *_not_measured(content)])


def _machines(content: Mapping[str, Any]) -> Iterator[str]:
    """A line for every run of the command, with its machine, and the seconds of its parts."""
    for number, run in enumerate(content["runs"]):
        parts = [
            f"{name} {part.get('seconds', 0):.0f} s"
            for name, part in content["parts"].items()
            if part["run"] == number
        ]
        if parts:
            card = run.get("gpu") or run.get("processor") or "a machine that told nothing"
            torch = run.get("packages", {}).get("torch", "of no known version")
            code = f"commit {run['commit']}" if run["commit"] else f"code {run['sources']}"
            yield f"{card}, torch {torch}, {code}: {', '.join(parts)}."


def _peak(peak: Found) -> list[str]:
    if "eager_bytes_per_lr_pixel" not in peak:
        return []
    limits = limits_of(peak)
    return [
        f"Measured: {peak['fp16_flops'] / 1e12:.3g} TFLOP/s in FP16 and "
        f"{peak['fp32_flops'] / 1e12:.3g} in FP32 (matrix products), "
        f"{peak['copy_bytes_per_second'] / 1e9:.4g} GB/s read and written (a copy).",
        f"An LR pixel in {peak['dtype']}: {peak['flop_per_lr_pixel'] / 1e6:.2f} MFLOP, "
        f"{peak['bytes_per_lr_pixel'] / 1e6:.3f} MB moved by unfused convolutions, "
        f"{peak['eager_bytes_per_lr_pixel'] / 1e6:.3f} by operations one after the other.",
        f"So at most {limits['arithmetic']:.3g} LR-MP/s by arithmetic, "
        f"{limits['memory']:.3g} by memory.",
        "LR-MP/s: megapixels of the small image in a second. Shares are of these two limits.",
    ]


def _driver(found: Found, _: Mapping[str, float]) -> list[str]:
    return [
        f"- {name}: " + (f"FAILED: {row['failed']}" if "failed" in row else _facts(row))
        for name, row in found.items()
    ]


def _facts(row: Found) -> str:
    return (
        f"{row['gpu']}: copies at {row['upload_gb_per_second']:.1f} GB/s up and "
        f"{row['download_gb_per_second']:.1f} down, {row['graph_launches']} launches of a graph, "
        f"the pixels' kernels translated in {row['kernels_ms']:.0f} ms, "
        f"right on {row['threads']} threads and beside torch"
    )


def _correct(found: Found, _: Mapping[str, float]) -> list[str]:
    rows = []
    for name, row in found.items():
        more = row.get("failed", "")
        if "tile_after" in row:
            before, after = (f"{h}×{w}" for h, w in (row["tile_before"], row["tile_after"]))
            more = f"tiles of at most {before}, then {after}"
        verdict = "yes" if row["right"] else "NO"
        least = _number(row.get("least_db"))
        rows.append([name, verdict, _number(row.get("psnr_db")), least, more])
    return _table(["against the CPU's picture", "right", "PSNR, dB", "wanted", ""], rows)


def _options(found: Found, limits: Mapping[str, float]) -> list[str]:
    rows = [
        [name, *_rates(row, limits), f"{row['milliseconds']:.2f}"]
        for name, row in found.items()
        if "milliseconds" in row
    ]
    lines = _table(["bare session", *_heads(limits), "ms a run"], rows)
    if change := found.get("another shape"):
        lines += [
            "",
            f"Two shapes in turn: {change['alternating_lr_mp_per_second']:.3g} LR-MP/s, each alone "
            f"{change['one_shape_lr_mp_per_second']:.3g}. A change of shape costs "
            f"{change['milliseconds_a_change']:.1f} ms, as much as "
            f"{change['lr_pixels_a_change']:,.0f} LR pixels (`SHAPE_COST`).",
        ]
    return lines


def _engines(found: Found, _: Mapping[str, float]) -> list[str]:
    rows = [
        [
            name,
            row["device"],
            row["precision"],
            f"{row['batch']}×{'×'.join(map(str, row['tile']))}",
            str(row["batches_in_flight"]),
            f"{row['seconds']:.1f}",
        ]
        for name, row in found.items()
    ]
    heads = ["engine", "on", "computes in", "largest batch", "in flight", "seconds to open"]
    return _table(heads, rows)


def _parity(found: Found, _: Mapping[str, float]) -> list[str]:
    rows = []
    for name, row in found.items():
        if "failed" in row:
            rows.append([name, "FAILED", row["failed"], ""])
            continue
        same = {True: "yes", False: "NO", None: ""}[row.get("same_in_flight")]
        difference = f"{row['largest_difference']} of 255"
        rows.append([name, f"{row['psnr_db']:.1f}", difference, same])
    heads = ["against fp32", "PSNR, dB", "largest difference"]
    return _table([*heads, "several tiles at once: the same bits"], rows)


def _kernels(found: Found, limits: Mapping[str, float]) -> list[str]:
    rows = [
        [
            row["contender"],
            f"{row['batch']}×{row['tile']}×{row['tile']}",
            *_rates(row, limits),
            f"{row['latency_ms_p50']:.2f}",
            f"{row['latency_ms_p99']:.2f}",
        ]
        for row in sorted(
            found.values(), key=lambda row: (row["contender"], row["tile"], row["batch"])
        )
    ]
    return _table(["bare engine", "shape", *_heads(limits), "p50 ms", "p99 ms"], rows)


def _photo(found: Found, limits: Mapping[str, float]) -> list[str]:
    rows = [
        [name, *_rates(row, limits), f"{row.get('times_the_loop', 1):.2f}×"]
        for name, row in found.items()
    ]
    return _table(["a photo, array to array", *_heads(limits), "against the loop"], rows)


def _folder(found: Found, _: Mapping[str, float]) -> list[str]:
    if "of_bare" not in found:
        return []
    busy = found["gpu_utilization_median"]
    return [
        f"{found['files']} JPEGs with {found['engine']}: {found['lr_mp_per_second']:.3g} LR-MP/s. "
        f"That is {found['of_bare']:.0%} of the bare engine's rate with the same tiles, "
        f"{found['bare_lr_mp_per_second']:.3g} LR-MP/s with halos; with tiles of one shape it "
        f"reaches {found['one_shape_lr_mp_per_second']:.3g}."
        + ("" if busy is None else f" The GPU was busy for {busy:.0f} % of the time.")
    ]


def _several(found: Found, _: Mapping[str, float]) -> list[str]:
    return [f"All GPUs with {found['engine']}: {_number(found.get('times_one'))} times one."]


def _convolutions(found: Found, limits: Mapping[str, float]) -> list[str]:
    rows = []
    for name, row in found.items():
        flops = [f"{value / 1e12:.3g}" for value in row["flops"].values()]
        rate = row["block_lr_mp_per_second"]
        share = f"{rate / limits['arithmetic']:.1%}" if limits else ""
        rows.append([name, *flops, f"{row['block_flops'] / 1e12:.3g}", f"{rate:.3g}", share])
    heads = next(iter(found.values()))["flops"]
    lines = ["The convolutions of a dense block in PyTorch, by channels in and out, TFLOP/s:", ""]
    together = ["together", "69 blocks, LR-MP/s", "of arithmetic"]
    return lines + _table(["image", *heads, *together], rows)


def _training(found: Found, _: Mapping[str, float]) -> list[str]:
    rows = [
        [name, f"{1 / statistics.median(times):.3f}", f"{gain(contenders, name):.2f}×"]
        for contenders in found.get("seconds", {}).values()
        for name, times in contenders.items()
    ]
    lines = _table(["steps", "a second", "against eager fp32"], rows)
    for gigabytes in found.get("peak_memory_gb", {}).values():
        lines += ["", f"Peak memory of the second: {gigabytes} GB."]
    return lines


def _not_measured(content: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, part in content["parts"].items():
        if part["ended"] is not None:
            lines.append(f"- {name}: {part['ended']}")
        lines += [f"- {name}, {what}: {reason}" for what, reason in part["left_out"].items()]
    return ["", "## Not measured", "", *lines] if lines else []


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---", *["--:"] * (len(heads) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows)]


def _heads(limits: Mapping[str, float]) -> list[str]:
    return ["LR-MP/s", *(f"of {name}" for name in limits)]


def _rates(row: Found, limits: Mapping[str, float]) -> list[str]:
    rate = row["lr_mp_per_second"]
    return [f"{rate:.3g}", *(f"{rate / limit:.1%}" for limit in limits.values())]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"

"""The results of the GPU benchmark as Markdown: a list or a table a part, named as in the file."""

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.gpu.parts import PARTS
from benchmarks.gpu.peak import MOST

__all__ = ["report"]

RATE = "lr_mp_per_second"
UNITS = {RATE: "LR-MP/s", "lr_": "LR ", "_per_second": "/s", "psnr_db": "PSNR, dB", "_db": ", dB"}


def report(content: Mapping[str, Any]) -> str:
    """All results; `content` is what the file holds."""
    found = {name: part["found"] for name, part in content["parts"].items()}
    lines = [
        *_machines(content),
        f"Network: {content['network']}.",
        "LR-MP/s are megapixels of the small image in a second. Shares are of the most that "
        "arithmetic and memory alone allow, as the part peak measured them.",
    ]
    if content["device"] == "cpu":
        lines.append("This was a trial on the CPU with small sizes: its rates say nothing.")
    for part in PARTS:
        if rows := found.get(part.name):
            lines += ["", f"## {part.name}: {part.about}", ""]
            lines += _section(rows, found.get("peak", {}))
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
            machine = run.get("gpu") or run.get("processor") or "unknown machine"
            torch = run.get("packages", {}).get("torch")
            yield f"{machine}, torch {torch}, commit {run['commit']}: {', '.join(parts)}."


def _section(found: Mapping[str, Any], peak: Mapping[str, Any]) -> list[str]:
    """Single values, then the rows as one table; lists stay in the file."""
    values = {name: value for name, value in found.items() if not isinstance(value, dict | list)}
    rows = {name: _with_shares(row, peak) for name, row in found.items() if isinstance(row, dict)}
    lines = [f"- {_words(name)}: {_text(value)}" for name, value in values.items()]
    if rows:
        columns = list(dict.fromkeys(
            name for row in rows.values() for name, value in row.items()
            if not isinstance(value, list)
        ))  # fmt: skip
        lines += [""] * bool(lines)
        lines.append(f"| | {' | '.join(map(_words, columns))} |")
        lines.append(f"|---|{'--:|' * len(columns)}")
        for name, row in rows.items():
            lines.append(f"| {name} | {' | '.join(_text(row.get(key)) for key in columns)} |")
    return lines


def _with_shares(row: Mapping[str, Any], peak: Mapping[str, Any]) -> dict[str, Any]:
    """The row, with the shares that its rate has of the limits."""
    shares = {
        f"of {limit}": f"{row[RATE] / peak[most]:.1%}"
        for limit, most in MOST.items()
        if RATE in row and most in peak
    }
    return {**row, **shares}


def _not_measured(content: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, part in content["parts"].items():
        if part["ended"] is not None:
            lines.append(f"- {name}: {part['ended']}")
        lines += [f"- {name}, {what}: {reason}" for what, reason in part["left_out"].items()]
    return ["", "## Not measured", "", *lines] if lines else []


def _words(name: str) -> str:
    for unit, text in UNITS.items():
        name = name.replace(unit, text)
    return name.replace("_", " ")


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "NO"
        case float():
            return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)

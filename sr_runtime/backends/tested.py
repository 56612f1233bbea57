"""Where each backend was seen to work: what `make support` has recorded in tested.json."""

import json
from dataclasses import dataclass
from pathlib import Path

__all__ = ["RECORD", "Tested", "recorded"]

RECORD = Path(__file__).with_name("tested.json")


@dataclass(frozen=True, order=True, kw_only=True)
class Tested:
    """A backend gave the right picture on one machine, in one precision."""

    backend: str
    kind: str
    """The kind of device."""
    hardware: str
    """What the device is, in the words of docs/support.md."""
    precision: str
    system: str
    """Linux, Windows or macOS."""
    device: str
    """The name of the GPU or CPU."""
    machine: str
    """The architecture, and the version of Python."""


def recorded() -> list[Tested]:
    """All that is recorded."""
    return [Tested(**one) for one in json.loads(RECORD.read_text("utf-8"))]

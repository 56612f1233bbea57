"""What all objects of one simulated TensorRT share, and the plans that it reads and writes."""

import base64
import enum
import json
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from tests.simulated_tensorrt.machine import Gpu, Machine, ProcessWouldEnd

__all__ = ["Library", "Plan", "scratch_bytes"]

SCRATCH_PER_PIXEL = 256


def scratch_bytes(shape: tuple[int, ...]) -> int:
    """What the layers between input and output take: by pixels, of either layout."""
    batch, *sides = shape
    height, width = sorted(sides)[1:]  # the channels are the smallest
    return batch * height * width * SCRATCH_PER_PIXEL


@dataclass
class Library:
    """One version on one machine, and what tests can make go wrong."""

    machine: Machine
    version: str
    lean: bool
    enumerations: dict[str, type[enum.Enum]]
    loads: bool = True
    """Whether plans can be loaded."""
    builds: int = 0
    """Engines built so far."""
    steps: int = 4
    """How many each phase of a build has."""
    step_seconds: float = 0.0

    def __getattr__(self, name: str) -> Any:
        try:
            return self.enumerations[name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def gpu(self) -> Gpu | None:
        """Where the calling thread's CUDA context is."""
        if not self.machine.driver:
            raise ProcessWouldEnd("TensorRT was touched on a machine without a driver")
        return self.machine.current


@dataclass(frozen=True)
class Plan:
    """The content of a serialised engine."""

    version: str
    gpu: str
    compute_capability: tuple[int, int]
    version_compatible: bool
    hardware_compatible: str
    input_name: str
    profile: tuple[tuple[int, ...], ...]
    model: bytes

    MAGIC: ClassVar[bytes] = b"simulated plan\n"

    def to_bytes(self) -> bytes:
        facts = asdict(self) | {"model": base64.b64encode(self.model).decode()}
        return self.MAGIC + json.dumps(facts).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Plan | None":
        """None for anything but a whole plan."""
        if not data.startswith(cls.MAGIC):
            return None
        try:
            facts = json.loads(data[len(cls.MAGIC) :])
        except ValueError:
            return None
        facts["model"] = base64.b64decode(facts["model"])
        facts["profile"] = tuple(map(tuple, facts["profile"]))
        facts["compute_capability"] = tuple(facts["compute_capability"])
        return cls(**facts)

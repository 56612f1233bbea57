"""An engine on disk: the raw plan, which trtexec and Triton read too, and a JSON file of its facts.

A plan is executable code: load only plans that you trust.
"""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from sr_runtime.backends.tensorrt.options import (
    DEFAULT_LEVEL,
    BuildOptions,
    Profile,
    Shape,
    sm_text,
)
from sr_runtime.errors import ModelError, SRError, about, reading
from sr_runtime.model_info import PREFIX, ModelInfo
from sr_runtime.storage.atomic import atomic_path
from sr_runtime.storage.lock import wait_for_lock

__all__ = [
    "EngineInfo",
    "facts_path",
    "only_writer_in",
    "read_engine",
    "read_facts",
    "rebuild_command",
    "sha256",
    "write_engine",
]

BUILD = "python -m sr_export engine MODEL.onnx -o MODEL.engine"


@dataclass(frozen=True, kw_only=True)
class EngineInfo(BuildOptions):
    """The facts of a plan, including the options that it was built with."""

    model: ModelInfo
    """Facts of the ONNX file that it was built from."""
    tensorrt: str
    """The version of the library that built it, "10.16.1.11" for instance."""
    gpu: str | None = None
    """The name of the GPU that it was built on; None for TensorRT for RTX, which needs none."""
    compute_capability: str | None = None
    """The compute capability of that GPU, "9.0" for instance."""
    onnx_sha256: str
    """Hash of the ONNX file that it was built from."""
    plan_sha256: str
    """Hash of the plan itself."""

    def to_json(self) -> str:
        """One flat object with the facts of the engine and of the model."""
        engine = asdict(self)
        facts = engine.pop("model") | engine.pop("profile") | engine
        del facts["measured"], facts["assumed"]
        return json.dumps(facts, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> "EngineInfo":
        """Read what `to_json` wrote; ModelError for anything else."""
        try:
            facts = json.loads(text)
            profile = (_numbers(facts, name, 3) for name in ("min", "opt", "max"))
            capabilities = facts.get("compute_capabilities", [])
            return cls(
                kind=facts.get("kind", "tensorrt"),  # before 0.2 there was only one
                model=_model(facts),
                profile=Profile(*(Shape(*numbers) for numbers in profile)),
                workspace=_fact(facts, "workspace", int, type(None)),
                level=_fact(facts, "level", int),
                version_compatible=_fact(facts, "version_compatible", bool),
                hardware_compatible=facts["hardware_compatible"],
                gpu=_fact(facts, "gpu", str, type(None)),
                compute_capability=_fact(facts, "compute_capability", str, type(None)),
                compute_capabilities=tuple(capabilities),
                tensorrt=_fact(facts, "tensorrt", str),
                onnx_sha256=_fact(facts, "onnx_sha256", str),
                plan_sha256=_fact(facts, "plan_sha256", str),
            )
        except (SRError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as e:
            raise ModelError(
                f"damaged, or not the facts of an engine: build the engine again: {BUILD}"
            ) from e

    def __post_init__(self) -> None:
        super().__post_init__()
        for shape in (self.profile.min, self.profile.opt, self.profile.max):
            Shape.parse(str(shape))
        capability = self.compute_capability
        if capability is not None and not re.fullmatch(r"\d{1,2}\.\d", capability, re.ASCII):
            raise ValueError(f"compute capability {capability!r} is not like 8.9")


def _fact(facts: dict[str, Any], name: str, *kinds: type) -> Any:
    """A fact of one of these types, of which JSON has more than a sidecar."""
    value = facts[name]
    if type(value) not in kinds:
        raise TypeError(f"{name} is {value!r}")
    return value


def _numbers(facts: dict[str, Any], name: str, count: int) -> list[int]:
    numbers: list[int] = _fact(facts, name, list)
    if len(numbers) != count or any(type(number) is not int for number in numbers):
        raise TypeError(f"{name} is {numbers!r}")
    return numbers


def _model(facts: dict[str, Any]) -> ModelInfo:
    """The facts of the model, which an ONNX file states as strings."""
    stated = {}
    for field in fields(ModelInfo):
        value = facts.get(field.name)
        if value is None and (field.default is None or field.name not in facts):
            continue
        stated[PREFIX + field.name] = str(_fact(facts, field.name, str, int, float))
    model = ModelInfo.from_metadata(stated)
    if model is None:
        raise ValueError("not the facts of an engine")
    return model


def write_engine(path: Path, plan: bytes, info: EngineInfo) -> None:
    """Write the plan to `path` and its facts to `facts_path(path)`.

    Both are complete before either takes its name. If the process ends between the two renames,
    the plan's hash shows that they do not belong together. Where others may write the same engine,
    use it within `only_writer_in`.
    """
    with atomic_path(facts_path(path)) as facts_file:
        facts_file.write_text(info.to_json(), encoding="utf-8")
        with atomic_path(path) as plan_file:
            plan_file.write_bytes(plan)


@contextlib.contextmanager
def only_writer_in(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder: no other process that does so writes an engine there meanwhile.

    Not for a temporary folder, which is locked already.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folder; a missing one is reported by the writing
        yield
        return
    try:
        with contextlib.suppress(OSError):  # a drive without locks
            wait_for_lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def read_engine(path: Path) -> tuple[bytes, EngineInfo]:
    """Read a plan and its facts.

    Raises:
        ModelError: One is missing or damaged, or they do not belong together.
        StorageError: One cannot be read.
    """
    info = read_facts(path)
    plan = _read(path)
    if sha256(plan) != info.plan_sha256:
        raise ModelError(
            f"the plan is damaged, or not the one that {facts_path(path).name} describes: build it "
            f"again: {rebuild_command(info)}",
            path=path,
        )
    return plan, info


def read_facts(path: Path) -> EngineInfo:
    """Read the facts of an engine, and not its plan.

    Raises:
        ModelError: There is no such engine, or its facts are missing or damaged.
        StorageError: They cannot be read.
    """
    facts = facts_path(path)
    if not path.is_file():  # reading a pipe would wait for ever
        raise ModelError("there is no such engine", path=path)
    if not facts.is_file():
        raise ModelError(
            f"its facts, {facts.name}, are not beside it: copy both files, or build the engine "
            f"here: {BUILD}",
            path=path,
        )
    with about(facts):
        return EngineInfo.from_json(_read(facts))


def _read(path: Path) -> bytes:
    with reading(path):
        return path.read_bytes()


def facts_path(engine: Path) -> Path:
    """Where the facts of an engine are stored."""
    return engine.with_name(engine.name + ".json")


def rebuild_command(info: EngineInfo) -> str:
    """The command line that builds an engine like this one."""
    command = f"{BUILD} {info.profile}"
    if info.kind == "tensorrt-rtx":
        command += f" --for rtx --sm {sm_text(info.compute_capabilities)}"
    if info.workspace is not None:
        command += f" --workspace {info.workspace}"
    if info.level != DEFAULT_LEVEL:
        command += f" --level {info.level}"
    if info.version_compatible:
        command += " --version-compatible"
    if info.hardware_compatible != "none":
        command += f" --hardware-compatible {info.hardware_compatible}"
    return command


def sha256(data: bytes) -> str:
    """The SHA-256 of `data` in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()

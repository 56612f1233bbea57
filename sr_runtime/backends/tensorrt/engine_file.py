"""An engine on disk: the raw plan, as trtexec and Triton read it, and its facts in JSON beside it.

A plan is executable code: load only plans that you trust.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from sr_runtime.atomic import atomic_path
from sr_runtime.backends.tensorrt.options import (
    DEFAULT_LEVEL,
    HardwareCompatible,
    Profile,
    Shape,
)
from sr_runtime.errors import ModelError, SRError
from sr_runtime.model_info import PREFIX, ModelInfo

__all__ = ["EngineInfo", "facts_path", "read_engine", "rebuild_command", "sha256", "write_engine"]


@dataclass(frozen=True, kw_only=True)
class EngineInfo:
    """The facts of a plan."""

    model: ModelInfo
    """Of the ONNX file that it was built from."""
    profile: Profile
    """The shapes it takes."""
    workspace: int | None
    level: int
    """As in `BuildOptions`, for building it again."""
    tensorrt: str
    """Version of TensorRT that built it, "10.16.1.11" for instance."""
    gpu: str
    """Name of the GPU that it was built on."""
    compute_capability: str
    """Of that GPU, "9.0" for instance."""
    version_compatible: bool
    """It runs in other versions of TensorRT, and in the lean runtime."""
    hardware_compatible: HardwareCompatible
    """On which other GPUs it runs."""
    onnx_sha256: str
    """Of the ONNX file that it was built from."""
    plan_sha256: str
    """Of the plan itself."""

    def to_json(self) -> str:
        """One flat object, the model's facts among the engine's."""
        engine = asdict(self)
        facts = engine.pop("model") | engine.pop("profile") | engine
        del facts["assumed"]
        return json.dumps(facts, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "EngineInfo":
        """Read what `to_json` wrote; ModelError if it is not that."""
        try:
            facts: dict[str, Any] = json.loads(text)
            stated = {PREFIX + k: str(v) for k, v in facts.items() if v is not None}
            model = ModelInfo.from_metadata(stated)
            if model is None or facts["hardware_compatible"] not in get_args(HardwareCompatible):
                raise ValueError("no engine's facts")
            texts = ("tensorrt", "gpu", "compute_capability", "onnx_sha256", "plan_sha256")
            return cls(
                model=model,
                profile=Profile(*(Shape(*map(int, facts[k])) for k in ("min", "opt", "max"))),
                workspace=None if facts["workspace"] is None else int(facts["workspace"]),
                level=int(facts["level"]),
                version_compatible=bool(facts["version_compatible"]),
                hardware_compatible=facts["hardware_compatible"],
                **{name: str(facts[name]) for name in texts},
            )
        except (SRError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelError("these are no engine's facts") from error


def write_engine(path: Path, plan: bytes, info: EngineInfo) -> None:
    """Write the plan to `path` and its facts to `facts_path(path)`.

    Both are complete before either takes its name. Should the process end between the two, the
    plan's hash tells that they do not belong together.
    """
    with atomic_path(path) as plan_file, atomic_path(facts_path(path)) as facts_file:
        plan_file.write_bytes(plan)
        facts_file.write_text(info.to_json(), encoding="utf-8")


def read_engine(path: Path) -> tuple[bytes, EngineInfo]:
    """The plan and its facts.

    Raises ModelError if one is missing or damaged, or they do not belong together.
    """
    build = "python -m sr_export engine MODEL.onnx -o MODEL.engine"
    try:
        plan = path.read_bytes()
        info = EngineInfo.from_json(facts_path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if Path(error.filename) == path:
            raise ModelError(f"{path}: there is no such engine") from error
        raise ModelError(
            f"{path}: its facts, {facts_path(path).name}, are not beside it: copy both files, or "
            f"build the engine here: {build}"
        ) from error
    except OSError as error:
        raise ModelError(f"{error.filename}: cannot be read ({error.strerror})") from error
    except (ModelError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{facts_path(path)} is damaged, or about no engine: build the engine again: {build}"
        ) from error
    if sha256(plan) != info.plan_sha256:
        raise ModelError(
            f"{path}: the plan is damaged, or not the one that {facts_path(path).name} is about: "
            f"build it again: {rebuild_command(info)}"
        )
    return plan, info


def facts_path(engine: Path) -> Path:
    """Where the facts of an engine are."""
    return engine.with_name(engine.name + ".json")


def rebuild_command(info: EngineInfo) -> str:
    """The command line that builds an engine like this one."""
    command = f"python -m sr_export engine MODEL.onnx -o MODEL.engine {info.profile}"
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
    """As hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()

"""Repositories of Triton, read as Triton reads them, and models to put there."""

from pathlib import Path

import onnx
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from sr_runtime.backends.tensorrt.engine_file import EngineInfo, sha256, write_engine
from sr_runtime.backends.tensorrt.options import Profile
from sr_runtime.model_info import IO, ModelInfo

PLAN = b"a plan, which only Triton opens"


def config_of(repository: Path, name: str = "sr_x4") -> ModelConfig:
    """Parsed as the server parses it: an unknown or misplaced field raises."""
    return text_format.Parse((repository / name / "config.pbtxt").read_text(), ModelConfig())


def edit(repository: Path, old: str, new: str) -> None:
    """Change config.pbtxt as a user would; it must hold `old`."""
    path = repository / "sr_x4/config.pbtxt"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def engine(
    folder: Path,
    *,
    io: IO = "float32",
    minimum: str = "1x64x64",
    maximum: str = "8x512x512",
    version_compatible: bool = False,
) -> Path:
    info = ModelInfo(
        arch="RRDBNet", scale=4, in_channels=3, out_channels=3, io=io, weights_dtype="float16"
    )
    path = folder / "model.engine"
    write_engine(
        path,
        PLAN,
        EngineInfo(
            model=info,
            profile=Profile.parse(minimum, "4x256x256", maximum),
            workspace=None,
            level=3,
            tensorrt="11.4.0.106",
            gpu='A "quoted" GPU',
            compute_capability="9.0",
            version_compatible=version_compatible,
            hardware_compatible="none",
            onnx_sha256="0" * 64,
            plan_sha256=sha256(PLAN),
        ),
    )
    return path


def with_facts(source: Path, path: Path, **facts: str) -> Path:
    """A copy of a model, with other facts in it."""
    model = onnx.load(source)
    for prop in model.metadata_props:
        prop.value = facts.get(prop.key.removeprefix("sr."), prop.value)
    onnx.save(model, path)
    return path

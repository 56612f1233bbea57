"""A model repository of Triton Inference Server, from an ONNX file or an engine.

repository/sr_x4/config.pbtxt     written with version 1, and left as it is from then on
repository/sr_x4/1/model.onnx
repository/sr_x4/2/model.onnx     one more version; by default Triton serves the newest

`config.pbtxt` is Triton's ModelConfig message in protobuf's text format.
"""

import json
import os
import re
import shlex
import shutil
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sr_export.report import TritonVersion
from sr_runtime.backends.choice import choose, open_backend
from sr_runtime.backends.tensorrt.engine_file import EngineInfo, read_engine, write_engine
from sr_runtime.backends.tensorrt.options import NAMES
from sr_runtime.embedded import model_file
from sr_runtime.errors import ArgumentError, ModelError, about, require_extra
from sr_runtime.model_info import PREFIX, ModelInfo
from sr_runtime.storage.atomic import atomic_folder, create_folder

__all__ = ["triton_repository"]

SUFFIXES = (".onnx", ".engine", ".plan")

# Triton's own, for a model that comes without a configuration.
DEFAULT_MAX_BATCH = 4
# The largest number that config.pbtxt takes.
INT32_MAX = 2**31 - 1
LONGEST_NAME = 200  # bytes of a name; file systems allow 255

# By the numbers of onnx.TensorProto.DataType.
TYPES = {1: "TYPE_FP32", 2: "TYPE_UINT8", 9: "TYPE_BOOL", 10: "TYPE_FP16"}

ENGINE_FACTS = ("tensorrt", "gpu", "compute_capability")

# The lines of config.pbtxt that all versions of a model share.
SHARED = re.compile(
    r'(platform|backend|max_batch_size|input|output)\b|parameters \{ key: "sr\.(scale|io)"'
)


class _Tensor(NamedTuple):
    field: str
    """Where it stands in config.pbtxt, "input" or "output"."""
    name: str
    data_type: str
    shape: tuple[int, ...]
    """The batch first; -1 where the model leaves it open."""


@dataclass(frozen=True, kw_only=True)
class _ServedModel:
    """A model file as Triton sees it."""

    tensors: list[_Tensor]
    facts: dict[str, str]
    """What the file says about itself, under `sr.*`."""
    max_batch: int
    """The largest batch that Triton may choose; 0: it may not choose."""
    engine: EngineInfo | None = None
    """None for an ONNX file."""


def triton_repository(
    model: str | os.PathLike[str],
    repository: str | os.PathLike[str],
    name: str,
    *,
    instances: int | None = None,
    max_batch: int | None = None,
) -> TritonVersion:
    """Put a model into a repository of Triton Inference Server.

    A name that is there already gets one more version. Versions are never replaced, and
    `config.pbtxt` stays as it is: the model must fit what it states.

    Args:
        model: An ONNX file, "esrgan" or "psnr", which the package carries, or an engine with its
            facts beside it.
        repository: The folder of the repository; it is created if it does not exist.
        name: What clients call the model.
        instances: Copies that run at once on each GPU, one by default; only for a new name.
        max_batch: Most images in one batch, by default what the engine takes, or 4 for an ONNX
            file; only for a new name.

    Raises:
        ArgumentError: An argument is outside what is described above, or the repository has
            something else under that name.
        ModelError: The file is no super-resolution model that Triton could serve.
        BackendError: The model is an ONNX file, and onnx is missing.
        StorageError: The repository cannot be written.
    """
    model, repository = model_file(model), Path(repository)
    folder = repository / name
    fits = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*", name)
    if not fits or len(name) > LONGEST_NAME:
        raise ArgumentError(
            f"name {name!r}: give letters, digits, _ and -, single dots between them, and a letter "
            f"or digit first, {LONGEST_NAME} at most"
        )
    for path in (repository, folder):
        if path.exists() and not path.is_dir():
            raise ArgumentError("this is a file, and a folder is needed here", path=path)
    for option, value in (("--instances", instances), ("--max-batch", max_batch)):
        if value is not None and not 1 <= value <= INT32_MAX:
            raise ArgumentError(
                f"{option} {value} is not from 1 to {INT32_MAX}, as Triton wants it"
            )
        if value is not None and folder.exists():
            raise ArgumentError(
                f"{option} {value} is for a new name: edit config.pbtxt, or give another --name",
                path=folder,
            )
    if model.suffix.lower() not in SUFFIXES:
        raise ArgumentError(f"Triton serves files that end in {', '.join(SUFFIXES)}", path=model)
    served = _served_onnx(model) if model.suffix.lower() == ".onnx" else _served_engine(model)
    newest = 0
    if folder.exists():
        _check_fits(served, folder / "config.pbtxt")
        # No version is replaced, complete or not.
        newest = max([0, *(int(each.name) for each in folder.iterdir() if each.name.isdecimal())])
    else:
        config = _config(served, _checked_batch(served, max_batch), name, instances or 1)
    version = folder / str(newest + 1)
    create_folder(repository)
    # Triton scans hidden folders too. Inside a model's folder it ignores the temporary one, because
    # its name is not a number; inside the repository it tries to load it as a model. It must be
    # there all the same: the repository's parent may be read-only or on another disk.
    with atomic_folder(version if folder.exists() else folder) as temporary:
        if not folder.exists():
            # A server that scans now rejects the folder, because its name does not match.
            (temporary / "config.pbtxt").write_text(config, encoding="utf-8")
            temporary /= version.name
            temporary.mkdir()
        if served.engine is None:
            shutil.copyfile(model, temporary / "model.onnx")
        else:
            write_engine(temporary / "model.plan", *read_engine(model))
    command = f"tritonserver --model-repository={shlex.quote(str(repository.resolve()))}"
    if served.engine is not None and served.engine.version_compatible:
        command += " --backend-config=tensorrt,version-compatible=true"
    return TritonVersion(folder=version, server_command=command)


def _served_engine(path: Path) -> _ServedModel:
    """Engines are built from our ONNX files alone, and have the same tensors."""
    _, engine = read_engine(path)
    info, profile = engine.model, engine.profile
    if engine.kind != "tensorrt":
        raise ModelError(
            f"Triton does not run engines of {NAMES[engine.kind]}: build one on the server's GPU "
            "with --for tensorrt, or give the ONNX file",
            path=path,
        )
    if profile.min.batch > 1:
        raise ModelError(
            f"the engine takes batches of {profile.min.batch} images or more, and Triton also "
            "sends single images: build it with a batch of 1 in --min",
            path=path,
        )
    if info.io == "uint8":
        data_type, shape = "TYPE_UINT8", (-1, -1, -1, info.in_channels)
    else:
        data_type, shape = "TYPE_FP32", (-1, info.in_channels, -1, -1)
    tensors = [_Tensor(field, field, data_type, shape) for field in ("input", "output")]
    if info.io == "uint8":
        tensors.append(_Tensor("output", "finite", "TYPE_BOOL", (-1,)))
    facts = info.to_metadata()
    facts |= {PREFIX + key: str(getattr(profile, key)) for key in ("min", "opt", "max")}
    facts |= {PREFIX + key: getattr(engine, key) for key in ENGINE_FACTS}
    return _ServedModel(tensors=tensors, facts=facts, max_batch=profile.max.batch, engine=engine)


def _served_onnx(path: Path) -> _ServedModel:
    with require_extra("export"):
        from sr_export.onnx_file import load_onnx
    model = load_onnx(path)
    graph = model.graph
    with about(path):
        info = ModelInfo.from_metadata({prop.key: prop.value for prop in model.metadata_props})
    if info is None:
        name, _ = choose("auto", "cpu")
        with closing(open_backend(name, path, device="cpu", precision="fp32")) as engine:
            info = engine.info
    weights = {tensor.name for tensor in graph.initializer}  # which old files list as inputs too
    inputs = [value for value in graph.input if value.name not in weights]
    if len(inputs) != 1 or not graph.output:
        raise ModelError(
            f"not a super-resolution model: it has {len(inputs)} inputs and {len(graph.output)} "
            "outputs",
            path=path,
        )
    tensors: list[_Tensor] = []
    for value in (*inputs, *graph.output):
        tensor = value.type.tensor_type
        if not tensor.shape.dim or tensor.elem_type not in TYPES:
            raise ModelError(
                f"the shape of {value.name} is not stated, or its type is not one that images "
                "have: run onnx.shape_inference.infer_shapes over the file",
                path=path,
            )
        shape = tuple(side.dim_value if side.dim_value > 0 else -1 for side in tensor.shape.dim)
        field = "output" if tensors else "input"
        tensors.append(_Tensor(field, value.name, TYPES[tensor.elem_type], shape))
    max_batch = INT32_MAX if all(tensor.shape[0] == -1 for tensor in tensors) else 0
    return _ServedModel(tensors=tensors, facts=info.to_metadata(), max_batch=max_batch)


def _checked_batch(model: _ServedModel, max_batch: int | None) -> int:
    """The `max_batch_size` of a new model."""
    if max_batch is None:
        return model.max_batch if model.max_batch < INT32_MAX else DEFAULT_MAX_BATCH
    if model.max_batch == 0:
        batch = max(tensor.shape[0] for tensor in model.tensors)
        raise ArgumentError(f"the model is made for batches of {batch}: leave --max-batch out")
    if max_batch > model.max_batch:
        raise ArgumentError(
            f"--max-batch {max_batch} is more than the {model.max_batch} of the engine's profile: "
            f"give {model.max_batch} or less, or build the engine with a larger --max"
        )
    return max_batch


def _check_fits(model: _ServedModel, path: Path) -> None:
    """Raise ArgumentError if the lines that all versions share do not suit a further version."""
    if not path.is_file():
        raise ArgumentError("this is missing: put it back, or give another --name", path=path)
    stated = path.read_text(encoding="utf-8", errors="replace")
    batch = re.search(r"^max_batch_size: (\d{1,10})$", stated, re.MULTILINE)
    needed = _config(model, min(int(batch[1]) if batch else DEFAULT_MAX_BATCH, model.max_batch))
    there, here = (set(filter(SHARED.match, text.split("\n"))) for text in (stated, needed))
    if there != here:
        raise ArgumentError(
            f"it has {'; '.join(sorted(there - here)) or 'no more'} where this model needs "
            f"{'; '.join(sorted(here - there)) or 'nothing'}: give another --name",
            path=path,
        )


def _config(model: _ServedModel, max_batch: int, name: str = "", instances: int = 1) -> str:
    """A `config.pbtxt` with one item per line, because `_check_fits` compares lines."""
    lines = [
        "# Written by `sr_export triton` with version 1. A further version leaves it as it is.",
        f"name: {_quoted(name)}",
        'platform: "tensorrt_plan"' if model.engine else 'backend: "onnxruntime"',
        f"max_batch_size: {max_batch}",
    ]
    for tensor in model.tensors:
        dims = tensor.shape[1:] if model.max_batch else tensor.shape
        # Triton has no empty shape: one value per image is a vector of length 1.
        reshape = "" if dims else " reshape { shape: [ ] }"
        lines.append(
            f"{tensor.field} {{ name: {_quoted(tensor.name)} data_type: {tensor.data_type} "
            f"dims: [ {', '.join(map(str, dims or (1,)))} ]{reshape} }}"
        )
    # Without a kind, an ONNX file runs on GPUs where the server has some, and else on the CPU.
    kind = " kind: KIND_GPU" if model.engine else ""
    lines.append(f"instance_group {{ count: {instances}{kind} }}")
    if model.max_batch:
        lines.append("dynamic_batching { }")
    for key, value in model.facts.items():
        lines.append(
            f"parameters {{ key: {_quoted(key)} value {{ string_value: {_quoted(value)} }} }}"
        )
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A string as the text format has it, whose escapes are JSON's."""
    return json.dumps(text, ensure_ascii=False)

"""A model repository of Triton Inference Server, from an ONNX file or an engine.

repository/sr_x4/config.pbtxt
repository/sr_x4/1/model.onnx
repository/sr_x4/2/model.onnx     one more version; Triton serves the newest unless told otherwise
"""

import re
import secrets
import shlex
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from sr_export.report import TritonVersion
from sr_export.triton_config import ServedModel, Tensor, new_config, renewed_config
from sr_runtime.atomic import atomic_path
from sr_runtime.backends import registry
from sr_runtime.backends.tensorrt.engine_file import read_engine, write_engine
from sr_runtime.errors import ArgumentError, ModelError, about
from sr_runtime.model_info import PREFIX, ModelInfo

__all__ = ["add_to_repository"]

SUFFIXES = (".onnx", ".engine", ".plan")

# Triton's types: of the numbers in config.pbtxt, and of a version.
INT32_MAX, INT64_MAX = 2**31 - 1, 2**63 - 1

VERSION_COMPATIBLE = "--backend-config=tensorrt,version-compatible=true"

TYPES: dict[int, str] = {
    onnx.TensorProto.FLOAT: "TYPE_FP32",
    onnx.TensorProto.FLOAT16: "TYPE_FP16",
    onnx.TensorProto.UINT8: "TYPE_UINT8",
    onnx.TensorProto.BOOL: "TYPE_BOOL",
}


def add_to_repository(
    path: Path,
    repository: Path,
    name: str,
    *,
    instances: int | None = None,
    max_batch: int | None = None,
) -> TritonVersion:
    """Add a model, or one more version of a model that is there.

    Args:
        path: An ONNX file, or an engine with its facts beside it.
        name: What clients call the model.
        instances: Copies that run at once, on each GPU; None: one, or what config.pbtxt says.
        max_batch: Most images that Triton may run at once; None: what the engine takes, 4 for an
            ONNX file, or what config.pbtxt says.

    Returns:
        The version's folder, and the command that starts a server with the repository.

    Raises:
        ArgumentError: A value is not one of those above, or the folder holds something else.
        ModelError: The file is no super-resolution model that Triton could serve.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*", name):
        raise ArgumentError(
            f"name {name!r}: give letters, digits, _ and -, single dots between them, and a letter "
            "or digit first"
        )
    for what, value in (("instances", instances), ("max-batch", max_batch)):
        if value is not None and not 1 <= value <= INT32_MAX:
            raise ArgumentError(
                f"{what} {value} is not from 1 to {INT32_MAX}, which is what Triton takes: give "
                "such a number"
            )
    if repository.exists() and not repository.is_dir():
        raise ArgumentError("this is a file: give the folder of the repository", path=repository)
    model = _served_model(path)
    folder = repository / name
    if not folder.exists():
        version = folder / "1"
        config = new_config(model, name, instances=instances, max_batch=max_batch)
        repository.mkdir(parents=True, exist_ok=True)
        with _complete_folder(folder) as temporary:
            # First: a server that looks meanwhile refuses the folder, whose name is another one.
            (temporary / "config.pbtxt").write_text(config, encoding="utf-8")
            (temporary / version.name).mkdir()
            _copy(path, temporary / version.name / model.file_name)
    else:
        old = _present_config(folder)
        with about(folder):
            config = renewed_config(old, model, instances=instances, max_batch=max_batch)
        newest = max([0, *_versions(folder)])
        if newest >= INT64_MAX:
            raise ArgumentError(
                f"version {newest} exists, and Triton counts to {INT64_MAX}: give another --name",
                path=folder,
            )
        version = folder / str(newest + 1)
        with _complete_folder(version) as temporary:
            _copy(path, temporary / model.file_name)
        with atomic_path(folder / "config.pbtxt") as temporary:
            temporary.write_text(config, encoding="utf-8")
    place = shlex.quote(str(repository.resolve()))
    command = " ".join([f"tritonserver --model-repository={place}", *model.server_options])
    return TritonVersion(folder=version, server_command=command)


def _served_model(path: Path) -> ServedModel:
    """What Triton has to know about a model file."""
    if path.suffix.lower() not in SUFFIXES:
        raise ArgumentError(f"Triton serves files that end in {', '.join(SUFFIXES)}", path=path)
    if not path.is_file():
        raise ModelError("there is no such model file", path=path)
    return _served_onnx(path) if path.suffix.lower() == ".onnx" else _served_engine(path)


def _served_engine(path: Path) -> ServedModel:
    """An engine: its tensors are those of our ONNX files, from which alone engines are built."""
    _, engine = read_engine(path)
    info, profile = engine.model, engine.profile
    if profile.min.batch > 1:
        raise ModelError(
            f"the engine takes batches of {profile.min.batch} images or more, and Triton also "
            "sends single images: build it with a batch of 1 in --min",
            path=path,
        )
    outputs: tuple[Tensor, ...]
    if info.io == "uint8":
        image = Tensor("input", "TYPE_UINT8", (-1, -1, -1, info.in_channels))
        outputs = (replace(image, name="output"), Tensor("finite", "TYPE_BOOL", (-1,)))
    else:
        image = Tensor("input", "TYPE_FP32", (-1, info.in_channels, -1, -1))
        outputs = (replace(image, name="output"),)
    of_engine = {
        "min": profile.min, "opt": profile.opt, "max": profile.max, "tensorrt": engine.tensorrt,
        "gpu": engine.gpu, "compute_capability": engine.compute_capability,
    }  # fmt: skip
    return ServedModel(
        runner='platform: "tensorrt_plan"',
        file_name="model.plan",
        kind="KIND_GPU",
        server_options=(VERSION_COMPATIBLE,) if engine.version_compatible else (),
        inputs=(image,),
        outputs=outputs,
        max_batch=profile.max.batch,
        facts=info.to_metadata() | {PREFIX + name: str(v) for name, v in of_engine.items()},
    )


def _served_onnx(path: Path) -> ServedModel:
    try:
        model = onnx.load(path, load_external_data=False)
    except DecodeError as error:
        raise ModelError("not a readable ONNX model", path=path) from error
    graph = model.graph
    if any(onnx.external_data_helper.uses_external_data(weights) for weights in graph.initializer):
        raise ModelError(
            "its weights are in other files: put all into one file, with "
            'onnx.save(onnx.load("…"), "one_file.onnx")',
            path=path,
        )
    info = ModelInfo.from_metadata({prop.key: prop.value for prop in model.metadata_props})
    if info is None:
        name, _ = registry.choose("auto", "cpu")
        with closing(registry.open_backend(name, path, device="cpu", precision="fp32")) as engine:
            info = engine.info
    weights = {tensor.name for tensor in graph.initializer}  # which old files list as inputs too
    inputs = tuple(_tensor(value, path) for value in graph.input if value.name not in weights)
    outputs = tuple(_tensor(value, path) for value in graph.output)
    if len(inputs) != 1 or not outputs:
        raise ModelError(
            f"not a super-resolution model: it has {len(inputs)} inputs and {len(outputs)} outputs",
            path=path,
        )
    return ServedModel(
        runner='backend: "onnxruntime"',
        file_name="model.onnx",
        kind=None,
        inputs=inputs,
        outputs=outputs,
        max_batch=None,
        facts=info.to_metadata(),
    )


def _tensor(value: onnx.ValueInfoProto, path: Path) -> Tensor:
    tensor = value.type.tensor_type
    shape = tuple(side.dim_value if side.dim_value > 0 else -1 for side in tensor.shape.dim)
    if not shape or tensor.elem_type not in TYPES:
        raise ModelError(
            f"the shape of {value.name} is not stated, or its type is not one that images have: "
            "run onnx.shape_inference.infer_shapes over the file",
            path=path,
        )
    return Tensor(value.name, TYPES[tensor.elem_type], shape)


def _present_config(folder: Path) -> str:
    try:
        return (folder / "config.pbtxt").read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError) as error:
        if isinstance(error, FileNotFoundError) and _versions(folder):
            raise ArgumentError(
                "this has versions, but no config.pbtxt: put it back, or give another --name",
                path=folder,
            ) from error
        raise ArgumentError(
            "this is not a model of a Triton repository: give another --name or another folder",
            path=folder,
        ) from error


def _versions(folder: Path) -> list[int]:
    return [int(entry.name) for entry in folder.iterdir() if entry.name.isdecimal()]


def _copy(model: Path, target: Path) -> None:
    if model.suffix.lower() == ".onnx":
        shutil.copyfile(model, target)
    else:
        write_engine(target, *read_engine(model))


@contextmanager
def _complete_folder(target: Path) -> Iterator[Path]:
    """A fresh folder beside `target`, which takes its name when the block succeeds.

    Triton looks into hidden folders too. For a version this one's name is no number; in the
    repository itself it passes for a model. It lies there all the same, for beside the repository
    may be another disk, or no right to write.
    """
    temporary = target.with_name(f".{secrets.token_hex(6)}")
    temporary.mkdir()
    try:
        yield temporary
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)

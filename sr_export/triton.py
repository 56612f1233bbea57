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
from pathlib import Path

from sr_export.report import TritonVersion
from sr_export.served_model import INT32_MAX, ServedModel, served_model
from sr_runtime.backends.tensorrt.engine_file import read_engine, write_engine
from sr_runtime.embedded import model_file
from sr_runtime.errors import ArgumentError, reading
from sr_runtime.storage.atomic import atomic_folder, create_folder

__all__ = ["triton_repository"]

# Triton's own, for a model that comes without a configuration.
DEFAULT_MAX_BATCH = 4
LONGEST_NAME = 200  # bytes of a name; file systems allow 255

# The lines of config.pbtxt that all versions of a model share.
SHARED = re.compile(
    r'(platform|backend|max_batch_size|input|output)\b|parameters \{ key: "sr\.(scale|io)"'
)


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
        model: An ONNX file, the name of one ("psnr", for instance), or an engine with its facts
            beside it.
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
    with reading(repository):
        for path in (repository, folder):
            if path.exists() and not path.is_dir():
                raise ArgumentError("this is a file, and a folder is needed here", path=path)
        new = not folder.exists()
    for option, value in (("--instances", instances), ("--max-batch", max_batch)):
        if value is not None and not 1 <= value <= INT32_MAX:
            raise ArgumentError(
                f"{option} {value} is not from 1 to {INT32_MAX}, as Triton wants it"
            )
        if value is not None and not new:
            raise ArgumentError(
                f"{option} {value} is for a new name: edit config.pbtxt, or give another --name",
                path=folder,
            )
    served = served_model(model)
    if new:
        config = _config(served, _checked_batch(served, max_batch), name, instances or 1)
        version = folder / "1"
    else:
        _check_fits(served, folder / "config.pbtxt")
        with reading(folder):
            versions = [int(each.name) for each in folder.iterdir() if each.name.isdecimal()]
        # No version is replaced, complete or not.
        version = folder / str(1 + max(versions, default=0))
    create_folder(repository)
    # Triton scans hidden folders too. Inside a model's folder it ignores the temporary one, because
    # its name is not a number; inside the repository it tries to load it as a model. It must be
    # there all the same: the repository's parent may be read-only or on another disk.
    with atomic_folder(folder if new else version) as temporary:
        if new:
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


def _checked_batch(model: ServedModel, max_batch: int | None) -> int:
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


def _check_fits(model: ServedModel, path: Path) -> None:
    """Raise ArgumentError if the lines that all versions share do not suit a further version."""
    if not path.is_file():
        raise ArgumentError("this is missing: put it back, or give another --name", path=path)
    with reading(path):
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


def _config(model: ServedModel, max_batch: int, name: str = "", instances: int = 1) -> str:
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

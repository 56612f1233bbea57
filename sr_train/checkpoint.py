"""Generators in files: any trainer's checkpoint in, ours or BasicSR's out."""

import hashlib
import io
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from sr_runtime.atomic import atomic_path
from sr_runtime.errors import ArgumentError, ModelError, about
from sr_train.models.generator import Generator, check_names
from sr_train.models.registry import ARCHITECTURES, build_generator, recognise
from sr_train.tensor_file import read_tensor_file

__all__ = ["load_generator", "save_generator", "weights_sha256"]

# The only metadata entry in our safetensors: the format does not keep the order of several.
METADATA = "sr.generator"

# Where trainers keep the generator's tensors. Averaged weights come before raw ones.
WRAPPERS = (
    "params_ema",
    "params-ema",
    "params",
    "ema_state_dict",
    "model_state_dict",
    "g_model_state_dict",
    "state_dict",
    "model",
    "net",
)
OWNERS = ("generator_ema.", "generator.", "netG.")
DECORATION = re.compile(r"\b(?:module|_orig_mod)\.")  # DataParallel's and torch.compile's
BOOKKEEPING = {"n_averaged", "step", "steps", "initted"}  # kept beside averaged weights
LOADABLE = (torch.float32, torch.float16, torch.bfloat16)


def load_generator(path: str | os.PathLike[str], *, scale: int | None = None) -> Generator:
    """The generator in a `.pth` or `.safetensors` file, in fp32 and evaluation mode.

    Architecture and scale come from the file's metadata if this project wrote it, else from the
    names and shapes of its tensors. `scale` is the network's scale; it is needed only for ×3, whose
    tensors look like those of ×2. Pickled code is never run.

    Raises ModelError, saying what was found, if the file does not hold such a generator.
    """
    path = Path(path)
    with about(path):
        generator, state = _read(path, scale)
        if scale not in (None, generator.scale_factor):
            raise ModelError(
                f"the network is for scale {generator.scale_factor} and cannot be loaded for scale "
                f"{scale}"
            )
        _check_tensors(state, generator.state_dict())
    # A copy, even of fp32: the tensors may be mapped into memory from the file.
    weights = {name: v.to(torch.float32, copy=True) for name, v in state.items()}
    generator.load_state_dict(weights, assign=True)
    return generator.eval()


def save_generator(generator: Generator, path: str | os.PathLike[str]) -> None:
    """Write `.safetensors` with the architecture as metadata, or BasicSR's `.pth`.

    Raises ArgumentError for another suffix, and for a `.pth` of an architecture that names and
    shapes do not record (a residual scaling other than 0.2, an RRDBNet for scale 3): it would be
    read back as another network. Raises StorageError if the file cannot be written.
    """
    path = Path(path)
    state = {name: v.detach().cpu().contiguous() for name, v in generator.state_dict().items()}
    match path.suffix.lower():
        case ".safetensors":
            facts = {"arch": generator.arch, "architecture": generator.architecture}
            content = safetensors.torch.save(state, {METADATA: json.dumps(facts)})
        case ".pth":
            found = recognise(state)
            assert found is not None, generator.arch
            _, readable = found
            if lost := dict(generator.architecture.items() - readable.architecture.items()):
                raise ArgumentError(
                    f"a .pth cannot record {lost}: save it as .safetensors", path=path
                )
            buffer = io.BytesIO()
            torch.save({"params": state}, buffer)
            content = buffer.getvalue()
        case suffix:
            raise ArgumentError(
                f"the suffix is {suffix!r}: name a .safetensors or .pth file", path=path
            )
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def weights_sha256(generator: Generator) -> str:
    """SHA-256 over names, shapes and fp32 values of the tensors, in the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(generator.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _read(path: Path, scale: int | None) -> tuple[Generator, Mapping[str, Tensor]]:
    """The generator, still without weights, and the tensors that will be its weights."""
    content, metadata = read_tensor_file(path)
    if METADATA in metadata:
        return _recorded_generator(metadata[METADATA]), content
    wrapped = (name for name in WRAPPERS if isinstance(content.get(name), Mapping))
    wrapper = next((name for name in wrapped if content[name]), None)
    held = content[wrapper] if wrapper else content
    tensors = _generator_tensors(held)
    if found := recognise(tensors, scale):
        arch, recognised = found
        try:
            return _without_weights(arch, recognised.architecture), recognised.state
        except ArgumentError as error:
            raise ModelError(f"no {arch} has the sizes of these tensors ({error})") from error
    where = f"{wrapper!r} with " if wrapper else ""
    if tensors:
        what = f"{len(tensors)} tensors such as {next(iter(tensors))!r}"
    else:
        what = f"no tensors, only {list(held)[:4]}"
    raise ModelError(
        f"the file holds {where}{what}, which no known generator matches "
        f"({', '.join(ARCHITECTURES)})"
    )


def _recorded_generator(metadata: str) -> Generator:
    try:
        facts = json.loads(metadata)
        return _without_weights(facts["arch"], facts["architecture"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"the metadata is damaged ({error}): convert the original again"
        ) from error


def _without_weights(arch: str, architecture: Mapping[str, Any]) -> Generator:
    """On the meta device: sizes read from a damaged file cost no memory before they are checked."""
    with torch.device("meta"):
        return build_generator(arch, architecture)


def _generator_tensors(content: Mapping[Any, Any]) -> dict[str, Tensor]:
    """The generator's plain tensors, under names without the prefixes that wrappers add."""
    tensors = {
        DECORATION.sub("", name): value
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, Tensor)
        if value.layout == torch.strided and not value.is_meta
    }
    for owner in OWNERS:
        owned = {k.removeprefix(owner): v for k, v in tensors.items() if k.startswith(owner)}
        if owned:
            tensors = owned
            break
    return {name: value for name, value in tensors.items() if name not in BOOKKEEPING}


def _check_tensors(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    check_names(found.keys(), expected.keys())
    for name, tensor in found.items():
        if tensor.shape != expected[name].shape:
            raise ModelError(
                f"{name} has the shape {tuple(tensor.shape)}, and {tuple(expected[name].shape)} "
                "was expected"
            )
        if tensor.dtype not in LOADABLE:
            raise ModelError(f"{name} is stored as {tensor.dtype}: fp32, fp16 and bf16 can be read")
        if not tensor.isfinite().all():
            raise ModelError(f"{name} holds NaN or infinity: its training diverged")

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
from sr_runtime.errors import ModelError, SRError
from sr_train.models.recognise import check_names, recognise
from sr_train.models.registry import Generator, build_generator
from sr_train.tensor_file import read_tensor_file

__all__ = ["CheckpointError", "load_generator", "save_generator", "weights_sha256"]

# The metadata entry of our safetensors. It is one, since safetensors does not keep their order.
METADATA = "sr.generator"

# Where trainers keep the generator's tensors; averaged weights before raw ones.
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
BOOKKEEPING = {"n_averaged", "step", "steps", "initted"}  # of averaged weights
STORED = (torch.float32, torch.float16, torch.bfloat16)


class CheckpointError(ModelError):
    """A file holds no generator that can be loaded, or a generator cannot be saved there."""


def load_generator(path: str | os.PathLike[str], *, scale: int | None = None) -> Generator:
    """The generator that a `.pth` or `.safetensors` file holds, in fp32 and evaluation mode.

    Architecture and scale are read from the file's metadata if we wrote it, else from the names
    and shapes of its tensors. `scale` is what the network should make; it is needed only for ×3,
    whose tensors look like those of ×2. Pickled code is never run.

    Raises CheckpointError, saying what was found, if the file holds no such generator.
    """
    path = Path(path)
    try:
        generator, state = _read(path, scale)
        if scale not in (None, generator.scale_factor):
            raise ModelError(
                f"is a network for scale {generator.scale_factor}, which cannot be loaded for "
                f"scale {scale}"
            )
        _check_tensors(state, generator.state_dict())
    except SRError as error:
        raise CheckpointError(f"{path}: {error}") from error
    # A copy, even of fp32: what was read is mapped into memory from the file.
    weights = {name: v.to(torch.float32, copy=True) for name, v in state.items()}
    generator.load_state_dict(weights, assign=True)
    return generator.eval()


def save_generator(generator: Generator, path: str | os.PathLike[str]) -> None:
    """Write `.safetensors` with the architecture as metadata, or BasicSR's `.pth`.

    Raises CheckpointError for another suffix, for a place that cannot be written, and for a `.pth`
    of an architecture that its names and shapes do not tell (a residual scaling other than 0.2, an
    RRDBNet for scale 3): such a file would be read back as another network.
    """
    path = Path(path)
    state = {name: v.detach().cpu().contiguous() for name, v in generator.state_dict().items()}
    match path.suffix.lower():
        case ".safetensors":
            facts = {"arch": generator.arch, "architecture": generator.architecture}
            content = safetensors.torch.save(state, {METADATA: json.dumps(facts)})
        case ".pth":
            told = recognise(state)
            assert told is not None
            if untold := dict(generator.architecture.items() - told.architecture.items()):
                raise CheckpointError(
                    f"{path}: a .pth cannot record {untold}: save it as .safetensors"
                )
            buffer = io.BytesIO()
            torch.save({"params": state}, buffer)
            content = buffer.getvalue()
        case suffix:
            raise CheckpointError(f"{path}: {suffix!r} should be .safetensors or .pth")
    try:
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be written ({error.strerror})") from error


def weights_sha256(generator: Generator) -> str:
    """SHA-256 over names, shapes and fp32 values of the tensors, in the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(generator.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _read(path: Path, scale: int | None) -> tuple[Generator, Mapping[str, Tensor]]:
    """The generator, still without weights, and the tensors that become its weights."""
    content, metadata = read_tensor_file(path)
    if METADATA in metadata:
        return _recorded_generator(metadata[METADATA]), content
    wrapped = (name for name in WRAPPERS if isinstance(content.get(name), Mapping))
    wrapper = next((name for name in wrapped if content[name]), None)
    held = content[wrapper] if wrapper else content
    tensors = _generator_tensors(held)
    if found := recognise(tensors, scale):
        return _without_weights(found.arch, found.architecture), found.state
    where = f"{wrapper!r} with " if wrapper else ""
    if tensors:
        what = f"{len(tensors)} tensors such as {next(iter(tensors))!r}"
    else:
        what = f"no tensors, only {list(held)[:4]}"
    raise ModelError(
        f"holds {where}{what}, which is no generator this project knows (RRDBNet in five key "
        "layouts, SRVGGNetCompact)"
    )


def _recorded_generator(metadata: str) -> Generator:
    try:
        facts = json.loads(metadata)
        return _without_weights(facts["arch"], facts["architecture"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"has damaged metadata ({error}): convert the original again") from error


def _without_weights(arch: str, architecture: Mapping[str, Any]) -> Generator:
    with torch.device("meta"):
        return build_generator(arch, architecture)


def _generator_tensors(content: Mapping[Any, Any]) -> dict[str, Tensor]:
    """The plain tensors of the generator, without the prefixes that wrappers put before names."""
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
                f"has a {name} of shape {tuple(tensor.shape)}, where {tuple(expected[name].shape)} "
                "was expected"
            )
        if tensor.dtype not in STORED:
            raise ModelError(f"has a {name} of {tensor.dtype}: fp32, fp16 and bf16 can be loaded")
        if not tensor.isfinite().all():
            raise ModelError(f"has NaN or infinity in {name}: its training diverged")

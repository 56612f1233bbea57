"""Generators in files: any trainer's checkpoint in, ours or BasicSR's out."""

import hashlib
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from sr_runtime.backends.out_of_memory import memory_for_network
from sr_runtime.errors import ArgumentError, BackendError, ModelError, about
from sr_runtime.storage.atomic import atomic_path
from sr_train.generator_search import NoGeneratorError, find_generator, named_states
from sr_train.models.generator import Architecture, Generator
from sr_train.models.registry import recognise
from sr_train.models.spandrel_network import SpandrelNetwork, spandrel_generator
from sr_train.tensor_file import fp32_copies, read_tensor_file

__all__ = ["load_any_generator", "load_generator", "save_generator", "weights_sha256"]

# The only metadata entry in our safetensors: the format does not keep the order of several.
METADATA = "sr.generator"

BESIDE_CPU = "docs/export.md says how beside PyTorch's build for CPUs"
RUN_ONNX = (
    "if you can export it to ONNX with the program that it came from, `python -m sr_runtime "
    "upscale -m MODEL.onnx` runs it"
)


@memory_for_network("load the generator")
def load_generator(
    path: str | os.PathLike[str], *, scale: int | None = None, activation: str | None = None
) -> Generator:
    """The generator in a `.pth` or `.safetensors` file, in fp32 and evaluation mode.

    Architecture and scale come from the names and shapes of the tensors, and what these leave open
    from the file's metadata if this project wrote it. `scale` is the network's scale; it is needed
    only for ×3, whose tensors look like those of ×2. `activation`, "relu" or "leakyrelu", is needed
    only for an SRVGGNetCompact without PReLU. Pickled code is never run.

    Raises ModelError, saying what was found, if the file does not hold such a generator.
    """
    path = Path(path)
    with about(path):
        content, metadata = read_tensor_file(path)
        try:
            return _own(content, metadata, path, scale, activation)
        except NoGeneratorError as error:
            if error.is_unknown:
                raise ModelError(
                    f"{error}: it cannot be trained further or converted; `python -m sr_export "
                    "onnx` exports many of them, with the extra spandrel"
                ) from error
            raise


@memory_for_network("load the generator")
def load_any_generator(
    path: str | os.PathLike[str], *, scale: int | None = None, activation: str | None = None
) -> Generator:
    """As `load_generator`, and also the networks that spandrel knows, where it is installed."""
    path = Path(path)
    with about(path):
        content, metadata = read_tensor_file(path)
        try:
            return _own(content, metadata, path, scale, activation)
        except NoGeneratorError as error:
            generator = _of_spandrel(content, path, error)
            _check_asked(generator, scale, activation)
            return generator


def _own(
    content: Mapping[Any, Any],
    metadata: Mapping[str, str],
    path: Path,
    scale: int | None,
    activation: str | None,
) -> Generator:
    """A generator of this project's architectures; see `load_generator`."""
    asked = {"scale_factor": scale, "activation": activation}
    known = {name: value for name, value in asked.items() if value is not None}
    recorded = _recorded(metadata)
    found = find_generator(content, {**known, **recorded}, size=path.stat().st_size)
    generator = found.generator
    facts = {"arch": generator.arch, **generator.architecture}
    for name, claim in recorded.items():
        if name not in facts or facts[name] != claim:
            raise ModelError(
                f"the metadata claims {name} {claim!r:.40} and the tensors make it "
                f"{facts.get(name, 'unknown')}: convert the original again"
            )
    _check_asked(generator, scale, activation)
    generator.load_state_dict(fp32_copies(found.state), assign=True)
    return generator.eval()


def _check_asked(generator: Generator, scale: int | None, activation: str | None) -> None:
    """Raise ModelError if the network is not what the caller says."""
    if scale not in (None, generator.scale_factor):
        raise ModelError(
            f"the network is for scale {generator.scale_factor} and cannot be loaded for scale "
            f"{scale}"
        )
    if activation not in (None, has := generator.architecture.get("activation", "leakyrelu")):
        raise ModelError(
            f"the activation of this {generator.arch} is {has}, and {activation} was asked "
            "for: leave --activation out"
        )


def _of_spandrel(
    content: Mapping[Any, Any], path: Path, unknown: NoGeneratorError
) -> SpandrelNetwork:
    """The network that spandrel finds in a file.

    Raises `unknown`, with what to do about it, if it finds none, and ModelError if it finds one
    that cannot be used.
    """
    try:
        for state in named_states(content, size=path.stat().st_size):
            if found := spandrel_generator(state):
                return found
    except ModelError:
        if unknown.is_unknown:
            raise
        raise unknown from None
    except BackendError as error:
        advice = f"the extra spandrel reads some 30 architectures more ({error}; {BESIDE_CPU})"
    else:
        advice = f"spandrel does not recognise its tensors; {RUN_ONNX}"
    if unknown.is_unknown:
        raise ModelError(f"{unknown}: {advice}") from unknown
    raise unknown


@memory_for_network("save the generator")
def save_generator(generator: Generator, path: str | os.PathLike[str]) -> None:
    """Write `.safetensors` with the architecture as metadata, or BasicSR's `.pth`.

    Raises ArgumentError for another suffix, and for a `.pth` of an architecture that names and
    shapes do not record (a residual scaling other than 0.2, an RRDBNet for scale 3): it would be
    read back as another network. Raises StorageError if the file cannot be written.
    """
    path = Path(path)
    state = {name: v.detach().cpu().contiguous() for name, v in generator.stored().items()}
    match path.suffix.lower():
        case ".safetensors":
            facts = {"arch": generator.arch, "architecture": generator.architecture}
            content = safetensors.torch.save(state, {METADATA: json.dumps(facts)})
        case ".pth":
            if lost := _lost_by_names(generator, state):
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


def _lost_by_names(generator: Generator, state: Mapping[str, Tensor]) -> Architecture:
    """The options that names and shapes of the tensors do not tell, or tell wrongly."""
    found = recognise(state, {"activation": generator.architecture.get("activation")})
    assert found is not None, generator.arch
    told = found[1].architecture
    if told.get("activation", "prelu") != "prelu":
        del told["activation"]  # it was given, not read
    return {k: v for k, v in generator.architecture.items() if k not in told or told[k] != v}


def _recorded(metadata: Mapping[str, str]) -> Architecture:
    """The name and the options of the network by our own metadata; empty for other files."""
    if METADATA not in metadata:
        return {}
    try:
        facts = json.loads(metadata[METADATA])
        return {**facts["architecture"], "arch": facts["arch"]}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(
            f"the metadata is damaged ({error}): convert the original again"
        ) from error

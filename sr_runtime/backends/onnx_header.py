"""What an ONNX file says of itself. Its weights are passed over, so that it takes milliseconds."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sr_runtime.backends.onnx_metadata import readable
from sr_runtime.backends.onnx_schema import GRAPH, METADATA_PROPS, entries
from sr_runtime.backends.protobuf import encode, inside, integer, skim, text
from sr_runtime.errors import reading
from sr_runtime.model_info import ModelInfo

__all__ = ["OnnxHeader", "read_header"]

# Field numbers in ModelProto, and in OperatorSetIdProto.
PRODUCER_NAME, PRODUCER_VERSION, OPSET_IMPORT = 2, 3, 8
DOMAIN, VERSION = 1, 2
WANTED = (PRODUCER_NAME, PRODUCER_VERSION, OPSET_IMPORT, METADATA_PROPS)

LICENCE_NAMES = ("license", "licence")
"""The end of the name of the metadata that states a licence: `license`, `modelspec.license`."""


@dataclass(frozen=True, kw_only=True)
class OnnxHeader:
    """The statements of an ONNX file; None where it makes none."""

    info: ModelInfo | None
    """Our facts."""
    producer: str | None
    """The program that wrote it, with its version: "sr-toolkit 0.2.0"."""
    opset: int | None
    """Version of the ONNX operator set."""
    licence: str | None


def read_header(model: Path) -> OnnxHeader:
    """Read a regular file.

    Raises:
        ModelError: It is not an ONNX model, or it is cut off, or our facts in it are damaged.
        StorageError: It cannot be read.
    """
    with reading(model), model.open("rb") as file, readable(model):
        contents = list(skim(file, WANTED))
        if GRAPH not in {field.number for field in contents}:
            raise ValueError("there is no graph")
        head = b"".join(encode(field) for field in contents if field.value is not None)
        metadata = entries(head, METADATA_PROPS)
        producer = f"{text(head, PRODUCER_NAME)} {text(head, PRODUCER_VERSION)}".strip()
        return OnnxHeader(
            info=ModelInfo.from_metadata(metadata),
            producer=producer or None,
            opset=_opset(head),
            licence=_licence(metadata),
        )


def _opset(head: bytes) -> int | None:
    versions = {text(each, DOMAIN): integer(each, VERSION) for each in inside(head, OPSET_IMPORT)}
    return versions.get("", versions.get("ai.onnx"))


def _licence(metadata: Mapping[str, str]) -> str | None:
    stated = (value for name, value in metadata.items() if name.lower().endswith(LICENCE_NAMES))
    return next((value for value in stated if value.strip()), None)

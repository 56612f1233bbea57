"""The model card of an ONNX file: what it states, how to use it, and what it does not state."""

import hashlib
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path

import sr_runtime
from sr_export.export import verify
from sr_export.limits import FAR, MAX_ACTIVATION, MAX_FP32_ERROR, MAX_SHARE_FAR, MIN_PSNR
from sr_export.report import Check
from sr_export.usage_example import usage_example
from sr_runtime.backends.choice import is_engine
from sr_runtime.backends.onnx_header import OnnxHeader, read_header
from sr_runtime.backends.onnx_metadata import Tensor, data_files, declared_inputs
from sr_runtime.backends.stated import shape_text
from sr_runtime.cli.facts import COLOURS, seams_text, sizes_text
from sr_runtime.embedded import EMBEDDED, LICENCE, model_file
from sr_runtime.errors import ArgumentError, ModelError, reading
from sr_runtime.file_kinds import refuse_other_kinds
from sr_runtime.model_info import ModelInfo
from sr_runtime.printable import printable

__all__ = ["model_card"]

# Identifiers that Hugging Face's hub knows, of licences that checkpoints are published under.
HUB_LICENCES = [
    "afl-3.0", "agpl-3.0", "apache-2.0", "artistic-2.0", "bigscience-openrail-m", "bsd",
    "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear", "bsl-1.0", "cc", "cc-by-2.0",
    "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0",
    "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0",
    "cc-by-nd-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc0-1.0", "creativeml-openrail-m", "ecl-2.0",
    "epl-2.0", "eupl-1.2", "gpl", "gpl-2.0", "gpl-3.0", "isc", "lgpl", "lgpl-2.1", "lgpl-3.0",
    "mit", "mpl-2.0", "ms-pl", "ncsa", "ofl-1.1", "openrail", "openrail++", "osl-3.0",
    "unlicense", "wtfpl", "zlib",
]  # fmt: skip

# What no file states.
NEVER = (
    "who trained the network, on which images, and where its checkpoint was published",
    "what it is good and bad at, and what it reaches on test images",
)


def model_card(
    model: str | os.PathLike[str],
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    scale: int | None = None,
    activation: str | None = None,
) -> str:
    """The card as Markdown, with the metadata that hubs read in front.

    Args:
        model: An ONNX file, or the name of one.
        checkpoint: What the file was exported from: the two are compared, and the card has what
            was measured.
        scale: As for `sr_export.verify`.
        activation: As for `sr_export.verify`.

    Raises:
        ArgumentError: `scale` or `activation` is given without a checkpoint.
        ModelError: The file is not an ONNX model, or not of this checkpoint.
        VerificationError: It does not compute what the checkpoint does.
        StorageError: The file cannot be read.
    """
    if checkpoint is None and (scale, activation) != (None, None):
        raise ArgumentError("scale and activation are the checkpoint's: name the checkpoint too")
    file = model_file(model)
    if is_engine(file):
        raise ModelError("this is an engine, and a card is for the ONNX file of a model", path=file)
    refuse_other_kinds(file)
    header = read_header(file)
    with reading(file), file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    licence = LICENCE if digest in EMBEDDED.values() else header.licence
    checks: Sequence[Check] = ()
    if checkpoint is not None:
        checks = verify(checkpoint, file, scale=scale, activation=activation)
    sections = (
        _front_matter(header.info, licence),
        [f"# {_plain(file.stem)}"],
        _table(("", ""), _facts(file, header, digest, licence)),
        _parity(header, checks),
        _usage(file, header.info),
        _not_stated(header, licence, checks),
    )
    return "\n\n".join("\n".join(section) for section in sections if section) + "\n"


def _front_matter(info: ModelInfo | None, licence: str | None) -> list[str]:
    if licence is None:
        stated = ["license:  # fill this in: the file does not state it"]
    elif licence.lower() in HUB_LICENCES:
        stated = [f"license: {licence.lower()}"]
    else:
        # Its name, too, has to be an identifier; the words that the file states are in the table.
        name = re.sub(r"[^a-z0-9.]+", "-", licence.lower()).strip("-.")
        stated = [
            "license: other",
            f"license_name: {name or ' # fill this in'}",
            "license_link: LICENSE  # put its text beside this card, or give its address here",
        ]
    tags = ["super-resolution", "image-upscaling", "onnx"]
    if info is not None and info.arch != "unknown":
        tag = re.sub(r"[^\w.+-]+", "-", info.arch.lower()).strip("+-.")
        if any(map(str.isalpha, tag)):  # others would be no text in YAML
            tags.append(tag)
    return [
        "---",
        "library_name: onnx",
        "pipeline_tag: image-to-image",
        *stated,
        "tags:",
        *(f"- {tag}" for tag in tags),
        "---",
    ]


def _facts(
    file: Path, header: OnnxHeader, digest: str, licence: str | None
) -> Iterator[tuple[str, str]]:
    """The rows of the table: only what the file states, and its size and checksum."""
    info, inputs = header.info, declared_inputs(file)[0]
    if info is not None:
        yield "network", _code(info.arch)
        yield "enlarges", f"{info.scale} times in width and in height"
        sizes = sizes_text(info, inputs[0].shape if inputs else ())
        yield "images", f"{_channels(info)}, {sizes}"
        yield "weights", {"float32": "FP32", "float16": "FP16"}[info.weights_dtype]
        yield "tiles", f"overlap by {info.halo} pixels on each side; {seams_text(info)}"
        if info.phase > 1:
            yield "tiles start on", f"multiples of {info.phase} pixels"
        if info.receptive_radius is not None:
            yield "receptive radius", f"{info.receptive_radius} pixels"
    for tensor in inputs:
        yield "input", _input(tensor, info)
    if header.opset is not None:
        yield "ONNX operator set", str(header.opset)
    if header.producer is not None:
        yield "written by", _plain(header.producer)
    if licence is not None:
        yield "licence", _plain(licence)
    for name in data_files(file):
        yield "has weights in", _code(name)
    yield "size", f"{file.stat().st_size:,} bytes"
    yield "SHA-256 of the file", _code(digest)
    if info is not None and info.weights_sha256 is not None:
        yield "SHA-256 of the checkpoint's tensors", _code(info.weights_sha256)


def _channels(info: ModelInfo) -> str:
    given, made = (
        COLOURS.get(count, f"{count} channels") for count in (info.in_channels, info.out_channels)
    )
    return given if given == made else f"{given} in, {made} out"


def _input(tensor: Tensor, info: ModelInfo | None) -> str:
    text = f"{_code(tensor.name)}, {tensor.dtype}, {shape_text(tensor.shape)}"
    if info is None:
        return text
    axes = "NHWC" if info.io == "uint8" else info.layout
    values = "0 to 255" if info.io == "uint8" else info.input_range.replace("..", " to ")
    return f"{text} ({axes}), {values}"


def _parity(header: OnnxHeader, checks: Sequence[Check]) -> list[str]:
    """What was measured now, or else the limits that this version has, if it wrote the file."""
    title = "## Compared with its checkpoint"
    if checks:
        rows = (
            (_plain(check.name), f"{check.value:.3g}", f"{check.side} {check.limit:.4g}")
            for check in checks
        )
        by = f"Measured on real pixels by sr-toolkit {sr_runtime.__version__}:"
        return [title, "", by, "", *_table(("", "value", "limit"), rows)]
    if header.info is None or header.producer != f"sr-toolkit {sr_runtime.__version__}":
        return []
    rounding = ", and a level of 255 for rounding" if header.info.io == "uint8" else ""
    limits = (
        f"differs from the checkpoint's by more than {MAX_FP32_ERROR:g}, where 1 is white{rounding}"
        if header.info.weights_dtype == "float32"
        else f"has less than {MIN_PSNR:g} dB against the checkpoint's in FP32, differs from it by "
        f"more than {FAR * 255:g}/255 in more than {MAX_SHARE_FAR:.0%} of the values, or needs "
        f"values above {MAX_ACTIVATION:,.0f} inside"
    )
    return [title, "", f"{header.producer} writes no file whose result on real pixels {limits}."]


def _usage(file: Path, info: ModelInfo | None) -> list[str]:
    name = shlex.quote(printable(file.name))
    lines = [
        "## Use",
        "",
        "With sr-toolkit, which cuts large images into tiles:",
        "",
        "```sh",
        'pip install "sr-toolkit[cpu]"',
        f"python -m sr_runtime upscale photo.jpg -m {name}",
        "```",
    ]
    if info is not None and (example := usage_example(file, info)):
        lines += ["", "With ONNX Runtime alone, a small image in one piece:", "", "```python"]
        lines += [*example, "```"]
    return lines


def _not_stated(header: OnnxHeader, licence: str | None, checks: Sequence[Check]) -> Iterator[str]:
    info = header.info
    yield "## Not stated"
    yield ""
    yield "The file does not say"
    yield ""
    if licence is None:
        yield "- its licence"
    yield from (f"- {fact}" for fact in NEVER)
    if not checks:
        yield "- how close to its checkpoint it was measured to be"
    if info is None:
        yield "- its network, scale, channels, value ranges, and how much tiles change the result"
        return
    for field in fields(ModelInfo):
        if getattr(info, field.name) is None and field.name not in ("fixed_side", "blend"):
            yield f"- `{field.name}`"
        elif field.name in info.assumed:
            yield f"- `{field.name}`, which is taken for {getattr(info, field.name)}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    every = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(row)} |" for row in every]


def _plain(text: str) -> str:
    """Text from the file that cannot become a link, a picture or another cell."""
    return re.sub(r"([\\`*_{}\[\]<>()#|!])", r"\\\1", printable(text))


def _code(text: str) -> str:
    return f"`{re.sub('[`|]', ' ', printable(text))}`"

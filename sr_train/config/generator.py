"""The generator that a configuration describes: its architecture, and the fields of its sizes."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sr_train.config.sections import GeneratorConfig, GeneratorType

__all__ = ["architecture_of", "described", "foreign_sizes"]


class Row(NamedTuple):
    """A type of generator."""

    arch: str
    """Its name in the registry of architectures."""
    arguments: Mapping[str, str]
    """The constructor's argument that each field gives."""


ROWS: Mapping[GeneratorType, Row] = {
    "rrdbnet": Row(
        "RRDBNet",
        {
            "rrdb_channels": "rrdb_channels",
            "growth_channels": "growth_channels",
            "num_basic_blocks": "num_basic_blocks",
            "num_dense_blocks": "num_dense_blocks",
            "num_residual_blocks": "num_residual_blocks",
            "residual_scaling": "residual_scaling",
            "use_subpixel_conv": "use_subpixel_conv",
        },
    ),
    "compact": Row(
        "SRVGGNetCompact",
        {"compact_channels": "num_features", "compact_convolutions": "num_convolutions"},
    ),
    "span": Row("SPAN", {"span_channels": "num_features"}),
    "realplksr": Row(
        "RealPLKSR",
        {
            "realplksr_channels": "num_features",
            "realplksr_blocks": "num_blocks",
            "realplksr_kernel_size": "kernel_size",
        },
    ),
}


def architecture_of(config: GeneratorConfig) -> tuple[str, dict[str, Any]]:
    """The architecture by its name in the registry, and the arguments that give its sizes."""
    row = ROWS[config.kind]
    return row.arch, {argument: getattr(config, field) for field, argument in row.arguments.items()}


def described(
    config: GeneratorConfig, arch: str, architecture: Mapping[str, Any]
) -> GeneratorConfig:
    """What describes a network; `config` for one that no type describes."""
    for kind, row in ROWS.items():
        if row.arch == arch:
            sizes = {field: architecture[name] for field, name in row.arguments.items()}
            return GeneratorConfig(type=kind, **sizes)
    return config


def foreign_sizes(kind: GeneratorType) -> list[str]:
    """The fields that give the sizes of other types."""
    return [field for other, row in ROWS.items() if other != kind for field in row.arguments]

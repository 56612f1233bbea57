"""The configuration of a training run: `Config`, its files and its command line."""

from sr_train.config.schema import Config

__all__ = ["Config", "preset"]


def preset(name: str) -> Config:
    """The configuration of a preset, such as "tiny"; ArgumentError if no preset has this name."""
    from sr_train.config import file  # it needs PyYAML, of the extra `train`

    return file.preset(name)

"""What the command `info` says about an engine, from its facts, on any machine."""

from sr_runtime.backends.tensorrt.engine_file import EngineInfo
from sr_runtime.backends.tensorrt.options import CARDS, NAMES

__all__ = ["engine_text"]


def engine_text(info: EngineInfo) -> str:
    """The GPUs that an engine is good for, the library that built it, and the shapes it takes."""
    version = "or another version of it" if info.version_compatible else "and no other version"
    first, *others = _gpus(info)
    least, best, most = info.profile.min, info.profile.opt, info.profile.max
    lines = [
        f"{'built by':<18}{NAMES[info.kind]} {info.tensorrt}; it needs that {version}",
        f"{'for GPUs':<18}{first}",
        *(f"{'':<18}{other}" for other in others),
        f"{'batches':<18}{least} to {most} (batch, height, width), tuned for {best}",
    ]
    return "\n".join(lines)


def _gpus(info: EngineInfo) -> list[str]:
    if info.kind == "tensorrt-rtx":
        return [
            f"of compute capability {one} ({CARDS[one]})"
            if one in CARDS
            else f"of compute capability {one}"
            for one in info.compute_capabilities
        ]
    return {
        "none": [f"{info.gpu} alone"],
        "same": [f"of compute capability {info.compute_capability}"],
        "ampere+": ["of compute capability 8.0 and above"],
    }[info.hardware_compatible]

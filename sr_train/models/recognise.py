"""Which generator a set of tensors is, told from their names and shapes alone."""

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sr_runtime.errors import ModelError
from sr_train.models.compact import SRVGGNetCompact
from sr_train.models.rrdbnet import RRDBNet
from sr_train.models.rrdbnet_keys import layout_of

__all__ = ["Recognised", "check_names", "recognise"]

Architecture = dict[str, int | float | bool]

# What torch-sr saves beside the convolutions of every block.
SCALING = ".residual_scaling"
COMPACT = re.compile(r"body\.\d+\.(?:weight|bias)")


@dataclass(frozen=True)
class Recognised:
    """A generator's name, its constructor's arguments, and its tensors by their canonical names."""

    arch: str
    architecture: Architecture
    state: dict[str, Tensor]


def recognise(tensors: Mapping[str, Tensor], scale: int | None = None) -> Recognised | None:
    """The generator that `tensors` are, stripped of wrappers and prefixes; None if none we know.

    `scale` settles what shapes leave open: an RRDBNet with one upsampling stage is ×2, or ×3 where
    3 is asked for. Raises ModelError where a generator is incomplete, has more than it should, or
    is of a kind that is not supported.
    """
    if any(".conv1x1." in name for name in tensors):
        raise ModelError(
            "holds an ESRGAN+ network (its dense blocks have 'conv1x1'), which is not supported: "
            "take one of ESRGAN, BSRGAN or Real-ESRGAN"
        )
    if layout := layout_of(tensors):
        scalings = {k: v for k, v in tensors.items() if k.endswith(SCALING)}
        names = layout.canonical_names(tensors)
        check_names(tensors.keys() - scalings.keys(), names)
        state = {canonical: tensors[stored] for stored, canonical in names.items()}
        architecture = _rrdbnet(state, scale)
        if scalings:
            architecture["residual_scaling"] = _residual_scaling(scalings)
        return Recognised(RRDBNet.arch, architecture, state)
    if 2 * sum(COMPACT.fullmatch(name) is not None for name in tensors) > len(tensors):
        return Recognised(SRVGGNetCompact.arch, _compact(tensors), dict(tensors))
    return None


def check_names(found: Collection[str], expected: Collection[str]) -> None:
    """Raise ModelError naming the first few tensors that are missing or left over."""
    missing, left_over = set(expected) - set(found), set(found) - set(expected)
    if missing or left_over:
        raise ModelError(
            f"is not the whole of one network, missing {_some(missing)} and left with "
            f"{_some(left_over)}: the file is damaged, or a variant that is not supported"
        )


def _some(names: set[str]) -> str:
    if not names:
        return "nothing"
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(map(repr, sorted(names)[:3])) + more


def _rrdbnet(state: Mapping[str, Tensor], scale: int | None) -> Architecture:
    width, inputs = _channels(state, "conv_first")
    img_channels, _ = _channels(state, "conv_last")
    growth, _ = _channels(state, "body.0.rdb1.conv1")
    folds = {img_channels * side**2: side for side in (1, 2, 4)}
    if inputs not in folds:
        raise ModelError(
            f"takes {inputs} channels and gives {img_channels}: known are as many, 4 or 16 times "
            "as many (a pixel-unshuffle by 2 or 4)"
        )
    unshuffle = folds[inputs]
    dense = [name.split(".") for name in state if ".rdb" in name]
    stages = sum(name.startswith("conv_up") for name in state) // 2
    subpixel, factor = _upsampling(state, width) if stages else (False, 2)

    made, remainder = divmod(factor**stages, unshuffle)
    if remainder:
        raise ModelError(
            f"unshuffles by {unshuffle} and upsamples by {factor**stages}: an output smaller than "
            "the input is not supported"
        )
    could_be_three = stages == 1 and unshuffle == 1 and not subpixel
    return {
        "scale_factor": 3 if scale == 3 and could_be_three else made,
        "img_channels": img_channels,
        "rrdb_channels": width,
        "growth_channels": growth,
        "num_basic_blocks": 1 + max(int(i) for _, i, *_ in dense),
        "num_dense_blocks": max(int(rdb.removeprefix("rdb")) for _, _, rdb, *_ in dense),
        "num_residual_blocks": max(int(conv.removeprefix("conv")) for *_, conv, _ in dense),
        "residual_scaling": 0.2,
        "use_subpixel_conv": subpixel,
        "unshuffle": unshuffle,
    }


def _upsampling(state: Mapping[str, Tensor], width: int) -> tuple[bool, int]:
    """Whether the stages are sub-pixel convolutions, and the factor of each."""
    outputs, _ = _channels(state, "conv_up1")
    match outputs / width:
        case 1:
            return False, 2
        case 4:
            return True, 2
        case 9:
            return True, 3
    raise ModelError(
        f"upsamples with {outputs} channels on {width}: known are as many, or 4 or 9 times as many "
        "(a sub-pixel convolution)"
    )


def _residual_scaling(scalings: Mapping[str, Tensor]) -> float:
    values = {value for tensor in scalings.values() for value in tensor.flatten().tolist()}
    if len(values) != 1:
        raise ModelError(
            f"scales its residuals differently from block to block, by {sorted(values)[:4]}: only "
            "one value for all of them is supported"
        )
    value: float = values.pop()
    # 0.2 is stored as the nearest value of its type; find the decimal that was meant.
    dtype = next(iter(scalings.values())).dtype
    decimals = (round(value, digits) for digits in range(1, 18))
    return next((d for d in decimals if torch.tensor(d, dtype=dtype).item() == value), value)


def _compact(tensors: Mapping[str, Tensor]) -> Architecture:
    last = max((i for i in range(len(tensors)) if f"body.{i}.weight" in tensors), default=0)
    last += last % 2  # a convolution; the activations are at the odd places
    weights = {f"body.{i}.weight" for i in range(last + 1)}
    biases = {f"body.{i}.bias" for i in range(0, last + 1, 2)}  # PReLU has none
    check_names(tensors, weights | biases)
    features, img_channels = _channels(tensors, "body.0")
    outputs, _ = _channels(tensors, f"body.{last}")
    made = math.isqrt(outputs // img_channels)
    if outputs != img_channels * made**2:
        raise ModelError(
            f"takes {img_channels} channels and ends with {outputs}: {img_channels} times a square "
            "was expected"
        )
    return {
        "scale_factor": made,
        "img_channels": img_channels,
        "num_features": features,
        "num_convolutions": last // 2 - 1,
    }


def _channels(state: Mapping[str, Tensor], convolution: str) -> tuple[int, int]:
    """Output and input channels."""
    match tuple(state[f"{convolution}.weight"].shape):
        case (outputs, inputs, 3, 3) if outputs and inputs:
            return outputs, inputs
        case shape:
            raise ModelError(
                f"has a {convolution}.weight of shape {shape}, where a 3×3 convolution's was "
                "expected"
            )

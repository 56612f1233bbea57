"""RRDBNet in any checkpoint: six layouts of key names, and the sizes that shapes give."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sr_runtime.errors import ModelError
from sr_train.models.generator import (
    IMAGE_CHANNELS,
    Architecture,
    Recognised,
    check_names,
    conv_channels,
)

__all__ = ["NAMES", "recognise"]

# How the dense blocks begin in all layouts. Other names, such as conv1, occur in any network.
NAMES = re.compile(
    r"(?:body|trunk|RRDB_trunk|model\.1\.sub)\.\d+\.(?:rdb|RDB)\d+\.conv|rrdb_blocks\.rrdb_\d+\."
)

# torch-sr saves one such scalar beside the convolutions of every block.
SCALING = ".residual_scaling"

# Between the names of a dense block and its parameter in ESRGAN+: a convolution without a bias.
PLUS = "conv1x1"


# A damaged file may lack as many tensors in a sequence; without a limit, looking for the last one
# takes for ever in a file of a million names.
GAP = 8


class KeyLayout(NamedTuple):
    """Names of the convolutions in one family of checkpoints, in the network's order, as templates.

    Braces hold `i`, the block from 0; `j` and `k`, the dense block and the convolution (or the
    upsampling stage) from 1; `j0` and `k0`, the same from 0; `nb`, the number of blocks. In layouts
    that number all modules in one sequence, `up_at`, `shuffle_at`, `hr_at` and `last_at` are places
    in it.
    """

    first: str
    dense: str
    body: str  # the convolution after the blocks
    up: str
    hr: str
    last: str

    def _dense(self, i: int, j: int, k: int) -> str:
        return self.dense.format(i=i, j=j, k=k, j0=j - 1, k0=k - 1)

    def _plus(self, i: int, j: int) -> str:
        return self._dense(i, j, 1).removesuffix(".0").removesuffix("conv1") + PLUS

    def _up(self, k: int) -> str:
        return self.up.format(k=k, k0=k - 1, up_at=3 * k, shuffle_at=3 * k - 1)

    def _ends(self, stages: int, blocks: int) -> tuple[str, str, str]:
        """Names of `body`, `hr` and `last`, whose places in a sequence depend on what is before."""
        at = {"nb": blocks, "hr_at": 3 * stages + 2, "last_at": 3 * stages + 4}
        return self.body.format(**at), self.hr.format(**at), self.last.format(**at)

    def canonical_names(self, stored: Collection[str]) -> dict[str, str]:
        """The canonical name of every tensor that the network has, by its name in this layout.

        The largest indices among the `stored` names give the network's sizes, so a tensor that the
        file lacks is listed too. Empty if these sizes take more tensors than there are: then the
        indices are no network's.
        """

        def largest(name: Callable[[int], str]) -> int:
            found, n = 0, 1
            while n <= found + GAP:
                found = n if f"{name(n)}.weight" in stored else found
                n += 1
            return found

        blocks = 1 + largest(lambda i: self._dense(i, 1, 1))
        dense_blocks = largest(lambda j: self._dense(0, j, 1))
        convolutions = largest(lambda k: self._dense(0, 1, k))
        if blocks * dense_blocks * convolutions > len(stored):
            return {}
        in_sequence = "{last_at}" in self.last
        stages = largest(lambda n: self._ends(n, 0)[2]) if in_sequence else largest(self._up)

        body, hr, last = self._ends(stages, blocks)
        modules = {self.first: "conv_first", body: "conv_body", hr: "conv_hr", last: "conv_last"}
        modules |= {self._up(k): f"conv_up{k}" for k in range(1, stages + 1)}
        dense = [(i, j) for i in range(blocks) for j in range(1, dense_blocks + 1)]
        modules |= {
            self._dense(i, j, k): f"body.{i}.rdb{j}.conv{k}"
            for i, j in dense
            for k in range(1, convolutions + 1)
        }
        names = {
            f"{name}.{kind}": f"{canonical}.{kind}"
            for name, canonical in modules.items()
            for kind in ("weight", "bias")
        }
        if any(f".{PLUS}." in name for name in stored):
            names |= {
                f"{self._plus(i, j)}.weight": f"body.{i}.rdb{j}.{PLUS}.weight" for i, j in dense
            }
        return names


LAYOUTS = {
    "BasicSR": KeyLayout(
        "conv_first", "body.{i}.rdb{j}.conv{k}", "conv_body", "conv_up{k}", "conv_hr", "conv_last"
    ),
    "xinntao/ESRGAN": KeyLayout(
        "conv_first",
        "RRDB_trunk.{i}.RDB{j}.conv{k}",
        "trunk_conv",
        "upconv{k}",
        "HRconv",
        "conv_last",
    ),
    "old ESRGAN": KeyLayout(
        "model.0",
        "model.1.sub.{i}.RDB{j}.conv{k}.0",
        "model.1.sub.{nb}",
        "model.{up_at}",
        "model.{hr_at}",
        "model.{last_at}",
    ),
    "old ESRGAN, sub-pixel": KeyLayout(
        "model.0",
        "model.1.sub.{i}.RDB{j}.conv{k}.0",
        "model.1.sub.{nb}",
        "model.{shuffle_at}",
        "model.{hr_at}",
        "model.{last_at}",
    ),
    "Lornatang": KeyLayout(
        "conv1", "trunk.{i}.rdb{j}.conv{k}", "conv2", "upsampling{k}.0", "conv3.0", "conv4"
    ),
    "torch-sr": KeyLayout(
        "in_conv",
        "rrdb_blocks.rrdb_{i}.dense_blocks.rdb_{j0}.blocks.{k0}.conv",
        "rrdb_blocks.out_conv",
        "upsampling_blocks.upsampling_{k0}.block.conv",
        "upsampling_blocks.out_conv.0",
        "upsampling_blocks.out_conv.2",
    ),
}


def recognise(tensors: Mapping[str, Tensor], known: Mapping[str, Any]) -> Recognised | None:
    """An RRDBNet in any of the six layouts; see `generator.Recogniser`.

    With one upsampling stage it is ×2, or ×3 if that scale is known: the shapes are the same.
    """
    layout = _layout_of(tensors)
    if layout is None:
        return None
    scalings = {name: value for name, value in tensors.items() if name.endswith(SCALING)}
    names = layout.canonical_names(tensors)
    check_names(tensors.keys() - scalings.keys(), names)
    state = {canonical: tensors[stored] for stored, canonical in names.items()}
    architecture = _architecture(state, known.get("scale_factor"))
    if scalings:
        architecture["residual_scaling"] = _residual_scaling(scalings)
    elif isinstance(scaling := known.get("residual_scaling"), int | float):
        architecture["residual_scaling"] = scaling
    return Recognised(architecture, state)


def _layout_of(stored: Collection[str]) -> KeyLayout | None:
    """The layout to which most of the `stored` names belong, if it is more than half of them."""
    if not any(NAMES.match(name) for name in stored):
        return None

    def share(layout: KeyLayout) -> float:
        return sum(name in stored for name in layout.canonical_names(stored)) / len(stored)

    best = max(LAYOUTS.values(), key=share)
    return best if share(best) > 0.5 else None


def _architecture(state: Mapping[str, Tensor], scale: object) -> Architecture:
    width, inputs = conv_channels(state, "conv_first")
    out_channels, _ = conv_channels(state, "conv_last")
    growth, _ = conv_channels(state, "body.0.rdb1.conv1")
    img_channels, unshuffle = _unshuffling(inputs, out_channels)
    dense = [name.split(".") for name in state if ".rdb" in name and PLUS not in name]
    stages = sum(name.startswith("conv_up") for name in state) // 2
    subpixel, factor = _upsampling(state, width) if stages else (False, 2)

    scale_factor, remainder = divmod(factor**stages, unshuffle)
    if remainder:
        raise ModelError(
            f"the network unshuffles by {unshuffle} and upsamples by {factor**stages}: an output "
            "smaller than the input is not supported"
        )
    if scale == 3 and stages == 1 and unshuffle == 1 and not subpixel:
        scale_factor = 3
    return {
        "scale_factor": scale_factor,
        "img_channels": img_channels,
        "rrdb_channels": width,
        "growth_channels": growth,
        "num_basic_blocks": 1 + max(int(i) for _, i, *_ in dense),
        "num_dense_blocks": max(int(rdb.removeprefix("rdb")) for _, _, rdb, *_ in dense),
        "num_residual_blocks": max(int(conv.removeprefix("conv")) for *_, conv, _ in dense),
        "residual_scaling": 0.2,
        "use_subpixel_conv": subpixel,
        "unshuffle": unshuffle,
        "out_channels": out_channels,
        "plus": f"body.0.rdb1.{PLUS}.weight" in state,
    }


def _unshuffling(inputs: int, outputs: int) -> tuple[int, int]:
    """Channels of the image, and the side of the squares that are folded into channels first."""
    for side in (1, 2, 4):
        if inputs == outputs * side**2:
            return outputs, side
    if inputs in IMAGE_CHANNELS and outputs in IMAGE_CHANNELS:
        return inputs, 1  # gray to RGB, for instance
    raise ModelError(
        f"the network takes {inputs} channels and gives {outputs}: 1, 4 or 16 times as many inputs "
        f"as outputs were expected (4 and 16 for a pixel-unshuffle by 2 and 4), or each one of "
        f"{IMAGE_CHANNELS}"
    )


def _upsampling(state: Mapping[str, Tensor], width: int) -> tuple[bool, int]:
    """Whether the stages are sub-pixel convolutions, and the factor of each."""
    outputs, _ = conv_channels(state, "conv_up1")
    kinds = {width: (False, 2), 4 * width: (True, 2), 9 * width: (True, 3)}
    if outputs not in kinds:
        raise ModelError(
            f"the network upsamples {width} channels with {outputs}: 1, 4 or 9 times as many were "
            "expected (4 and 9 for a sub-pixel convolution)"
        )
    return kinds[outputs]


def _residual_scaling(scalings: Mapping[str, Tensor]) -> float:
    values = {value for tensor in scalings.values() for value in tensor.flatten().tolist()}
    if len(values) != 1:
        raise ModelError(
            f"the residual scaling differs from block to block, with {sorted(values)[:4]}: only "
            "one value for all blocks is supported"
        )
    value: float = values.pop()
    # The file holds the nearest value of its type, 0.199951171875 in fp16: find the decimal meant.
    dtype = next(iter(scalings.values())).dtype
    decimals = (round(value, digits) for digits in range(1, 18))
    return next((d for d in decimals if torch.tensor(d, dtype=dtype).item() == value), value)

"""What other trainers call the convolutions of an RRDBNet."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

__all__ = ["LAYOUTS", "KeyLayout", "layout_of"]


@dataclass(frozen=True, kw_only=True)
class KeyLayout:
    """Names of the convolutions in one family of checkpoints, as templates.

    Braces hold `i`, the block from 0; `j`, `k`, the dense block and the convolution (or the
    upsampling stage) from 1, and `j0`, `k0` from 0; `nb` and `stages`, how many blocks and
    upsampling stages there are. Where everything is one numbered sequence, `up_at`, `hr_at` and
    `last_at` are the places in it.
    """

    first: str
    dense: str
    body: str
    up: str
    hr: str
    last: str

    def _dense(self, i: int, j: int, k: int) -> str:
        return self.dense.format(i=i, j=j, k=k, j0=j - 1, k0=k - 1)

    def _up(self, k: int) -> str:
        return self.up.format(k=k, k0=k - 1, up_at=3 * k)

    def canonical_names(self, stored: Collection[str]) -> dict[str, str]:
        """Every tensor the network has, by the name it has in the file: its canonical name.

        The sizes of the network are the largest indices among the `stored` names, so that a tensor
        which the file lacks still has its place here.
        """
        numbers = range(1, len(stored) + 1)

        def largest(name: Callable[[int], str]) -> int:
            return max((n for n in numbers if f"{name(n)}.weight" in stored), default=0)

        blocks = 1 + largest(lambda i: self._dense(i, 1, 1))
        dense_blocks = largest(lambda j: self._dense(0, j, 1))
        convolutions = largest(lambda k: self._dense(0, 1, k))
        stages = largest(self._up)

        at = {"nb": blocks, "hr_at": 3 * stages + 2, "last_at": 3 * stages + 4}
        modules = {
            self.first: "conv_first",
            self.body.format(**at): "conv_body",
            self.hr.format(**at): "conv_hr",
            self.last.format(**at): "conv_last",
        }
        modules |= {self._up(k): f"conv_up{k}" for k in range(1, stages + 1)}
        modules |= {
            self._dense(i, j, k): f"body.{i}.rdb{j}.conv{k}"
            for i in range(blocks)
            for j in range(1, dense_blocks + 1)
            for k in range(1, convolutions + 1)
        }
        return {
            f"{name}.{kind}": f"{canonical}.{kind}"
            for name, canonical in modules.items()
            for kind in ("weight", "bias")
        }


LAYOUTS = {
    "BasicSR": KeyLayout(
        first="conv_first",
        dense="body.{i}.rdb{j}.conv{k}",
        body="conv_body",
        up="conv_up{k}",
        hr="conv_hr",
        last="conv_last",
    ),
    "xinntao/ESRGAN": KeyLayout(
        first="conv_first",
        dense="RRDB_trunk.{i}.RDB{j}.conv{k}",
        body="trunk_conv",
        up="upconv{k}",
        hr="HRconv",
        last="conv_last",
    ),
    "old ESRGAN": KeyLayout(
        first="model.0",
        dense="model.1.sub.{i}.RDB{j}.conv{k}.0",
        body="model.1.sub.{nb}",
        up="model.{up_at}",
        hr="model.{hr_at}",
        last="model.{last_at}",
    ),
    "Lornatang": KeyLayout(
        first="conv1",
        dense="trunk.{i}.rdb{j}.conv{k}",
        body="conv2",
        up="upsampling{k}.0",
        hr="conv3.0",
        last="conv4",
    ),
    "torch-sr": KeyLayout(
        first="in_conv",
        dense="rrdb_blocks.rrdb_{i}.dense_blocks.rdb_{j0}.blocks.{k0}.conv",
        body="rrdb_blocks.out_conv",
        up="upsampling_blocks.upsampling_{k0}.block.conv",
        hr="upsampling_blocks.out_conv.0",
        last="upsampling_blocks.out_conv.2",
    ),
}


def layout_of(stored: Collection[str]) -> KeyLayout | None:
    """The layout to which more than half of the `stored` names belong, if there is one."""

    def share(layout: KeyLayout) -> float:
        return sum(name in stored for name in layout.canonical_names(stored)) / len(stored)

    return next((layout for layout in LAYOUTS.values() if stored and share(layout) > 0.5), None)

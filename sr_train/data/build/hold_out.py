"""Choosing the images of the user's own that training never sees."""

from collections.abc import Sequence

from sr_runtime.errors import ArgumentError
from sr_runtime.evaluation.pairs import Pair
from sr_train.checksum import file_sha256

__all__ = ["held_out"]


def held_out(pairs: Sequence[Pair], share: float) -> tuple[str, ...]:
    """The names of a `share` of the images, sorted; at least one if it is above 0.

    The SHA-256 of the HR files decides. So the choice is as good as random, the same on every
    machine and for every scale, and copies of a file are on the same side.

    Raises:
        ArgumentError: The images are all copies of one, which cannot be on both sides.
        StorageError: One cannot be read.
    """
    if not share:
        return ()
    copies: dict[str, list[str]] = {}
    for pair in pairs:
        copies.setdefault(file_sha256(pair.hr), []).append(pair.name)
    if len(copies) < 2:
        raise ArgumentError(
            f"--hold-out {share:g} needs 2 different images, one for each side, and there is 1: "
            "add images, or leave out --hold-out"
        )
    chosen: list[str] = []
    for digest in sorted(copies)[:-1]:  # one is left to train on
        if len(chosen) >= max(1, round(share * len(pairs))):
            break
        chosen += copies[digest]
    return tuple(sorted(chosen))

"""When a run has diverged: how it shows, and what to do about it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sr_runtime.errors import NonFiniteError
from sr_train.trainable import Trainable

__all__ = ["check_convergence", "divergence_told"]


def check_convergence(trainables: Mapping[str, Trainable[Any]], most: int, folder: Path) -> None:
    """Raise NonFiniteError if more than `most` steps in a row were skipped. Reading waits."""
    skipped = max(int(each.most_skipped_in_a_row) for each in trainables.values())
    if skipped > most:
        raise NonFiniteError(
            f"training diverged: {skipped} steps in a row had NaN or infinite gradients, and "
            f"max_skipped_steps is {most}; --resume {folder} with a lower learning rate, "
            "--grad_clip 1 or --precision fp32, or if that diverges too, start a new run with "
            "--init on one of its weights"
        )


@contextmanager
def divergence_told(step: int, folder: Path) -> Iterator[None]:
    """Say of NaN and infinity in a validation that the run has diverged, and how to go on."""
    try:
        yield
    except NonFiniteError as error:
        raise NonFiniteError(
            f"training diverged: the validation after step {step} met NaN or infinity; start a new "
            "run with a lower learning rate, and with --init on one of the files in "
            f"{folder / 'weights'} if there are any"
        ) from error

"""The images that `evaluate` measures: of prepared data sets and of folders."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from sr_runtime.errors import ArgumentError, SRError, about, together
from sr_runtime.evaluation.metrics import WINDOW, cropped
from sr_runtime.evaluation.pairs import find_pairs
from sr_runtime.evaluation.scoring import ImagePair
from sr_runtime.printable import printable
from sr_train.data.catalogue import DATASETS
from sr_train.data.packed_dataset import PackedPair
from sr_train.data.prepared import prepared
from sr_train.data.stage_data import MEASURABLE

__all__ = ["check_pairs", "counted", "evaluation_pairs"]


def evaluation_pairs(item: str, root: Path, scale: int) -> Sequence[ImagePair]:
    """The images of a data set that is prepared under `root`, or of a folder."""
    if Path(item).is_file():
        raise ArgumentError("this is a file: name a folder, or a prepared data set", path=item)
    is_path = Path(item).is_dir() or Path(item).name != item
    if item.partition(":")[0] not in DATASETS and is_path:
        return find_pairs(item)
    return [
        PackedPair(name, images, i, images.channels)
        for images in prepared(item, root=root, scale=scale, purpose="val")
        for i, name in enumerate(images.names)
    ]


def check_pairs(sets: Mapping[str, Sequence[ImagePair]], scale: int, *, learned: bool) -> None:
    """Read every image once, so that an unfit one is not met after hours of measuring.

    Raises an SRError that names all images which cannot be read, are transparent, have another
    depth than their LR image, or are too small for SSIM, or for a `learned` distance.
    """
    unfit = []
    for item, pairs in sets.items():
        for pair in counted(pairs, f"reading {item}"):
            try:
                with about(Path(item, pair.name)):
                    lr, hr = pair.read(scale)
                    if not {lr.shape[2], hr.shape[2]} <= {1, 3}:
                        raise ArgumentError("it is transparent: remove its transparency")
                    if lr.dtype != hr.dtype:
                        raise ArgumentError(
                            f"LR has {8 * lr.itemsize} bits a channel and HR {8 * hr.itemsize}: "
                            "save both with the same depth"
                        )
                    cropped(hr, hr, scale, smallest=MEASURABLE if learned else len(WINDOW))
            except SRError as error:
                unfit.append(error)
    if unfit:
        raise together(unfit)


def counted(pairs: Sequence[ImagePair], title: str) -> Iterable[ImagePair]:
    """The pairs, with a bar if there is a terminal."""
    return tqdm(pairs, desc=printable(title), unit="image", leave=False, disable=None)

"""Writing the packed files of a split, from images that are decoded once."""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from sr_runtime.errors import DataError, ImageError, StorageError
from sr_runtime.printable import printable, some
from sr_runtime.resize import downscale
from sr_runtime.storage.atomic import atomic_path, create_folder
from sr_train.data.build.checks import Candidate
from sr_train.data.build.decode import decode
from sr_train.data.build.processes import map_in_processes
from sr_train.data.packed_dataset import PackedImages
from sr_train.data.packed_index import Index, PackedFile, index_path, indexes

__all__ = ["pack_images", "pack_scale", "remove_unused"]

Pixels = NDArray[np.uint8]

NAMED = 20
"""Images that a report names, at most."""


def pack_images(
    candidates: Sequence[Candidate],
    index: Index,
    folder: Path,
    *,
    jobs: int,
    judge: Callable[[Sequence[str], Sequence[ImageError]], Sequence[str]],
    report: Callable[[str], None],
) -> Index:
    """Decode every pair, make the missing LR images, and write the split into `folder`.

    `index` lacks only the checksums. Whatever goes wrong, the folder keeps what it had. Each of the
    `jobs` processes has a few images in memory.

    Args:
        judge: Called when all images are decoded, with the names of the good ones and the errors
            of those that turned out to be damaged. Unless it raises, the split is written without
            these. Returns the names to hold out.

    Returns:
        The index that was written.

    Raises:
        OutOfMemoryError: An image, or `jobs` of them, do not fit into memory.
        DataError: A folder or FIFO has the name of one of the split's files.
        StorageError: The disk is full or cannot be written.
    """
    kept: list[Candidate] = []
    converted: list[str] = []
    held_out: list[str] = []

    def images() -> Generator[tuple[Pixels, ...], None, None]:
        damaged = []
        reader = partial(decode, scale=index.scale, channels=index.channels)
        with contextlib.closing(map_in_processes(reader, candidates, jobs)) as results:
            for candidate, result in zip(candidates, results, strict=True):
                if isinstance(result, ImageError):
                    damaged.append(result)
                    continue
                kept.append(candidate)
                if result.converted:
                    converted.append(candidate.pair.hr.name)
                yield result.hr, result.lr
        held_out.extend(judge([candidate.pair.name for candidate in kept], damaged))

    scales = {index.hr.name: 1, index.lr.name: index.scale}
    with _packed(folder, index, scales, images()) as (hr, lr):
        # A crash from here on leaves a split that is not prepared, and never a wrong one.
        index_path(folder, index.scale).unlink(missing_ok=True)
        _forget_others(folder, hr, report)
    index = replace(
        index,
        names=tuple(candidate.pair.name for candidate in kept),
        sizes=tuple(candidate.size for candidate in kept),
        hr=hr,
        lr=lr,
        held_out=tuple(held_out),
    )
    index.write(folder)
    if converted:
        report(
            f"{index.name}:{index.split}: {len(converted)} of {len(kept)} images converted to sRGB "
            f"from their profiles: {some(converted, NAMED)}"
        )
    return index


def pack_scale(packed: PackedImages, index: Index, folder: Path, *, jobs: int) -> None:
    """Add LR images of another scale to a split that is packed already."""
    shrink = partial(_shrink, packed, scale=index.scale)
    images = map_in_processes(shrink, range(len(packed)), jobs)
    with _packed(folder, index, {index.lr.name: index.scale}, images) as (lr,):
        pass
    replace(index, lr=lr).write(folder)


def _shrink(packed: PackedImages, i: int, *, scale: int) -> tuple[Pixels]:
    return (downscale(packed.uncropped_hr(i), scale),)


@contextlib.contextmanager
def _packed(
    folder: Path,
    index: Index,
    scales: Mapping[str, int],
    images: Generator[tuple[Pixels, ...], None, None],
) -> Iterator[list[PackedFile]]:
    """Write images to files of `folder`, which get their names when the block succeeds.

    `scales` has the files' names, and how many times smaller their images are than `index.sizes`.
    """
    create_folder(folder)
    for path in (index_path(folder, index.scale), *(folder / name for name in scales)):
        if path.exists() and not path.is_file():  # a FIFO would never end
            raise DataError("is not a regular file: remove it", path=path)
    pixels = sum((h // scale) * (w // scale) for h, w in index.sizes for scale in scales.values())
    needed = pixels * index.channels
    if (free := shutil.disk_usage(folder).free) < needed:
        raise StorageError(
            f"{needed:,} bytes are needed and {free:,} are free: make room, or choose another "
            "--root",
            path=folder,
        )
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.closing(images))
        temporary = [stack.enter_context(atomic_path(folder / name)) for name in scales]
        files = [stack.enter_context(path.open("wb")) for path in temporary]
        digests = [hashlib.sha256() for _ in files]
        title = printable(f"{index.name}:{index.split}")
        for row in tqdm(images, title, len(index.names), unit="image", disable=None):
            for file, digest, image in zip(files, digests, row, strict=True):
                content = np.ascontiguousarray(image).data
                file.write(content)
                digest.update(content)
        for file in files:
            file.flush()
        yield [
            PackedFile(name, file.tell(), digest.hexdigest(), os.fstat(file.fileno()).st_mtime_ns)
            for name, file, digest in zip(scales, files, digests, strict=True)
        ]


def _forget_others(folder: Path, hr: PackedFile, report: Callable[[str], None]) -> None:
    """Remove other scales of the split if they were made from other HR images."""
    for other in indexes(folder):
        if other.hr.name == hr.name and other.hr.sha256 != hr.sha256:
            index_path(folder, other.scale).unlink()
            report(
                f"{other.name}:{other.split} for a scale of {other.scale} was made from other "
                "images and is removed: prepare it again"
            )


def remove_unused(folder: Path) -> None:
    """Remove damaged indexes from the folder of a split, and the files that no index names."""
    used = set()
    for index in indexes(folder):
        used |= {index_path(folder, index.scale).name, index.hr.name, index.lr.name}
    for pattern in ("x*.json", "*.bin", "*.npy"):  # .npy: schema 1
        for path in folder.glob(pattern):
            if path.name not in used:
                path.unlink()

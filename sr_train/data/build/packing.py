"""Decoding images once, into the packed files of a split."""

import contextlib
import hashlib
import multiprocessing
import os
import shutil
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from sr_runtime.errors import ImageError, OutOfMemoryError, StorageError
from sr_runtime.evaluation.pairs import Pair
from sr_runtime.image import read
from sr_runtime.printable import printable
from sr_runtime.resize import downscale
from sr_runtime.signals import ENDING
from sr_runtime.storage.atomic import atomic_path, create_folder
from sr_train.data.packed_dataset import PackedImages
from sr_train.data.packed_index import Index, PackedFile, index_path, indexes

__all__ = ["pack_images", "pack_scale"]

Pixels = NDArray[np.uint8]
Item = TypeVar("Item")
Result = TypeVar("Result")


def pack_images(
    pairs: Sequence[Pair], index: Index, folder: Path, *, jobs: int, report: Callable[[str], None]
) -> None:
    """Read every pair, make the missing LR images, and write the split into `folder`.

    `index` lacks only the checksums. Whatever goes wrong, the folder keeps what it had. Each of the
    `jobs` processes has a few images in memory.

    Raises:
        ImageError: An image is damaged.
        OutOfMemoryError: An image, or `jobs` of them, do not fit into memory.
        StorageError: The disk is full or cannot be written.
    """
    read_pair = partial(_read_pair, scale=index.scale, channels=index.channels)
    images = _in_order(read_pair, zip(pairs, index.sizes, strict=True), jobs)
    scales = {index.hr.name: 1, index.lr.name: index.scale}
    with _packed(folder, index, scales, images) as (hr, lr):
        # A crash from here on leaves a split that is not prepared, and never a wrong one.
        index_path(folder, index.scale).unlink(missing_ok=True)
        _forget_others(folder, hr, report)
    replace(index, hr=hr, lr=lr).write(folder)
    _remove_unused(folder)


def pack_scale(packed: PackedImages, index: Index, folder: Path, *, jobs: int) -> None:
    """Add LR images of another scale to a split that is packed already."""
    images = _in_order(partial(_shrink, packed, scale=index.scale), range(len(packed)), jobs)
    with _packed(folder, index, {index.lr.name: index.scale}, images) as (lr,):
        pass
    replace(index, lr=lr).write(folder)


def _read_pair(
    item: tuple[Pair, tuple[int, int]], *, scale: int, channels: int
) -> tuple[Pixels, ...]:
    """HR and LR of a pair, given the size in HR's header; gray becomes RGB for 3 channels."""
    pair, (height, width) = item
    try:
        hr = read(pair.hr).frames[0]
        lr = downscale(hr, scale) if pair.lr is None else read(pair.lr).frames[0]
    except MemoryError as error:
        raise OutOfMemoryError(
            "not enough memory to decode and shrink it: use fewer --jobs, or remove it",
            path=pair.hr,
        ) from error
    for path, image, factor in ((pair.hr, hr, 1), (pair.lr, lr, scale)):
        shape = height // factor, width // factor
        if image.shape not in ((*shape, 1), (*shape, channels)):
            raise ImageError(
                f"its pixels have the shape {image.shape}, and its header says otherwise: save it "
                "again with another program",
                path=path,
            )
    return tuple(
        image if image.shape[2] == channels else np.repeat(image, channels, axis=2)
        for image in (hr, lr)
    )


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


def _remove_unused(folder: Path) -> None:
    """Remove damaged indexes, and the files that no index names."""
    used = set()
    for index in indexes(folder):
        used |= {index_path(folder, index.scale).name, index.hr.name, index.lr.name}
    for pattern in ("x*.json", "*.bin", "*.npy"):  # .npy: schema 1
        for path in folder.glob(pattern):
            if path.name not in used:
                path.unlink()


def _in_order(
    function: Callable[[Item], Result], items: Iterable[Item], jobs: int
) -> Generator[Result, None, None]:
    """`map` in `jobs` processes, each at most two items ahead."""
    if jobs == 1:
        yield from map(function, items)
        return
    waiting: deque[Future[Result]] = deque()
    # Spawned: a forked process would inherit the locks that our threads happen to hold.
    context = multiprocessing.get_context("spawn")
    with (
        _single_threaded_children(),
        ProcessPoolExecutor(jobs, context, initializer=_end_with_parent) as pool,
    ):
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > 2 * jobs:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise OutOfMemoryError(
                f"one of {jobs} processes that decode images was killed, most likely because "
                "memory ran out: use fewer --jobs"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _end_with_parent() -> None:
    """Leave signals to the whole group, as Ctrl-C is, to the parent, and end when it ends."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()


@contextlib.contextmanager
def _single_threaded_children() -> Iterator[None]:
    """Processes started in the block run BLAS on one thread: together they use all cores.

    BLAS reads the environment when it is loaded.
    """
    name = "OMP_NUM_THREADS"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before

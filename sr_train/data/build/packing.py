"""Decoding images once, into the packed files of a split."""

import contextlib
import hashlib
import multiprocessing
import os
import shutil
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from sr_runtime.atomic import atomic_path
from sr_runtime.errors import ImageError, OutOfMemoryError, SRError, StorageError
from sr_runtime.evaluation.pairs import Pair
from sr_runtime.image import read
from sr_runtime.resize import downscale
from sr_train.data.packed_dataset import Index, PackedFile, PackedImages, index_path

__all__ = ["pack_images", "pack_scale"]

Pixels = NDArray[np.uint8]
Item = TypeVar("Item")
Result = TypeVar("Result")


def pack_images(
    pairs: Sequence[Pair],
    index: Index,
    folder: Path,
    *,
    jobs: int,
    report: Callable[[str], None],
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
    hr_bytes, lr_bytes = _lengths(index)
    images = _in_order(read_pair, pairs, jobs)
    with _writing(folder, hr_bytes + lr_bytes) as write, contextlib.closing(images):
        hr = write(index.hr.name)
        lr = write(index.lr.name)
        bar = _progress(pairs, index)
        for pair, (height, width), decoded in zip(bar, index.sizes, images, strict=True):
            for file, path, image, scale in zip(
                (hr, lr), (pair.hr, pair.lr), decoded, (1, index.scale), strict=True
            ):
                if image.shape != (height // scale, width // scale, index.channels):
                    raise ImageError(
                        f"its pixels have the shape {image.shape}, and its header says otherwise: "
                        "save it again with another program",
                        path=path,
                    )
                file.write(np.ascontiguousarray(image).data)
        complete = replace(index, hr=hr.finished(), lr=lr.finished())
        # A crash from here on leaves a split that is not prepared, and never a wrong one.
        index_path(folder, index.scale).unlink(missing_ok=True)
        _forget_others(folder, complete.hr, report)
    complete.write(folder)
    _remove_unused(folder)


def pack_scale(packed: PackedImages, index: Index, folder: Path, *, jobs: int) -> None:
    """Add LR images of another scale to a split that is packed already."""
    length = _lengths(index)[1]
    images = _in_order(partial(_shrink, packed, scale=index.scale), range(len(packed)), jobs)
    with _writing(folder, length) as write, contextlib.closing(images):
        lr = write(index.lr.name)
        for image in _progress(images, index):
            lr.write(image.data)
        complete = replace(index, lr=lr.finished())
    complete.write(folder)


def _read_pair(pair: Pair, *, scale: int, channels: int) -> tuple[Pixels, Pixels]:
    try:
        hr = read(pair.hr).frames[0]
        lr = downscale(hr, scale) if pair.lr is None else read(pair.lr).frames[0]
        return _with_channels(hr, channels), _with_channels(lr, channels)
    except MemoryError as error:
        raise OutOfMemoryError(
            "not enough memory to decode and shrink it: use fewer --jobs, or remove it",
            path=pair.hr,
        ) from error


def _with_channels(image: Pixels, channels: int) -> Pixels:
    """A gray image of an RGB data set becomes R = G = B."""
    return image if image.shape[2] == channels else np.repeat(image, channels, axis=2)


def _shrink(packed: PackedImages, i: int, *, scale: int) -> Pixels:
    lr: Pixels = downscale(packed.uncropped_hr(i), scale)
    return lr


def _lengths(index: Index) -> tuple[int, int]:
    """The bytes of all HR images, and of all LR images."""
    return (
        sum(h * w for h, w in index.sizes) * index.channels,
        sum((h // index.scale) * (w // index.scale) for h, w in index.sizes) * index.channels,
    )


def _progress(items: Iterable[Item], index: Index) -> Iterable[Item]:
    return tqdm(items, f"{index.name}:{index.split}", len(index.names), unit="image", disable=None)


class _Writer:
    """Writes images one after another and computes their checksum."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file, self._name = file, name
        self._digest = hashlib.sha256()

    def write(self, content: memoryview) -> None:
        self._file.write(content)
        self._digest.update(content)

    def finished(self) -> PackedFile:
        self._file.flush()
        return PackedFile(self._name, self._file.tell(), self._digest.hexdigest())


@contextlib.contextmanager
def _writing(folder: Path, needed: int) -> Iterator[Callable[[str], _Writer]]:
    """A function that opens files of `folder`, which get their names when the block succeeds."""
    folder.mkdir(parents=True, exist_ok=True)
    for abandoned in folder.glob(".*.bin"):  # by a process that was killed
        abandoned.unlink()
    if (free := shutil.disk_usage(folder).free) < needed:
        raise StorageError(
            f"{needed:,} bytes are needed and {free:,} are free: make room, or choose another "
            "--root",
            path=folder,
        )
    with contextlib.ExitStack() as files:

        def write(name: str) -> _Writer:
            temporary = files.enter_context(atomic_path(folder / name))
            return _Writer(files.enter_context(temporary.open("wb")), name)

        yield write


def _forget_others(folder: Path, hr: PackedFile, report: Callable[[str], None]) -> None:
    """Remove other scales of the split if they were made from other HR images."""
    for path in folder.glob("x*.json"):
        try:
            other = Index.read(path)
        except SRError:  # damaged
            path.unlink()
            continue
        if other.hr.name == hr.name and other.hr.sha256 != hr.sha256:
            path.unlink()
            report(
                f"{other.name}:{other.split} for a scale of {other.scale} was made from other "
                "images and is removed: prepare it again"
            )


def _remove_unused(folder: Path) -> None:
    indexes = [Index.read(path) for path in folder.glob("x*.json")]
    used = {file.name for index in indexes for file in (index.hr, index.lr)}
    for path in (*folder.glob("*.bin"), *folder.glob("*.npy")):  # .npy: schema 1
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
    """Leave Ctrl-C to the parent process, and end when it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
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

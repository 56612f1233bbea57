"""load() and Upscaler: image → tiles → image. What is asked for becomes what is done here."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from numpy.typing import NDArray
from PIL import Image

from sr_runtime import image
from sr_runtime.atomic import check_target
from sr_runtime.backends import registry
from sr_runtime.backends.base import Backend
from sr_runtime.embedded import DEFAULT, model_file
from sr_runtime.errors import ArgumentError, SRError
from sr_runtime.frame import check_frame, color_planes, network_runs, upscale_frame
from sr_runtime.image import Picture
from sr_runtime.model_info import ModelInfo
from sr_runtime.output_size import OutputSize
from sr_runtime.progress import Progress, TileCount
from sr_runtime.tensor import check_image
from sr_runtime.tiled_network import TiledNetwork
from sr_runtime.tiling import TilePlan

__all__ = ["Upscaler", "load"]

MODEL_SIZE = OutputSize()

ImageT = TypeVar("ImageT", NDArray[Any], Image.Image)


def load(
    model: str | os.PathLike[str] = DEFAULT,
    *,
    backend: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    tile: int | Literal["auto"] = "auto",
    halo: int | Literal["auto", "exact"] = "auto",
    tta: bool = False,
) -> "Upscaler":
    """Open a model for upscaling.

    Args:
        model: "esrgan" or "psnr", which the package carries (sr_runtime/models/README.md), or an
            ONNX file, ours or anyone else's ESRGAN, or a TensorRT engine; a `Path` is always a
            file.
        backend: "tensorrt", "openvino", "onnxruntime", or "auto": the fastest one that works here
            and need not build an engine.
        device: "cpu", "cuda:0" or "cuda", "cuda:0,cuda:1" for several GPUs that share the work, or
            "auto": the fastest one that works here, a GPU before the CPU.
        precision: How the backend computes. On a CPU "fp32" or "bf16", whatever the type in which
            the file stores its weights; "auto" is bf16 where processor and backend have it, else
            fp32. On a GPU it is the file's own, "fp16" or "fp32", and "auto" means that.
        tile: Largest side of a tile in LR pixels, halo included.
        halo: LR pixels of context around a tile: "auto" is what the model was calibrated to
            (differences of at most 1/255), "exact" its receptive radius (the last bit of a float).
        tta: Average over the eight flips and rotations: eight times the work.

    Raises:
        ModelError: The file is not there, or no super-resolution model, or it is an embedded one
            that is damaged.
        BackendError: The backend, device or precision is not to be had here.
        ArgumentError: A value is not one of those above.
    """
    file = model_file(model)
    name, device = registry.choose(backend, device, file)
    engine = registry.open_backend(name, file, device=device, precision=precision)
    try:
        return Upscaler(engine, tile=tile, halo=halo, tta=tta)
    except SRError:
        engine.close()
        raise


class Upscaler:
    """A loaded model. Use it as a context manager.

    Several threads may share one. The tiles of their images go through the engine side by side,
    as there is room for them; each thread gets what it would get alone. Every image in work takes
    the memory of its result.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        tile: int | Literal["auto"] = "auto",
        halo: int | Literal["auto", "exact"] = "auto",
        tta: bool = False,
    ) -> None:
        """Take over an open backend; `load` has the arguments."""
        self.backend = backend
        self.info: ModelInfo = backend.info
        self._network = TiledNetwork(backend, tile=tile, halo=halo, tta=tta)
        self._in_work = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.local()

    @property
    def halo(self) -> int:
        """LR pixels of context around a tile."""
        return self._network.halo

    @property
    def max_tile(self) -> tuple[int, int]:
        """Largest (height, width) of a tile, halo included; less once memory ran out."""
        return self._network.max_tile

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the engine and its memory, once what is in work is done.

        Raises ArgumentError in a progress callback, which it would wait for.
        """
        self._check_no_callback()
        with self._changed:
            closed, self._closed = self._closed, True
            self._changed.wait_for(lambda: not self._in_work)
            if not closed:
                self.backend.close()

    def plan(self, height: int, width: int) -> TilePlan:
        """The tiles of an image of `height` × `width`."""
        return self._network.plan(height, width)

    def upscale(
        self,
        image_or_array: ImageT,
        *,
        size: OutputSize = MODEL_SIZE,
        progress: Progress | None = None,
    ) -> ImageT:
        """Upscale a numpy array or a PIL image; the result is of the same kind.

        Args:
            image_or_array: `(H, W, C)` uint8 or uint16, C being 1 (gray), 2 (gray, alpha), 3 (RGB)
                or 4 (RGBA), or `(H, W)`; or a PIL image (one frame; its EXIF orientation is kept
                and not applied: `upscale_file` applies it).

        Raises:
            ArgumentError: It is neither, of another shape or type, or does not fit the model.
            ImageError: The PIL image has more bits than Pillow keeps, or a mode of no picture.
            NonFiniteError: The network returned NaN or infinity.
            OutOfMemoryError: Not even a small tile fits into memory.
        """
        if isinstance(image_or_array, Image.Image):
            picture = image.from_pil(image_or_array)
            return image.to_pil(self.upscale_picture(picture, size=size, progress=progress))
        frame = check_frame(image_or_array)
        picture = self.upscale_picture(Picture(frames=(frame,)), size=size, progress=progress)
        result = picture.frames[0]
        return result if image_or_array.ndim == 3 else result[:, :, 0]

    def upscale_file(
        self,
        source: str | os.PathLike[str],
        target: str | os.PathLike[str],
        *,
        size: OutputSize = MODEL_SIZE,
        quality: int | None = None,
        max_pixels: int = image.DEFAULT_MAX_PIXELS,
        progress: Progress | None = None,
    ) -> None:
        """Upscale an image file, animations too, into the format of `target`'s suffix.

        Raises:
            ImageError: The source cannot be read, or the target cannot be written.
            ArgumentError: The target is the source, which is never overwritten.
        """
        check_target(Path(target), inputs=[Path(source)])
        picture = image.read(source, max_pixels=max_pixels)
        self.check_result(picture, target, size=size, quality=quality)
        result = self.upscale_picture(picture, size=size, progress=progress)
        image.write(result, target, quality=quality)

    def check_result(
        self,
        picture: Picture,
        target: str | os.PathLike[str],
        *,
        size: OutputSize = MODEL_SIZE,
        quality: int | None = None,
    ) -> None:
        """Raise ImageError for a result that `target` could not hold, before the work is done."""
        frame = picture.frames[0]
        height, width = size.target(frame.shape[0], frame.shape[1], self.info.scale)
        image.check_writable(
            target,
            image.output_format(target),
            height=height,
            width=width,
            channels=frame.shape[2],
            dtype=frame.dtype,
            frames=len(picture.frames),
            quality=quality,
        )

    def upscale_picture(
        self, picture: Picture, *, size: OutputSize = MODEL_SIZE, progress: Progress | None = None
    ) -> Picture:
        """Upscale every frame of what `image.read` gives."""
        self._check_no_callback()
        for frame in picture.frames:
            check_image(color_planes(frame), self.info)
        runs = [run for f in picture.frames for run in network_runs(f, self.info.scale, size)]
        with self._kept_open():
            told = None if progress is None else partial(self._tell, progress)
            tiles = TileCount(told, self.plan, runs)
            frames = tuple(
                upscale_frame(frame, lambda x: self._network.run(x, tiles), self.info.scale, size)
                for frame in picture.frames
            )
        return replace(picture, frames=frames)

    def _tell(self, progress: Progress, done: int, total: int) -> None:
        self._thread.in_callback = True
        try:
            progress(done, total)
        finally:
            self._thread.in_callback = False

    def _check_no_callback(self) -> None:
        if getattr(self._thread, "in_callback", False):
            raise ArgumentError(
                "a progress callback cannot use the upscaler that called it, which waits for its "
                "return: raise an exception to cancel, and close it or upscale more afterwards"
            )

    @contextmanager
    def _kept_open(self) -> Iterator[None]:
        """In the block the engine stays open; ArgumentError if it is closed."""
        with self._changed:
            if self._closed:
                raise ArgumentError("this upscaler is closed: load the model again")
            self._in_work += 1
        try:
            yield
        finally:
            with self._changed:
                self._in_work -= 1
                self._changed.notify_all()

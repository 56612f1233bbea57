"""Upscaler: the public calls, from an image or a file to its result."""

import os
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from numpy.typing import NDArray
from PIL import Image

from sr_runtime.backends.base import Backend
from sr_runtime.callbacks import Callbacks
from sr_runtime.image import DEFAULT_MAX_PIXELS, Output, Picture, Quality, from_pil, read, to_pil
from sr_runtime.image.out_of_memory import memory_for
from sr_runtime.large.choice import goes_by_rows
from sr_runtime.large.output import LargeOutput, output_of
from sr_runtime.large.upscale import upscale_large
from sr_runtime.lifetime import Lifetime
from sr_runtime.model_info import ModelInfo
from sr_runtime.model_version import ModelVersion, version_of
from sr_runtime.output_size import OutputSize
from sr_runtime.passes import Progress, upscale_frames
from sr_runtime.rows.protocols import RowReader, RowWriter
from sr_runtime.rows.stream import stream
from sr_runtime.storage.atomic import check_target
from sr_runtime.tileable import Tileable, wrap_of
from sr_runtime.tiled_network import TiledNetwork
from sr_runtime.tiling import TilePlan

__all__ = ["Upscaler"]

ImageT = TypeVar("ImageT", NDArray[Any], Image.Image)


class Upscaler:
    """A loaded model, made by `load`. Use it as a context manager, or call `close`.

    Several threads may share one: their tiles go through the engine side by side, and each thread
    gets the result that it would get alone. Every image being processed takes the memory of its
    result.

    Attributes:
        info: The model's facts, such as `scale` and `in_channels`.
        backend: The engine that runs it.
        halo: LR pixels of context around a tile.
        tile: Largest (height, width) of a tile, halo included, as the model was loaded.
        tta: Whether results are the mean over eight flips and rotations.
        model: The model's file; None for a blend of the embedded models.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        tile: int | Literal["auto"] = "auto",
        halo: int | Literal["auto", "exact"] = "auto",
        tta: bool = False,
        model: Path | None = None,
        model_version: ModelVersion | None = None,
    ) -> None:
        """Take over an open backend. `load` documents the other arguments.

        Args:
            model: The backend's file.
            model_version: Its `version_of` when it was opened; None: that of now.
        """
        self.backend, self.tta = backend, tta
        if model is not None and model_version is None:
            model_version = version_of(model)
        self.model, self.model_version = model, model_version
        self.info: ModelInfo = backend.info
        self._network = TiledNetwork(backend, tile=tile, halo=halo, tta=tta, model=model)
        self.halo, self.tile = self._network.halo, self._network.tile
        self._lifetime = Lifetime(backend)
        self._callbacks = Callbacks()

    @property
    def max_tile(self) -> tuple[int, int]:
        """`tile`, or what it shrank to when memory ran out."""
        return self._network.max_tile

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Refuse new images, finish those being processed, and release the engine.

        If the wait is interrupted (Ctrl-C), the last of those images releases it. In a process that
        was forked after `load`, the engine is left alone. Raises ArgumentError in a progress
        callback, which would wait for itself.
        """
        self._callbacks.check_outside()
        self._lifetime.close()

    def plan(self, height: int, width: int, *, tileable: Tileable | None = None) -> TilePlan:
        """The tiles into which `upscale` cuts an image of `height` × `width`."""
        return self._network.plan(height, width, wrap_of(tileable))

    def upscale(
        self,
        image: ImageT,
        *,
        scale: float | None = None,
        width: int | None = None,
        height: int | None = None,
        tileable: Tileable | None = None,
        progress: Progress | None = None,
    ) -> ImageT:
        """Upscale a numpy array or a PIL image. The result is of the same kind and type.

        Args:
            image: An array, `(H, W)` or `(H, W, C)` with C = 1 (gray), 2 (gray, alpha), 3 (RGB) or
                4 (RGBA): uint8, uint16, or float32 in [0, 1]. It may be read-only, with any
                strides and either byte order; the result is a new array in native byte order.
                float32 results are clamped to [0, 1] and not rounded. The order is RGB: pass
                OpenCV's BGR as `image[:, :, ::-1]`, and convert the result back in the same way.
                Or a PIL image: its EXIF orientation is kept, not applied (`upscale_file` applies
                it).
            scale: Result over image, above 0 and at most 64. Default: the model's scale.
            width: Width of the result in pixels, instead of `scale`; the proportions stay.
            height: Height of the result in pixels, instead of `scale`; the proportions stay.
            tileable: For a texture: "x" if copies of the image side by side continue each other,
                "y" if copies below each other do, "xy" for both. Those of the result do then, too.
                A model that works in blocks of pixels takes only multiples of them on these sides.
            progress: Called with (tiles done, tiles in total) on this thread, which waits for it.
                To cancel, raise an exception in it: it comes out of this call unchanged, and the
                upscaler can be used again. Using this upscaler in it is an ArgumentError.

        Raises:
            ArgumentError: The image has another shape, type or range, or does not fit the model;
                the size is out of range; or the upscaler is closed.
            ImageError: A PIL image has more bits than Pillow keeps, or a mode that is not
                a picture.
            NonFiniteError: The network returned NaN or infinity.
            OutOfMemoryError: The result does not fit into the memory that is free, which is known
                before the work; or not even a small tile fits. A larger tile that does not is a
                RuntimeWarning, and smaller ones are used from then on.
        """
        if isinstance(image, Image.Image):
            picture = from_pil(image)
        else:
            with memory_for("convert the array", getattr(image, "nbytes", 0)):
                picture = Picture(frames=(image,))
        size = OutputSize(scale=scale, width=width, height=height)
        result = self._upscale(picture, size, tileable, progress)
        if isinstance(image, Image.Image):
            with memory_for("convert the result", sum(frame.nbytes for frame in result.frames)):
                return to_pil(result)
        frame = result.frames[0]
        return frame if image.ndim == 3 else frame[:, :, 0]

    def upscale_file(
        self,
        source: str | os.PathLike[str],
        target: str | os.PathLike[str],
        *,
        scale: float | None = None,
        width: int | None = None,
        height: int | None = None,
        tileable: Tileable | None = None,
        quality: Quality = None,
        max_pixels: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Upscale an image file, animations and pages too, into the format of `target`'s suffix.

        The result's size, `tileable` and `progress` are as in `upscale`. An image too large for
        memory goes by rows, as on the command line (docs/large.md): the rows that are done are kept
        beside the target, in a folder of its name with `.part`, and the same call goes on with
        them. So does a GeoTIFF that becomes a `.tif`, and what becomes a Deep Zoom image, `.dzi`.

        Args:
            quality: 1 to 100 for JPEG, WebP, AVIF, JPEG XL and the tiles of Deep Zoom, default 95;
                or "lossless" for WebP and JPEG XL.
            max_pixels: Refuse a source of more pixels. Default: more than 134 megapixels go by
                rows.

        Raises:
            ImageError: The source cannot be read, the target's format cannot hold the result, or an
                image has to go by rows and is of no such kind, or the extra for it is missing.
            StorageError: The target cannot be written.
            ArgumentError: As in `upscale`, the target is the source, which is never overwritten, or
                the kept rows are of another result.
        """
        self._callbacks.check_outside()
        size = OutputSize(scale=scale, width=width, height=height)
        output, place = output_of(Path(target), quality=quality), Path(source)
        check_target(output.path, inputs=[place])
        if goes_by_rows(
            place,
            output,
            size=size,
            scale=self.info.scale,
            tileable=tileable,
            max_pixels=max_pixels,
        ):
            large = LargeOutput(target, quality=quality)
            upscale_large(self, place, large, size=size, progress=progress)
            return
        assert isinstance(output, Output)
        picture = read(place, max_pixels=DEFAULT_MAX_PIXELS if max_pixels is None else max_pixels)
        self.check_result(picture, output, size=size)
        result = self._upscale(picture, size, tileable, progress)
        output.write(result)

    def check_result(self, picture: Picture, output: Output, *, size: OutputSize) -> None:
        """Raise ImageError, before the work, if the format of `output` cannot hold the result."""
        height, width = picture.frames[0].shape[:2]
        height, width = size.target(height, width, self.info.scale)
        output.check(picture, height=height, width=width)

    def upscale_picture(
        self,
        picture: Picture,
        *,
        scale: float | None = None,
        width: int | None = None,
        height: int | None = None,
        tileable: Tileable | None = None,
        progress: Progress | None = None,
    ) -> Picture:
        """Upscale every frame and page of what `sr_runtime.image.read` returns; as `upscale` else.

        Further pages of a TIFF are enlarged as many times as the first.
        """
        size = OutputSize(scale=scale, width=width, height=height)
        return self._upscale(picture, size, tileable, progress)

    def upscale_stream(
        self,
        reader: RowReader,
        writer: RowWriter,
        *,
        scale: float | None = None,
        width: int | None = None,
        height: int | None = None,
        end: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Upscale an image that need not fit into memory: rows in, rows out.

        The result has the pixels of `upscale`, but for an image with alpha that takes several
        passes of the network, and the last bit of float32 that is resized. Size and `progress` are
        as there. RGB of 8 bits, up to 30,000 pixels wide, needs about 2 GB whatever the height.

        Args:
            reader: Gives the image.
            writer: Takes the result. What it says that it has already is not made again.
            end: The result's row before which to stop; None: behind its last one. With a writer
                that has the rows before another one already, this makes a part of a result.

        Raises as `upscale`, and ArgumentError if the reader gives other rows than it states, or the
        result has no row `end`.
        """
        self._callbacks.check_outside()
        size = OutputSize(scale=scale, width=width, height=height)
        report = self._callbacks.reporting(progress)
        with self._callbacks.raising_as_is(), self._lifetime.kept_open():
            stream(reader, writer, self._network, size, report, end)

    def _upscale(
        self,
        picture: Picture,
        size: OutputSize,
        tileable: Tileable | None,
        progress: Progress | None,
    ) -> Picture:
        self._callbacks.check_outside()
        report = self._callbacks.reporting(progress)
        with self._callbacks.raising_as_is(), self._lifetime.kept_open():
            return upscale_frames(picture, self._network, size, wrap_of(tileable), report)

"""Integer pixels in and out of a float32 model, converted on the GPU.

Only pixels are copied, and the host touches no floats. `sr_runtime.tensor` does the same on the
host, with equal results.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sr_runtime.backends.cuda.memory import Device, Stream, TensorMemory

__all__ = ["PTX", "PixelBuffers", "PixelKernels"]

PTX = Path(__file__).with_name("pixels.ptx")
"""pixels.cu, compiled to code that the driver translates for its card."""

THREADS = 256  # of a block


class PixelKernels:
    """The kernels on one device, shared by all `PixelBuffers`."""

    def __init__(self, gpu: Device) -> None:
        self._gpu = gpu
        with gpu.current():
            names = ("planes_from_pixels", "pixels_from_planes")
            self._kernels = gpu.load_kernels(PTX.read_bytes(), names)

    def queue(
        self,
        name: str,
        stream: Stream,
        *,
        pixels: TensorMemory,
        planes: TensorMemory,
        finite: TensorMemory,
    ) -> None:
        """Queue a conversion between `(N, H, W, colors)` and `(N, channels, H, W)`."""
        images, height, width, colors = pixels.shape
        wide, half = pixels.dtype == np.uint16, planes.dtype == np.float16
        source, target = pixels, planes
        if name == "pixels_from_planes":
            source, target = planes, pixels
        self._kernels.launch(
            name,
            stream,
            blocks=(-(-height * width // THREADS), images),
            threads=THREADS,
            addresses=(source.address, target.address, finite.address),
            numbers=(height * width, colors, planes.shape[1], int(wide), int(half)),
        )

    def close(self) -> None:
        """Unload them. Nothing that uses them may be queued."""
        with self._gpu.current():
            self._kernels.close()


class PixelBuffers:
    """The pixels of one batch and of its picture. Call its methods while the device is current."""

    def __init__(
        self, kernels: PixelKernels, gpu: Device, source: TensorMemory, target: TensorMemory
    ) -> None:
        """`source` and `target` are the model's input and output."""
        self._kernels = kernels
        self._planes = source, target
        self._pixels, self._picture = (TensorMemory(name, np.uint8, gpu) for name in ("in", "out"))
        self._finite = TensorMemory("finite", np.bool_, gpu)

    def reserve(self, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        """Prepare for pixels `(N, H, W, colors)`. The model's tensors have their shapes already."""
        _, target = self._planes
        self._pixels.dtype = self._picture.dtype = np.dtype(dtype)
        self._pixels.reserve(shape)
        self._picture.reserve((*shape[:1], *target.shape[2:], *shape[3:]))
        self._finite.reserve(shape[:1])

    @property
    def array(self) -> NDArray[Any]:
        """Where to write the batch."""
        return self._pixels.array

    def upload(self, stream: Stream) -> None:
        """Queue the copy of the pixels to the device, and their conversion to the model's input."""
        self._pixels.upload(stream)
        self._kernels.queue(
            "planes_from_pixels",
            stream,
            pixels=self._pixels,
            planes=self._planes[0],
            finite=self._finite,
        )

    def download(self, stream: Stream) -> None:
        """Queue the conversion of the model's output to pixels, and their copy to the host."""
        self._kernels.queue(
            "pixels_from_planes",
            stream,
            pixels=self._picture,
            planes=self._planes[1],
            finite=self._finite,
        )
        self._picture.download(stream)
        self._finite.download(stream)

    def outputs(self) -> list[NDArray[Any]]:
        """The finished picture, and which of its images are finite: as of a uint8 model."""
        return [self._picture.array, self._finite.array]

    def free(self) -> None:
        """Free the memory until the next `reserve`."""
        for memory in (self._pixels, self._picture, self._finite):
            memory.free()

"""The three steps of one image, from file to file: read, enlarge, write."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from sr_runtime import image
from sr_runtime.batch.job import Job, Size
from sr_runtime.image import Picture, Quality
from sr_runtime.image.header import header_of
from sr_runtime.large.choice import goes_by_rows
from sr_runtime.large.output import LargeOutput, output_of
from sr_runtime.large.upscale import upscale_large
from sr_runtime.output_size import OutputSize
from sr_runtime.passes import Progress
from sr_runtime.storage.atomic import check_target, create_folder
from sr_runtime.tileable import Tileable
from sr_runtime.upscaler import Upscaler

__all__ = ["Steps"]


class Steps:
    """What is done to every image of a run. Each step may run in another thread."""

    def __init__(
        self,
        upscaler: Upscaler,
        jobs: Sequence[Job],
        *,
        size: OutputSize,
        quality: Quality,
        max_pixels: int | None,
        tileable: Tileable | None,
    ) -> None:
        """
        Args:
            jobs: All of the run. A quality in numbers is for those of their formats that have one,
                if any has.

        Raises:
            ImageError, ArgumentError: A result cannot be written, or `quality` does not suit it.
        """
        self._upscaler, self._size = upscaler, size
        self._max_pixels, self._tileable = max_pixels, tileable
        self._quality = quality
        of_each_suffix = {job.suffix: job for job in jobs}.values()
        formats = {output_of(job.target).format for job in of_each_suffix}
        self._without_quality = formats.difference(image.QUALITY_FORMATS)
        if isinstance(quality, str) or formats == self._without_quality:
            self._without_quality = set()
        for job in of_each_suffix:
            self._output(job.target)

    def read(self, job: Job) -> Picture | None:
        """The picture; None if it is to be read by rows."""
        if goes_by_rows(
            job.source,
            self._output(job.target),
            size=self._size,
            scale=self._upscaler.info.scale,
            tileable=self._tileable,
            max_pixels=self._max_pixels,
        ):
            return None
        most = image.DEFAULT_MAX_PIXELS if self._max_pixels is None else self._max_pixels
        return image.read(job.source, max_pixels=most)

    def enlarge(self, job: Job, picture: Picture, progress: Progress) -> Picture:
        """The result, for `write`, after it is known that it can be written."""
        output = self._output(job.target)
        assert isinstance(output, image.Output)
        if output.path.parent.is_dir():
            check_target(output.path)
        self._upscaler.check_result(picture, output, size=self._size)
        return self._upscaler.upscale_picture(
            picture, **asdict(self._size), tileable=self._tileable, progress=progress
        )

    def write(self, job: Job, result: Picture) -> None:
        # Not before there is a result: a model that fails leaves no folder behind.
        create_folder(job.target.parent)
        output = self._output(job.target)
        assert isinstance(output, image.Output)
        output.write(result)

    def enlarge_by_rows(self, job: Job, progress: Progress, writing: Progress) -> None:
        """From file to file, for an image that `read` left to be read by rows."""
        create_folder(job.target.parent)
        output = LargeOutput(job.target, quality=self._output(job.target).quality)
        upscale_large(
            self._upscaler,
            job.source,
            output,
            size=self._size,
            progress=progress,
            writing=writing,
        )

    def sizes(self, job: Job) -> tuple[Size | None, Size | None]:
        """The image's and its result's, where the header can be read."""
        if (header := header_of(job.source)) is None:
            return None, None
        size = header.height, header.width
        return size, self._size.target(*size, self._upscaler.info.scale)

    def _output(self, target: Path) -> image.Output | LargeOutput:
        output = output_of(target)
        if output.format in self._without_quality:
            return output
        return output_of(target, quality=self._quality)

"""The frames of a video through the network: decoding, inference and encoding side by side.

One thread decodes, as many upscale as the engine takes images at once, some convert the results to
YUV, and one encodes. They are coupled by a number of places: a frame takes one before it is decoded
and gives it back when the encoder has it. So the memory is that of as many results as there are
places, and what the encoder holds, however long the video is.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sr_runtime.output_size import OutputSize
from sr_runtime.upscaler import Upscaler
from sr_runtime.video.color import FrameFromRgb, RgbFromFrame
from sr_runtime.video.decode import TimedFrame
from sr_runtime.video.encode import Encoding, SegmentFile
from sr_runtime.video.facts import VideoFacts
from sr_runtime.video.segments import Segments

if TYPE_CHECKING:
    from av import VideoFrame

__all__ = ["Pipeline"]

# Input pixels of a segment, which is what a kill loses: three minutes of the embedded model on two
# cores. Each segment begins with a keyframe, so they are not too short either.
SEGMENT_PIXELS = 64_000_000
SEGMENT_FRAMES = (24, 250)

# A GPU upscales a small frame in less time than one core takes to make YUV of the result.
CONVERTERS_PER_IMAGE = 2


class _StoppedError(Exception):
    """The run has ended, by another thread's error or by Ctrl-C."""


@dataclass(frozen=True)
class _Item:
    """A frame on its way to the encoder."""

    frame: "Future[VideoFrame]"
    pts: int
    duration: int
    source: NDArray[Any]


class Pipeline:
    """One run over the frames that are not finished yet."""

    def __init__(
        self,
        upscaler: Upscaler,
        facts: VideoFacts,
        encoding: Encoding,
        size: OutputSize,
        segments: Segments,
        on_frame: Callable[[int], None],
    ) -> None:
        """`on_frame` is called with the number of frames done, on the thread that encodes."""
        self._upscaler, self._facts, self._encoding, self._size = upscaler, facts, encoding, size
        self._segments, self._on_frame = segments, on_frame
        self._images = upscaler.backend.limits.images
        # One thread converts faster than a CPU upscales.
        most = min(CONVERTERS_PER_IMAGE * self._images, os.cpu_count() or 1)
        self._converting = 1 if self._images == 1 else most
        self._places = threading.Semaphore(self._images + self._converting + 1)
        self._items: SimpleQueue[_Item | None] = SimpleQueue()
        self._ended = threading.Event()
        self._error: BaseException | None = None
        self._converters = threading.local()
        self.unfinished: SegmentFile | None = None
        """What Ctrl-C left of a segment: a playable file, which the next run makes again."""

    def run(self, frames: Generator[TimedFrame]) -> None:
        """Upscale and encode the frames, and close them; raise what one of the threads raised."""
        with (
            ThreadPoolExecutor(2) as ends,
            ThreadPoolExecutor(1) as finisher,
            ThreadPoolExecutor(self._converting) as converters,
            ThreadPoolExecutor(self._images) as workers,
        ):
            try:
                working = [
                    ends.submit(self._decode, frames, workers, converters),
                    ends.submit(self._encode, finisher),
                ]
                while wait(working, timeout=1).not_done:
                    pass  # again and again: on Windows, Ctrl-C does not interrupt a wait
            finally:
                self._end()
        if self._error is not None:
            raise self._error

    def _end(self, error: BaseException | None = None) -> None:
        self._error = self._error or error
        self._ended.set()
        self._places.release()  # to the thread that decodes, if it waits

    def _decode(
        self,
        frames: Generator[TimedFrame],
        workers: ThreadPoolExecutor,
        converters: ThreadPoolExecutor,
    ) -> None:
        rgb_from_frame = RgbFromFrame(self._facts)
        before: _Item | None = None
        try:
            with closing(frames):
                for timed in frames:
                    self._places.acquire()
                    if self._ended.is_set():
                        break
                    rgb = rgb_from_frame(timed.frame)
                    if before is not None and np.array_equal(rgb, before.source):
                        result = before.frame
                    else:
                        large = workers.submit(self._upscale, rgb)
                        result = converters.submit(self._convert, large)
                    before = _Item(result, timed.pts, timed.duration, rgb)
                    self._items.put(before)
        except BaseException as error:
            self._end(error)
        finally:
            self._items.put(None)

    def _upscale(self, rgb: NDArray[Any]) -> NDArray[Any]:
        size = self._size
        return self._upscaler.upscale(
            rgb, scale=size.scale, width=size.width, height=size.height, progress=self._on_tiles
        )

    def _on_tiles(self, _done: int, _total: int) -> None:
        if self._ended.is_set():
            raise _StoppedError

    def _convert(self, large: "Future[NDArray[Any]]") -> "VideoFrame":
        if not hasattr(self._converters, "own"):
            self._converters.own = FrameFromRgb(self._facts, self._encoding.pixels)
        rgb = large.result()[: self._encoding.height, : self._encoding.width]
        frame: VideoFrame = self._converters.own(rgb)
        return frame

    def _encode(self, finisher: ThreadPoolExecutor) -> None:
        """Take the frames in their order and write segments.

        The end of a segment is encoded beside the beginning of the next one: an encoder holds back
        up to a second of frames.
        """
        fewest, most = SEGMENT_FRAMES
        length = SEGMENT_PIXELS // (self._facts.height * self._facts.width)
        length = max(fewest, min(most, length))
        done, number = self._segments.frames, len(self._segments.finished)
        finishing: Future[None] | None = None
        segment: SegmentFile | None = None
        try:
            for item, frame in self._results():
                if segment is None:
                    path = self._segments.new_path(number)
                    segment = SegmentFile(path, self._facts, self._encoding)
                segment.add(frame, item.pts, item.duration)
                source = item.source
                done += 1
                try:
                    self._on_frame(done)
                except BaseException as error:  # the caller cancels
                    self._end(error)
                if done % length == 0:
                    if finishing is not None:
                        finishing.result()
                    finishing = finisher.submit(self._finish, segment, source)
                    segment, number = None, number + 1
            if finishing is not None:
                finishing.result()
            if segment is not None and self._ended.is_set():
                segment.finish()
                self.unfinished = segment
            elif segment is not None:
                self._finish(segment, source)
        except BaseException as error:
            self._end(error)

    def _results(self) -> "Iterator[tuple[_Item, VideoFrame]]":
        """The frames in their order, until the last one or the end of the run."""
        while (item := self._items.get()) is not None and not self._ended.is_set():
            try:
                frame = item.frame.result()
            except _StoppedError:
                return
            self._places.release()
            yield item, frame

    def _finish(self, segment: SegmentFile, source: NDArray[Any]) -> None:
        segment.finish()
        self._segments.add(segment.path, segment.timing, source_digest(source))


def source_digest(source: NDArray[Any]) -> str:
    """What tells a source frame from others."""
    return hashlib.sha256(source.tobytes()).hexdigest()

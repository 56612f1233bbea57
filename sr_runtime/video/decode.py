"""From a video file to its frames, each with the time at which it is shown."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr_runtime.errors import ImageError, reading
from sr_runtime.video.facts import DEINTERLACE, VideoFacts, opened, picture_stream

if TYPE_CHECKING:
    from av import Packet, VideoFrame
    from av.container import InputContainer
    from av.filter import Graph
    from av.stream import Stream
    from av.video.stream import VideoStream

__all__ = ["TimedFrame", "decoded", "readable_packets"]

SHORT = 1.0
"""Seconds that may be missing at the end: headers are that wrong."""


@dataclass(frozen=True)
class TimedFrame:
    """A decoded frame."""

    frame: "VideoFrame"
    pts: int
    """When it is shown, in ticks of `VideoFacts.time_base`; each is later than the one before."""
    duration: int
    """How long, as far as the file says; at least 1."""


def decoded(
    path: Path, facts: VideoFacts, *, deinterlace: bool = False, start: int | None = None
) -> Iterator[TimedFrame]:
    """The frames of a video.

    What is damaged is as the decoder repairs it; a RuntimeWarning in the end says where.

    Args:
        start: Begin near the frame of this pts, and never after it unless the file has a wrong
            index: the caller looks.

    Raises:
        ImageError: A frame is interlaced, or of another size than the first.
        StorageError: The system cannot read the file.
    """
    with opened(path) as container:
        stream = picture_stream(container)
        stream.thread_type = "AUTO"
        if start is not None:
            container.seek(start, stream=stream)
        damage = _Damage()
        filtering = _Deinterlacer(stream) if deinterlace else None
        last, step = None, max(1, round(1 / (facts.rate * facts.time_base)))
        for frame in _raw_frames(container, stream, damage, path):
            _check(frame, facts, deinterlace=deinterlace, last=last)
            for picture in filtering.push(frame) if filtering else (frame,):
                timed = _timed(picture, facts, last, step)
                last = timed.pts
                yield timed
        for picture in filtering.push(None) if filtering else ():
            timed = _timed(picture, facts, last, step)
            last = timed.pts
            yield timed
        damage.report(path, facts, last)


def _check(frame: "VideoFrame", facts: VideoFacts, *, deinterlace: bool, last: int | None) -> None:
    if (frame.height, frame.width) != (facts.height, facts.width):
        raise ImageError(
            f"the frames change from {facts.width}×{facts.height} to {frame.width}×{frame.height} "
            f"{_place(facts, last)}: cut the video there first"
        )
    if frame.interlaced_frame and not deinterlace:
        raise ImageError(f"{DEINTERLACE} ({_place(facts, last)})")


def _place(facts: VideoFacts, last: int | None) -> str:
    return f"after {_seconds(facts, last):.2f} s"


def _seconds(facts: VideoFacts, last: int | None) -> float:
    """When the frame of the pts `last` is shown, from the start of the file."""
    return 0.0 if last is None else float(last * facts.time_base - facts.start)


def _timed(frame: "VideoFrame", facts: VideoFacts, last: int | None, step: int) -> TimedFrame:
    """Files without timestamps, or with some that go back, get the next possible one."""
    base = frame.time_base or facts.time_base
    duration = max(1, round(frame.duration * base / facts.time_base)) if frame.duration else step
    pts = None if frame.pts is None else round(frame.pts * base / facts.time_base)
    if pts is None:
        pts = 0 if last is None else last + step
    elif last is not None and pts <= last:
        pts = last + 1
    return TimedFrame(frame, pts, duration)


class _Damage:
    """What of a file could not be decoded."""

    def __init__(self) -> None:
        self.packets = 0

    def report(self, path: Path, facts: VideoFacts, last: int | None) -> None:
        """Warn of what is missing, once every frame was seen."""
        reached = _seconds(facts, last)
        if self.packets:
            warnings.warn(
                f"{path}: {self.packets} damaged places of this video are as the decoder repaired "
                "them",
                RuntimeWarning,
                stacklevel=2,
            )
        if facts.seconds is not None and reached + 1 / facts.rate < facts.seconds - SHORT:
            warnings.warn(
                f"{path}: this video ends after {reached:.1f} s, and its header says "
                f"{facts.seconds:.1f} s: it is cut off, and what there is was upscaled",
                RuntimeWarning,
                stacklevel=2,
            )


def _raw_frames(
    container: "InputContainer", stream: "VideoStream", damage: _Damage, path: Path
) -> "Iterator[VideoFrame]":
    import av

    for packet in chain(readable_packets(container, [stream], path, damage), [None]):
        try:
            frames = stream.decode(packet)
        except av.error.EOFError:  # it was flushed by the last packet, which is empty
            return
        except av.error.MemoryError:
            raise
        except av.error.FFmpegError:
            damage.packets += 1
            frames = []
        yield from frames


def readable_packets(
    container: "InputContainer",
    streams: "Sequence[Stream]",
    path: Path,
    damage: _Damage | None = None,
) -> "Iterator[Packet[Any]]":
    """The packets of some streams, as far as a damaged file can be followed.

    Raises StorageError if the system cannot read the file.
    """
    import av

    packets = container.demux(streams)
    while True:
        try:
            with reading(path):
                packet = next(packets, None)
        except av.error.MemoryError:
            raise
        except av.error.FFmpegError:
            if damage is not None:
                damage.packets += 1
            return
        if packet is None:
            return
        yield packet


class _Deinterlacer:
    """FFmpeg's bwdif: one picture of each frame, and frames that are whole stay as they are."""

    def __init__(self, stream: "VideoStream") -> None:
        import av

        self._graph: Graph = av.filter.Graph()
        self._graph.link_nodes(
            self._graph.add_buffer(template=stream),
            self._graph.add("bwdif", "mode=send_frame:deint=interlaced"),
            self._graph.add("buffersink"),
        ).configure()

    def push(self, frame: "VideoFrame | None") -> "Iterator[VideoFrame]":
        """Give it a frame, or None after the last; take what is ready."""
        import av

        self._graph.vpush(frame)
        while True:
            try:
                yield self._graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return

"""upscale_video(): from a video file to its result, in segments that outlive a kill."""

import os
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import sr_runtime
from sr_runtime.errors import ArgumentError, ImageError, about
from sr_runtime.made_with import made_with
from sr_runtime.output_size import OutputSize
from sr_runtime.storage.atomic import atomic_path, check_target
from sr_runtime.unchanged import fact_of, unchanged
from sr_runtime.upscaler import Upscaler
from sr_runtime.video.assemble import assemble, check_container
from sr_runtime.video.color import RgbFromFrame
from sr_runtime.video.decode import TimedFrame, decoded
from sr_runtime.video.encode import Encoding, Timing, encoding_for
from sr_runtime.video.facts import DEINTERLACE, VideoFacts, read_facts
from sr_runtime.video.formats import CODECS, Codec, container_of
from sr_runtime.video.pipeline import Pipeline, source_digest
from sr_runtime.video.segments import Segments, opened_segments

__all__ = ["UpscaledVideo", "partial_file", "upscale_video"]


@dataclass(frozen=True)
class UpscaledVideo:
    """What became of a video."""

    frames: int
    height: int
    width: int
    codec: Codec


def upscale_video(
    upscaler: Upscaler,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    scale: float | None = None,
    width: int | None = None,
    height: int | None = None,
    codec: Codec | None = None,
    crf: int | None = None,
    deinterlace: bool = False,
    max_pixels: int | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> UpscaledVideo:
    """Upscale every frame of a video file into the container of `target`'s suffix.

    Timestamps, rotation, pixel aspect, colours, bit depth and metadata are kept; sound, subtitles,
    chapters, covers and fonts are copied as they are.

    Finished segments lie in the folder `target.part` until the result is there. If the process is
    killed, the same call goes on after the last of them, to the same bytes. After Ctrl-C, what is
    done so far is also in a file that can be played, `partial_file(target)`.

    Args:
        scale: Result over source, as in `Upscaler.upscale`; `width` and `height` too. A side is
            one pixel smaller where the colours' subsampling needs an even one.
        codec: "h264", "hevc", "av1", or "ffv1", which is lossless and goes into .mkv. Default:
            "h264" for 8 bits, "hevc" for more, "av1" for .webm.
        crf: Quality of the codec: smaller is better, and larger the file. Default: 17 for h264, 20
            for hevc, 24 for av1.
        deinterlace: Make whole pictures of interlaced frames first.
        max_pixels: Refuse frames of more pixels; None: of more than 134 megapixels.
        progress: Called with (frames done, frames in all or None if the file does not say) on
            another thread. To cancel, raise an exception in it; what is finished is kept.

    Raises:
        ImageError: The source cannot be read, has what would not become right, or has changed
            meanwhile.
        ArgumentError: An argument is out of range, or the container cannot hold a stream.
        StorageError: The target cannot be written.
    """
    source, target = Path(source), Path(target)
    size = OutputSize(scale=scale, width=width, height=height)
    container_of(target)
    if codec is not None and codec not in CODECS:
        raise ArgumentError(f"codec {codec!r} is none of {', '.join(CODECS)}")
    for file in (target, partial_file(target)):
        check_target(file, inputs=[source])
    before = fact_of(source)
    with about(source):
        facts = read_facts(source, max_pixels=max_pixels)
        if facts.interlaced and not deinterlace:
            raise ImageError(DEINTERLACE)
        rows, columns = size.target(facts.height, facts.width, upscaler.info.scale)
        encoding = encoding_for(
            facts, codec or _default_codec(facts, target), crf, height=rows, width=columns
        )
    check_container(source, target, facts, encoding)
    task = _Task(upscaler, source, target, facts, encoding, size, deinterlace, before)
    with opened_segments(target, task.made_from()) as segments:
        task.make_segments(segments, progress)
        with atomic_path(target) as file, unchanged(source, before, [segments.folder]):
            assemble(source, target, file, facts, encoding, segments.parts())
        frames = segments.frames
        segments.remove()
    partial_file(target).unlink(missing_ok=True)
    return UpscaledVideo(frames, encoding.height, encoding.width, encoding.codec)


def partial_file(target: Path) -> Path:
    """Where Ctrl-C leaves what can be played so far: clip_x4.partial.mp4 for clip_x4.mp4."""
    return target.with_name(f"{target.stem}.partial{target.suffix}")


def _default_codec(facts: VideoFacts, target: Path) -> Codec:
    if target.suffix.lower() == ".webm":
        return "av1"
    return "h264" if facts.depth == 8 else "hevc"


@dataclass(frozen=True)
class _Task:
    """One call of `upscale_video`, checked."""

    upscaler: Upscaler
    source: Path
    target: Path
    facts: VideoFacts
    encoding: Encoding
    size: OutputSize
    deinterlace: bool
    input: str
    """`fact_of` the source before the work."""

    def made_from(self) -> dict[str, str]:
        """What the segments depend on.

        `deinterlace` is none of it: frames that are whole stay as they are, and others end a run
        without it.
        """
        import av

        facts, encoding = self.facts, self.encoding
        rows, columns = self.size.target(facts.height, facts.width, self.upscaler.info.scale)
        libraries = (
            f"{name} {'.'.join(map(str, version))}" for name, version in av.library_versions.items()
        )
        return {
            "input": self.input,
            **made_with(self.upscaler),
            "size": f"{columns}×{rows}",
            "codec": f"{encoding.codec} in {encoding.pixels}",
            "crf": str(encoding.crf),
            "version": sr_runtime.__version__,
            "FFmpeg": ", ".join(libraries),
        }

    def make_segments(
        self, segments: Segments, progress: Callable[[int, int | None], None] | None
    ) -> None:
        """Make the segments that are missing; after Ctrl-C, the file that plays until there."""

        def on_frame(done: int) -> None:
            if progress is not None:
                total = self.facts.frames
                progress(done, None if total is None else max(done, total))

        pipeline = Pipeline(self.upscaler, self.facts, self.encoding, self.size, segments, on_frame)
        try:
            pipeline.run(self._missing_frames(segments))
        except KeyboardInterrupt:
            parts = segments.parts()
            if pipeline.unfinished is not None:
                parts.append((pipeline.unfinished.path, pipeline.unfinished.timing))
            if parts:
                self._join_what_plays(parts)
            raise
        if not segments.finished:
            raise ImageError(
                "no frame of this video can be decoded: it is damaged", path=self.source
            )

    def _join_what_plays(self, parts: Sequence[tuple[Path, Timing]]) -> None:
        until = parts[-1][1].end * self.facts.time_base - self.facts.start
        with atomic_path(partial_file(self.target)) as file:
            assemble(self.source, self.target, file, self.facts, self.encoding, parts, until=until)

    def _missing_frames(self, segments: Segments) -> Generator[TimedFrame]:
        """The frames after the last finished segment."""
        if segments.finished and not self.deinterlace:  # which looks at the frames before
            last = segments.finished[-1]
            rgb_from_frame = RgbFromFrame(self.facts)
            frames = decoded(self.source, self.facts, start=last.last_pts)
            for timed in frames:
                if timed.pts < last.last_pts:
                    continue
                digest = source_digest(rgb_from_frame(timed.frame))
                if timed.pts == last.last_pts and digest == last.source_sha256:
                    yield from frames
                    return
                break  # a wrong index, or no timestamps: count from the start
        frames = decoded(self.source, self.facts, deinterlace=self.deinterlace)
        yield from islice(frames, segments.frames, None)

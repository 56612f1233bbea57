"""The finished segments and the source's other streams, joined to one file without encoding."""

import heapq
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr_runtime.errors import ArgumentError, SRError
from sr_runtime.video.decode import readable_packets
from sr_runtime.video.encode import Encoding, Timing, add_encoder, writing
from sr_runtime.video.facts import VideoFacts, opened, picture_stream
from sr_runtime.video.formats import container_of

if TYPE_CHECKING:
    from av import Packet
    from av.container import InputContainer, OutputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream

__all__ = ["assemble", "check_container"]

GENERATE_PTS, BITEXACT = 0x1, 0x400
"""FFmpeg's flags of a container: fill in timestamps that are missing; write no version and date."""

# Facts of the source's container and streams, which are not true of the result.
OWN_METADATA = {
    "major_brand", "minor_version", "compatible_brands", "encoder",
    "bps", "duration", "number_of_bytes", "number_of_frames",
}  # fmt: skip

# Apple's players take HEVC by this name only, with the parameters in the header, where they are.
TAGS = {"hevc": "hvc1"}


def check_container(source: Path, target: Path, facts: VideoFacts, encoding: Encoding) -> None:
    """Open the encoder and write a header, in memory, with all streams of the result.

    Raises ArgumentError, before the work, if the container cannot hold one of them or the encoder
    does not take the size.
    """
    import io

    with opened(source) as inputs, _output(io.BytesIO(), target, inputs, facts) as output:
        with _refusing(target, f"{encoding.codec} of {encoding.width}×{encoding.height}"):
            add_encoder(output, facts, encoding)
        for stream in _kept(inputs):
            _add_copy(output, stream, target)
        with _refusing(target, f"{encoding.codec} of {encoding.width}×{encoding.height}"):
            output.start_encoding()


def assemble(
    source: Path,
    target: Path,
    file: Path,
    facts: VideoFacts,
    encoding: Encoding,
    segments: Sequence[tuple[Path, Timing]],
    *,
    until: Fraction | None = None,
) -> None:
    """Write `file`, in the container of `target`: the segments, and what else the source has.

    Args:
        until: Leave out what the other streams have after so many seconds of the source.
    """
    with (
        opened(source) as inputs,
        opened(segments[0][0]) as first,
        writing(file),
        _output(f"file:{file}", target, inputs, facts) as output,
    ):
        inputs.flags |= GENERATE_PTS
        picture = picture_stream(first)
        video = _add_copy(output, picture, target, time_base=facts.time_base)
        if encoding.codec in TAGS and container_of(target) in ("mp4", "mov"):
            video.codec_context.codec_tag = TAGS[encoding.codec]
        video.set_display_matrix(facts.display_matrix)
        video.metadata.update(_metadata(picture_stream(inputs)))
        copies = {stream.index: _add_copy(output, stream, target) for stream in _kept(inputs)}
        container = container_of(target)
        packets = heapq.merge(
            _video_packets(segments, video, facts, container),
            _other_packets(source, inputs, copies, facts, container, until),
            key=_seconds,
        )
        for packet in packets:
            output.mux(packet)


@contextmanager
def _output(
    file: Any, target: Path, inputs: "InputContainer", facts: VideoFacts
) -> "Iterator[OutputContainer]":
    """The result's container, with the metadata and chapters of the source."""
    import av

    container, options = container_of(target), {}
    if container in ("mp4", "mov"):  # it would count the start of a stream in milliseconds
        ticks = facts.time_base.denominator
        options["movie_timescale"] = str(ticks * -(-1000 // ticks))
    with av.open(file, "w", format=container, container_options=options) as output:
        output.flags |= BITEXACT
        output.metadata.update(_metadata(inputs))
        output.set_chapters([_shifted(chapter, facts) for chapter in inputs.chapters()])
        yield output


def _metadata(of: "InputContainer | Stream") -> dict[str, str]:
    return {
        key: text
        for key, text in of.metadata.items()
        if key.lower().partition("-")[0] not in OWN_METADATA  # BPS-eng
    }


def _shifted(chapter: Any, facts: VideoFacts) -> Any:
    ticks = round(facts.start / chapter["time_base"])
    return chapter | {edge: max(0, chapter[edge] - ticks) for edge in ("start", "end")}


def _kept(inputs: "InputContainer") -> "list[Stream]":
    """The streams that are copied: sound, subtitles, covers, fonts; not timecodes and sensors."""
    from av.stream import Disposition

    return [
        stream
        for stream in inputs.streams
        if stream.type in ("audio", "subtitle", "attachment")
        or stream.disposition & Disposition.attached_pic
    ]


def _add_copy(
    output: "OutputContainer", stream: "Stream", target: Path, **options: Any
) -> "VideoStream":
    context: Any = stream.codec_context  # None for attachments
    name = "attachment" if context is None else context.name
    with _refusing(target, f"this video's {stream.type} ({name})"):
        copy: Any = output.add_stream_from_template(stream, opaque=True, **options)
    copy.metadata.update(_metadata(stream))
    copy.disposition = stream.disposition
    return copy  # type: ignore[no-any-return]


@contextmanager
def _refusing(target: Path, what: str) -> Iterator[None]:
    """Raise ArgumentError where FFmpeg does not take a stream into this container."""
    import av

    try:
        yield
    except SRError:
        raise
    except (av.error.FFmpegError, ValueError) as error:
        other = ".mp4" if container_of(target) == "matroska" else ".mkv"
        raise ArgumentError(
            f"{target.suffix} cannot hold {what}: name the result {other}, or choose another codec",
            path=target,
        ) from error


def _video_packets(
    segments: Sequence[tuple[Path, Timing]],
    stream: "VideoStream",
    facts: VideoFacts,
    container: str,
) -> "Iterator[Packet[Any]]":
    """The packets of all segments, with the exact times.

    Encoders hand out packets `delay` places before they are shown, so the decoding time of a packet
    is the showing time of the one that many places before it.
    """
    shift = round(facts.start / facts.time_base)
    delay = max(_delay(timing.pts) for _, timing in segments)
    first = sorted(segments[0][1].pts)
    step = first[1] - first[0] if len(first) > 1 else 1
    # MP4 counts how long a stream is from its first decoding time to the end of its last packet.
    counts_decoding = container in ("mp4", "mov")
    last = segments[-1][0], segments[-1][1].pts[-1]
    before = [first[0] - step * places for places in range(delay, 0, -1)]
    for path, timing in segments:
        ordered = sorted(timing.pts)
        decoding = [*before, *ordered]
        ends = dict(zip(ordered, [*ordered[1:], timing.end], strict=True))
        with opened(path) as part:
            packets = (packet for packet in part.demux(picture_stream(part)) if packet.size)
            for packet, pts, dts in zip(packets, timing.pts, decoding, strict=False):
                packet.stream, packet.time_base = stream, facts.time_base
                packet.pts, packet.dts = pts - shift, dts - shift
                packet.duration = ends[pts] - pts
                if counts_decoding and (path, pts) == last:
                    packet.duration = max(1, timing.end - dts - step * delay)
                yield packet
        before = decoding[len(ordered) :]


def _delay(pts: Sequence[int]) -> int:
    """How many places a packet comes before it is shown, at most."""
    places = {value: place for place, value in enumerate(sorted(pts))}
    return max(place - places[value] for place, value in enumerate(pts))


def _other_packets(
    source: Path,
    inputs: "InputContainer",
    copies: "dict[int, VideoStream]",
    facts: VideoFacts,
    container: str,
    until: Fraction | None,
) -> "Iterator[Packet[Any]]":
    """The packets of the source's other streams, with times that the container takes."""
    # None takes times that fall. Those of TrueHD are equal where Matroska rounds them.
    apart = 1 if container in ("mp4", "mov") else 0
    streams = [stream for stream in inputs.streams if stream.index in copies]
    last: dict[int, int] = {}
    for packet in readable_packets(inputs, streams, source) if streams else ():
        if packet.dts is None and not packet.size:  # which ends a stream
            continue
        stream = copies[packet.stream_index]
        shift = round(facts.start / packet.time_base)
        if packet.dts is None:  # a cover has no time
            packet.dts = shift if packet.pts is None else packet.pts
        packet.dts -= shift
        packet.pts = packet.dts if packet.pts is None else packet.pts - shift
        before = last.get(stream.index)
        if before is not None and packet.dts < before + apart:
            assert stream.time_base is not None
            packet.dts = before + math.ceil(stream.time_base / packet.time_base)
            packet.pts = max(packet.pts, packet.dts)
        last[stream.index] = packet.dts
        packet.stream = stream
        if until is None or _seconds(packet) < until:
            yield packet


def _seconds(packet: "Packet[Any]") -> Fraction:
    assert packet.dts is not None
    return packet.dts * packet.time_base

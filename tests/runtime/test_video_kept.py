"""What a video has beside its pixels is in the result: times, rotation, sound, chapters, names."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sr_runtime.video.color import FrameFromRgb, RgbFromFrame
from sr_runtime.video.facts import read_facts
from sr_runtime.video.formats import CODECS
from sr_runtime.video.upscale import upscale_video
from tests.runtime.known_network import KnownNetwork
from tests.runtime.video_files import (
    Clip,
    av,
    frames_of,
    known_upscaler,
    packets_of,
    pattern,
    planes_of,
    times_of,
)

IRREGULAR = [0, 512, 900, 1500, 2600, 2700, 2800, 5000, 5100, 6000, 7000, 9000]
CHAPTERS = [
    {"id": number, "start": start, "end": start + 200, "time_base": Fraction(1, 1000),
     "metadata": {"title": title}}
    for number, (start, title) in enumerate([(0, "Über den Berg"), (200, "Home")])
]  # fmt: skip


def streams_of(path: Path) -> list[tuple[str, str]]:
    with av.open(str(path)) as file:
        return [(each.type, each.codec_context.name if each.codec_context else "")
                for each in file.streams if each.type != "data"]  # fmt: skip


def test_every_frame_is_the_networks_answer(tmp_path: Path) -> None:
    source = Clip().write(tmp_path / "a.mkv")
    target, network = tmp_path / "b.mkv", KnownNetwork(radius=1)
    done = upscale_video(known_upscaler(), source, target, codec="ffv1")
    assert (done.frames, done.height, done.width) == (12, 48, 64)
    facts = read_facts(source)
    rgb_from_frame, frame_from_rgb = RgbFromFrame(facts), FrameFromRgb(facts, "yuv444p")
    for before, after in zip(frames_of(source), frames_of(target), strict=True):
        expected = frame_from_rgb(network.whole(rgb_from_frame(before)))
        for one, other in zip(planes_of(expected), planes_of(after), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("codec", CODECS)
def test_no_encoder_prints(codec: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = Clip(pixels="yuv420p", frames=[pattern(n) for n in range(3)])
    upscale_video(
        known_upscaler(), source.write(tmp_path / "a.mkv"), tmp_path / "b.mkv", codec=codec
    )
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("images", [1, 3])
def test_irregular_times_are_kept(suffix: str, images: int, tmp_path: Path) -> None:
    source = Clip(codec="libx264", pixels="yuv420p", pts=IRREGULAR).write(tmp_path / "a.mp4")
    target = tmp_path / f"b{suffix}"
    upscale_video(known_upscaler(images=images), source, target)
    expected = times_of(source)
    assert expected == [Fraction(ticks, 12_800) for ticks in IRREGULAR]
    if suffix == ".mkv":  # which counts in milliseconds
        assert [round(time * 1000) for time in expected] == [t * 1000 for t in times_of(target)]
    else:
        assert times_of(target) == expected
    shapes = {(frame.width, frame.height) for frame in frames_of(target)}
    assert shapes == {(64, 48)}


def test_rotation_pixel_aspect_and_names_are_kept(tmp_path: Path) -> None:
    source = Clip(
        codec="libx264", pixels="yuv420p", rotation=90, metadata={"title": "Ferien", "artist": "Ä"},
        context={"sample_aspect_ratio": Fraction(16, 11)},
    ).write(tmp_path / "a.mp4")  # fmt: skip
    target = tmp_path / "b.mp4"
    upscale_video(known_upscaler(), source, target)
    assert [frame.rotation for frame in frames_of(target)] == [90] * 12
    with av.open(str(target)) as file:
        assert file.streams.video[0].sample_aspect_ratio == Fraction(16, 11)
        assert file.metadata["title"] == "Ferien"
        assert file.metadata["artist"] == "Ä"


@pytest.mark.parametrize(
    ("suffix", "sound", "texts"),
    [(".mp4", "aac", "mov_text"), (".mkv", "libopus", "subrip"), (".webm", "libopus", "webvtt")],
)
def test_sound_subtitles_and_chapters_are_copied(
    suffix: str, sound: str, texts: str, tmp_path: Path
) -> None:
    codec = "libx264" if suffix != ".webm" else "libvpx-vp9"
    clip = Clip(codec=codec, pixels="yuv420p", sound=sound, subtitles=texts, chapters=CHAPTERS)
    source = clip.write(tmp_path / f"a{suffix}")
    target = tmp_path / f"b{suffix}"
    upscale_video(known_upscaler(), source, target)
    assert [kind for kind, _ in streams_of(target)] == ["video", "audio", "subtitle"]
    for kind in ("audio", "subtitle"):
        before, after = packets_of(source, kind), packets_of(target, kind)
        assert len(before) > 0
        assert after == before
    with av.open(str(source)) as one, av.open(str(target)) as other:
        assert other.streams.audio[0].metadata["language"] == "deu"
        told: list[Any] = [
            [(each["start"] * each["time_base"], each["metadata"]) for each in file.chapters()]
            for file in (one, other)
        ]
    assert told[0] == told[1] != []


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_covers_are_copied(suffix: str, tmp_path: Path) -> None:
    from av.stream import Disposition

    clip = Clip(codec="libx264", pixels="yuv420p").write(tmp_path / "clip.mp4")
    source, target = tmp_path / "a.mp4", tmp_path / f"b{suffix}"
    cover = av.VideoFrame.from_ndarray(pattern(3)).reformat(format="yuvj420p")
    with av.open(str(clip)) as one, av.open(str(source), "w") as file:
        video = file.add_stream_from_template(one.streams.video[0])
        picture: Any = file.add_stream("mjpeg", height=24, width=32, pix_fmt="yuvj420p")
        picture.disposition = Disposition.attached_pic
        file.mux(picture.encode(cover) + picture.encode())
        for packet in one.demux():
            if packet.dts is not None:
                packet.stream = video
                file.mux(packet)
    upscale_video(known_upscaler(), source, target)
    pictures = []
    for path in (source, target):
        with av.open(str(path)) as file:
            pictures.append(bytes(next(file.demux(file.streams.video[1]))))
    assert pictures[0] == pictures[1] != b""


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_sound_of_two_packets_at_one_time_is_kept(suffix: str, tmp_path: Path) -> None:
    clip = Clip(codec="libx264", pixels="yuv420p", sound="aac").write(tmp_path / "clip.mp4")
    source, target = tmp_path / "a.mkv", tmp_path / f"b{suffix}"
    with av.open(str(clip)) as one, av.open(str(source), "w") as file:
        streams = [file.add_stream_from_template(stream) for stream in one.streams]
        times: list[int] = []
        for packet in one.demux():
            if packet.dts is None:
                continue
            if packet.stream.type == "audio":
                if len(times) == 3:
                    packet.pts = packet.dts = times[-1]
                times.append(packet.dts)
            packet.stream = streams[packet.stream_index]
            file.mux(packet)
    upscale_video(known_upscaler(), source, target)
    counts = []
    for path in (source, target):
        with av.open(str(path)) as file:
            counts.append(sum(packet.size > 0 for packet in file.demux(file.streams.audio[0])))
    assert counts[0] == counts[1] == len(times)


def test_sound_longer_than_the_picture_is_kept_and_no_damage(tmp_path: Path) -> None:
    clip = Clip(codec="libx264", pixels="yuv420p", sound="aac", silence=2,
                facts={"BPS-eng": "900"})  # fmt: skip
    source, target = clip.write(tmp_path / "a.mkv"), tmp_path / "b.mkv"
    seen: list[int | None] = []
    upscale_video(
        known_upscaler(), source, target, progress=lambda _done, total: seen.append(total)
    )
    assert set(seen) == {12}
    assert packets_of(target, "audio") == packets_of(source, "audio")
    assert packets_of(target, "audio")[-1][0] > 2
    with av.open(str(target)) as file:
        assert "BPS-eng" not in file.streams.video[0].metadata


def test_a_stream_that_starts_late_starts_at_zero_with_its_sound(tmp_path: Path) -> None:
    source = Clip(codec="libx264", pixels="yuv420p", sound="aac").write(tmp_path / "a.ts")
    with av.open(str(source)) as file:
        start = Fraction(file.start_time, 1_000_000)
    assert start > 0
    target = tmp_path / "b.mp4"
    upscale_video(known_upscaler(), source, target)
    ticks = [round((time - start) * 90_000) for time in times_of(source)]
    assert [round(time * 90_000) for time in times_of(target)] == ticks
    sound = [round((time - start) * 90_000) for time, _ in packets_of(source, "audio")]
    shown = [round(time * 90_000) for time, _ in packets_of(target, "audio")]
    assert np.abs(np.subtract(sound, shown)).max() <= 2  # ticks of 1/48000


@pytest.mark.parametrize("codec", ["h264", "hevc", "ffv1"])
def test_an_mp4_is_as_long_as_its_source(codec: Any, tmp_path: Path) -> None:
    source = Clip(codec="libx264", pixels="yuv420p").write(tmp_path / "a.mp4")
    upscale_video(known_upscaler(), source, tmp_path / "b.mp4", codec=codec)
    with av.open(str(tmp_path / "b.mp4")) as file:
        video = file.streams.video[0]
        assert video.duration * video.time_base == Fraction(12, 25)


def test_chapters_before_the_first_frame_start_at_zero(tmp_path: Path) -> None:
    late = [12_800 + 512 * n for n in range(12)]
    clip = Clip(codec="libx264", pixels="yuv420p", pts=late, chapters=CHAPTERS)
    source, target = clip.write(tmp_path / "a.mkv"), tmp_path / "b.mkv"
    upscale_video(known_upscaler(), source, target)
    with av.open(str(target)) as file:
        assert [each["start"] for each in file.chapters()] == [0, 0]
    assert times_of(target)[0] == 0


@pytest.mark.parametrize(
    ("height", "width", "scale", "shape"),
    [(24, 32, 1.5, (36, 48)), (23, 31, 2, (46, 62)), (23, 31, 1, (22, 30))],
)
def test_odd_sides_become_even_where_colour_is_subsampled(
    height: int, width: int, scale: float, shape: tuple[int, int], tmp_path: Path
) -> None:
    clip = Clip(frames=[pattern(n, height, width) for n in range(2)], pixels="yuv420p")
    source, target = clip.write(tmp_path / "a.mkv"), tmp_path / "b.mkv"
    upscale_video(known_upscaler(scale=2), source, target, scale=scale, codec="ffv1")
    assert {(frame.height, frame.width) for frame in frames_of(target)} == {shape}


@pytest.mark.parametrize("pixels", ["yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le"])
@pytest.mark.parametrize("codec", ["h264", "hevc", "ffv1"])
def test_subsampling_and_depth_are_kept(codec: Any, pixels: str, tmp_path: Path) -> None:
    frames = [pattern(n) if "10" not in pixels else pattern(n).astype(np.uint16) * 257
              for n in range(2)]  # fmt: skip
    source = Clip(frames=frames, pixels=pixels).write(tmp_path / "a.mkv")
    target = tmp_path / "b.mkv"
    upscale_video(known_upscaler(), source, target, codec=codec)
    assert {frame.format.name for frame in frames_of(target)} == {pixels}

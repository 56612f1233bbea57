"""Videos that would not become right are refused in one sentence, before the work; or mended."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sr_runtime import ArgumentError, ImageError, SRError
from sr_runtime.storage.part_folder import part_folder
from sr_runtime.video.upscale import upscale_video
from tests.runtime.video_files import (
    Clip,
    av,
    frame_of_planes,
    frames_of,
    known_upscaler,
    nearest_upscaler,
    packets_of,
    pattern,
    planes_of,
    times_of,
)


def refusal(source: Path, target: str = "b.mkv", **options: Any) -> str:
    """The sentence; nothing is left beside the source."""
    before = sorted(source.parent.iterdir())
    with pytest.raises(SRError) as caught:
        upscale_video(known_upscaler(), source, source.with_name(target), **options)
    assert isinstance(caught.value, ImageError | ArgumentError)
    assert sorted(source.parent.iterdir()) == before
    return str(caught.value)


def striped(number: int) -> np.ndarray[Any, Any]:
    """A frame whose odd lines are of another moment, as a camera of 1990 takes it."""
    frame = pattern(number)
    frame[1::2] = 255 - frame[1::2]
    return frame


SPOKEN = Clip(codec="libx264", pixels="yuv420p", subtitles="mov_text")
INTERLACED = Clip(
    codec="libx264", pixels="yuv420p", frames=[striped(n) for n in range(10)],
    options={"x264-params": "tff=1"},
)  # fmt: skip


def test_interlaced_frames_are_refused_or_made_whole(tmp_path: Path) -> None:
    source = INTERLACED.write(tmp_path / "a.mkv")
    assert frames_of(source)[0].interlaced_frame
    assert "--deinterlace" in refusal(source)
    target = tmp_path / "b.mkv"
    upscale_video(nearest_upscaler(), source, target, codec="ffv1", deinterlace=True)
    assert times_of(target) == times_of(source)
    luma = planes_of(frames_of(target)[5])[0].astype(int)
    combed = planes_of(frames_of(source)[5])[0].astype(int)
    steps = [np.abs(np.diff(each, axis=0)).mean() for each in (luma[::2], combed)]
    assert steps[0] < steps[1] / 3
    assert not frames_of(target)[0].interlaced_frame


def test_a_whole_video_is_the_same_with_deinterlace(tmp_path: Path) -> None:
    source = Clip().write(tmp_path / "a.mkv")
    for name, deinterlace in (("b.mkv", False), ("c.mkv", True)):
        upscale_video(
            known_upscaler(), source, tmp_path / name, codec="ffv1", deinterlace=deinterlace
        )
    assert (tmp_path / "b.mkv").read_bytes() == (tmp_path / "c.mkv").read_bytes()


def test_transparency_and_other_colour_systems_are_refused(tmp_path: Path) -> None:
    flat = [np.full((24, 32), 90, np.uint8)] * 4
    clear = Clip(frames=[frame_of_planes(flat, "yuva444p")], pixels="yuva444p")
    assert "transparency" in refusal(clear.write(tmp_path / "clear.mkv"))
    frame = frame_of_planes(flat[:3], "yuv444p")
    ycgco = Clip(frames=[frame], codec="libx264", pixels="yuv444p", context={"colorspace": 8})
    assert "matrix 8" in refusal(ycgco.write(tmp_path / "ycgco.mkv"))


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "a.mp4"
    text.write_text("no video")
    assert "cannot be read as a video" in refusal(text)
    text.write_bytes(b"")
    assert "cannot be read as a video" in refusal(text)
    sound = tmp_path / "sound.mp4"
    with av.open(str(sound), "w") as file:
        file.add_stream("aac", rate=48_000)
        file.start_encoding()
    assert "cannot be read" in refusal(sound) or "no video" in refusal(sound)


def test_a_list_of_files_is_not_followed(tmp_path: Path) -> None:
    secret = Clip().write(tmp_path / "secret.mkv")
    playlist = tmp_path / "a.mp4"
    for text in (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile {secret.name}\n",
    ):
        playlist.write_text(text)
        assert "cannot be read as a video" in refusal(playlist)


def test_a_file_that_is_cut_off_gives_what_there_is_and_a_warning(tmp_path: Path) -> None:
    frames = [pattern(n, 48, 64) for n in range(100)]
    source = Clip(codec="libx264", pixels="yuv420p", frames=frames, sound="aac",
                  context={"gop_size": 10}).write(tmp_path / "a.mkv")  # fmt: skip
    whole = times_of(source)
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 3])
    target = tmp_path / "b.mkv"
    with pytest.warns(RuntimeWarning, match=r"its header says 4\.\d s: it is cut off"):
        done = upscale_video(nearest_upscaler(), source, target)
    assert 10 < done.frames < 90
    assert times_of(target) == whole[: done.frames]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_sound_that_goes_back_in_time_does_not_end_the_run(suffix: str, tmp_path: Path) -> None:
    clip = Clip(codec="libx264", pixels="yuv420p", sound="aac").write(tmp_path / "one.ts")
    source, target = tmp_path / "a.ts", tmp_path / f"b{suffix}"
    source.write_bytes(clip.read_bytes() * 2)
    done = upscale_video(nearest_upscaler(), source, target)
    assert done.frames == 24
    times = [time for time, _ in packets_of(target, "audio")]
    assert times == sorted(times)
    assert len(times) == len(packets_of(source, "audio"))


def test_an_mp4_without_its_index_is_refused(tmp_path: Path) -> None:
    source = Clip(codec="libx264", pixels="yuv420p").write(tmp_path / "a.mp4")
    content = source.read_bytes()
    source.write_bytes(content[: content.index(b"moov") - 4])
    assert "cannot be read as a video" in refusal(source)


def test_a_change_of_size_ends_with_the_place(tmp_path: Path) -> None:
    parts = []
    for name, height in (("one.ts", 24), ("two.ts", 48)):
        frames = [pattern(n, height, 32) for n in range(5)]
        clip = Clip(codec="libx264", pixels="yuv420p", frames=frames)
        parts.append(clip.write(tmp_path / name).read_bytes())
    source, target = tmp_path / "a.ts", tmp_path / "b.mkv"
    source.write_bytes(b"".join(parts))
    with pytest.raises(ImageError, match=r"change from 32×24 to 32×48 after 0\.\d+ s"):
        upscale_video(known_upscaler(), source, target)
    assert not target.exists()


@pytest.mark.parametrize(
    ("clip", "target", "options", "facts"),
    [
        (Clip(sound="aac"), "b.webm", {"codec": "av1"}, ["444", "av1"]),
        (Clip(pixels="yuv420p", sound="aac"), "b.webm", {}, [".webm", "audio (aac)", ".mkv"]),
        (Clip(subtitles="subrip"), "b.mp4", {}, [".mp4", "subtitle (srt)", ".mkv"]),
        (SPOKEN, "b.mkv", {}, [".mkv", "subtitle (mov_text)", "name the result .mp4"]),
        (Clip(pixels="yuv444p12le"), "b.mkv", {"codec": "h264"}, ["12 bits", "hevc or ffv1"]),
        (Clip(), "b.avi", {}, [".mkv", ".mp4"]),
        (Clip(), "b.mp4", {"codec": "vp9"}, ["vp9", "ffv1"]),
        (Clip(), "b.mp4", {"crf": 60}, ["60", "51"]),
        (Clip(), "b.mkv", {"crf": 3, "codec": "ffv1"}, ["crf 3", "ffv1"]),
        (Clip(), "b.mkv", {"max_pixels": 700}, ["32×24", "700"]),
        (Clip(), "a.mkv", {}, ["input"]),
        (Clip(), "b.mp4", {"scale": 64, "codec": "ffv1", "width": 3}, ["scale and width"]),
    ],
)  # fmt: skip
def test_what_cannot_become_right_is_known_before_the_work(
    clip: Clip, target: str, options: dict[str, Any], facts: list[str], tmp_path: Path
) -> None:
    if "12" in clip.pixels:
        clip.frames = [pattern(0).astype(np.uint16) * 257]
    name = "a.mp4" if clip is SPOKEN else "a.mkv"
    said = refusal(clip.write(tmp_path / name), target, **options)
    assert all(fact in said for fact in facts), said
    assert not part_folder(tmp_path / target).exists()


def test_what_ctrl_c_left_is_not_removed_as_such_while_it_is_the_source(tmp_path: Path) -> None:
    source = Clip().write(tmp_path / "b.partial.mkv")
    assert "is an input" in refusal(source)


def test_without_pyav_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Clip().write(tmp_path / "a.mkv")
    monkeypatch.setitem(sys.modules, "av", None)
    assert 'pip install "sr-toolkit[video]"' in refusal(source)

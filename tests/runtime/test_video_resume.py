"""A video whose process ends early: what stays, what plays, and how the next run goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from sr_runtime import ArgumentError, ImageError, StorageError
from sr_runtime.storage.lock import open_lock, try_lock
from sr_runtime.storage.part_folder import part_folder
from sr_runtime.upscaler import Upscaler
from sr_runtime.video import partial_file, pipeline
from sr_runtime.video.upscale import upscale_video
from tests.runtime.known_network import KnownNetwork
from tests.runtime.video_files import Clip, known_upscaler, pattern, times_of

FRAMES = 20
SEGMENT = 6


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "SEGMENT_FRAMES", (SEGMENT, SEGMENT))


@pytest.fixture(params=["libx264", "mpeg2video"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A clip whose frames depend on each other, in which a reader has to seek."""
    ticks = [512 * n + (37 * n * n) % 400 for n in range(FRAMES)]
    clip = Clip(
        codec=request.param, pixels="yuv420p", frames=[pattern(n) for n in range(FRAMES)],
        pts=ticks if request.param == "libx264" else None, sound="aac",
        context={"gop_size": 8, "max_b_frames": 2},
        time_base=Fraction(1, 12_800 if request.param == "libx264" else 25),
    )  # fmt: skip
    return clip.write(tmp_path / "a.mp4")


class StoppedError(Exception):
    """A caller's own."""


def stop_after(frames: int, error: BaseException) -> Callable[[int, int | None], None]:
    def progress(done: int, _total: int | None) -> None:
        if done == frames:
            raise error

    return progress


def whole(source: Path, **options: Any) -> bytes:
    """The result of a run that nothing stops."""
    target = source.with_name("whole.mp4")
    upscale_video(known_upscaler(), source, target, **options)
    return target.read_bytes()


def test_a_source_that_changes_meanwhile_gives_no_result(source: Path) -> None:
    target, other = source.with_name("b.mp4"), source.with_name("other.mp4")
    Clip(frames=[pattern(n) for n in range(FRAMES)]).write(other)

    def change(done: int, _total: int | None) -> None:
        if done == SEGMENT:
            other.replace(source)

    with pytest.raises(ImageError, match=r"a\.mp4: the file changed while it was upscaled"):
        upscale_video(known_upscaler(), source, target, progress=change)
    assert not target.exists()


@pytest.mark.parametrize("codec", ["h264", "hevc", "ffv1"])
def test_a_stopped_run_goes_on_to_the_same_bytes(source: Path, codec: Any) -> None:
    expected = whole(source, codec=codec)
    target, network = source.with_name("b.mp4"), KnownNetwork(radius=1)
    upscaler = Upscaler(network)
    for frames in (8, 15):
        with pytest.raises(StoppedError):
            upscale_video(
                upscaler, source, target, codec=codec, progress=stop_after(frames, StoppedError())
            )
        assert not target.exists()
    assert sorted(path.name for path in part_folder(target).glob("*.mkv"))[:2] == [
        "000000.mkv",
        "000001.mkv",
    ]
    done: list[int] = []
    upscale_video(upscaler, source, target, codec=codec, progress=lambda n, _total: done.append(n))
    assert done == list(range(2 * SEGMENT + 1, FRAMES + 1))
    assert target.read_bytes() == expected
    assert sorted(each.name for each in source.parent.iterdir()) == ["a.mp4", "b.mp4", "whole.mp4"]


def test_without_a_usable_index_the_frames_are_counted_from_the_start(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, target = whole(source), source.with_name("b.mp4")
    with pytest.raises(StoppedError):
        upscale_video(known_upscaler(), source, target, progress=stop_after(8, StoppedError()))
    journal = part_folder(target) / "journal.jsonl"
    head, line, *rest = journal.read_text().splitlines()
    changed = json.loads(line) | {"source_sha256": "of another frame"}
    journal.write_text("\n".join([head, json.dumps(changed), *rest, ""]))
    done: list[int] = []
    upscale_video(known_upscaler(), source, target, progress=lambda n, _total: done.append(n))
    assert done[0] == SEGMENT + 1
    assert target.read_bytes() == expected


@pytest.mark.parametrize("damage", ["cut", "changed", "gone", "torn journal", "no head"])
def test_what_is_not_as_the_journal_says_is_made_again(source: Path, damage: str) -> None:
    expected, target = whole(source), source.with_name("b.mp4")
    with pytest.raises(StoppedError):
        upscale_video(known_upscaler(), source, target, progress=stop_after(19, StoppedError()))
    folder = part_folder(target)
    second, journal = folder / "000001.mkv", folder / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    match damage:
        case "cut":
            second.write_bytes(second.read_bytes()[:-100])
        case "changed":
            content = bytearray(second.read_bytes())
            content[-50] ^= 1
            second.write_bytes(content)
        case "gone":
            second.unlink()
        case "torn journal":
            journal.write_bytes(b"".join(lines[:2]) + lines[2][:40])
        case "no head":
            journal.write_bytes(lines[0][:40])
    done: list[int] = []
    upscale_video(known_upscaler(), source, target, progress=lambda n, _total: done.append(n))
    assert done[0] == (1 if damage == "no head" else SEGMENT + 1)
    assert target.read_bytes() == expected


@pytest.mark.parametrize(
    ("options", "fact"),
    [({"crf": 30}, "crf 17 and not 30"), ({"scale": 1}, "size 64×48 and not 32×24"), ({}, "input")],
)
def test_segments_of_other_settings_are_refused_and_stay(
    source: Path, options: dict[str, Any], fact: str
) -> None:
    target = source.with_name("b.mp4")
    with pytest.raises(StoppedError):
        upscale_video(known_upscaler(), source, target, progress=stop_after(15, StoppedError()))
    kept = sorted(part_folder(target).iterdir())
    if not options:
        os.utime(source, (1, 1))
    with pytest.raises(ArgumentError, match=f"{fact}.*delete the folder"):
        upscale_video(known_upscaler(), source, target, **options)
    assert [path for path in kept if path.suffix == ".mkv"] == [
        path for path in sorted(part_folder(target).iterdir()) if path.suffix == ".mkv"
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no file's size")
def test_a_full_disk_loses_no_finished_segment(source: Path) -> None:
    import resource

    expected, target = whole(source), source.with_name("b.mp4")
    with pytest.raises(StoppedError):
        upscale_video(known_upscaler(), source, target, progress=stop_after(15, StoppedError()))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(StorageError, match="cannot be written"):
            upscale_video(known_upscaler(), source, target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    done: list[int] = []
    upscale_video(known_upscaler(), source, target, progress=lambda n, _total: done.append(n))
    assert done[0] > SEGMENT
    assert target.read_bytes() == expected


def test_what_others_keep_in_the_folder_does_no_harm(source: Path) -> None:
    target = source.with_name("b.mp4")
    with pytest.raises(StoppedError):
        upscale_video(known_upscaler(), source, target, progress=stop_after(15, StoppedError()))
    (part_folder(target) / "@eaDir").mkdir()  # thumbnails of a network drive
    done: list[int] = []
    upscale_video(known_upscaler(), source, target, progress=lambda n, _total: done.append(n))
    assert done[0] > SEGMENT


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [(".avi", "mpeg4"), (".ts", "libx264"), (".mpg", "mpeg2video"), (".flv", "libx264"),
     (".wmv", "wmv2"), (".webm", "libvpx-vp9")],
)  # fmt: skip
def test_every_container_can_be_gone_on_with(suffix: str, codec: str, tmp_path: Path) -> None:
    frames = [pattern(n) for n in range(FRAMES)]
    clip = Clip(codec=codec, pixels="yuv420p", frames=frames, time_base=Fraction(1, 25),
                context={"gop_size": 8})  # fmt: skip
    source = clip.write(tmp_path / f"a{suffix}")
    expected, target = whole(source), source.with_name("b.mp4")
    with pytest.raises(StoppedError):
        upscale_video(known_upscaler(), source, target, progress=stop_after(15, StoppedError()))
    upscale_video(known_upscaler(), source, target)
    assert target.read_bytes() == expected


def test_after_a_refusal_deinterlace_goes_on(tmp_path: Path) -> None:
    parts = []
    for name, options in (("one.ts", {}), ("two.ts", {"x264-params": "tff=1"})):
        frames = [pattern(n) for n in range(FRAMES)]
        clip = Clip(codec="libx264", pixels="yuv420p", frames=frames, options=options)
        parts.append(clip.write(tmp_path / name).read_bytes())
    source, target = tmp_path / "a.ts", tmp_path / "b.mp4"
    source.write_bytes(b"".join(parts))
    with pytest.raises(ImageError, match=r"--deinterlace \(after 0\.\d+ s\)"):
        upscale_video(known_upscaler(), source, target)
    done: list[int] = []
    upscale_video(
        known_upscaler(), source, target, deinterlace=True,
        progress=lambda n, _total: done.append(n),
    )  # fmt: skip
    assert done[0] > SEGMENT
    assert done[-1] == 2 * FRAMES


def test_two_processes_do_not_write_one_result(source: Path) -> None:
    target = source.with_name("b.mp4")
    folder = part_folder(target)
    folder.mkdir()
    with open_lock(folder / "lock") as lock:
        assert try_lock(lock.fileno())
        with pytest.raises(StorageError, match="another process"):
            upscale_video(known_upscaler(), source, target)


@pytest.mark.parametrize("frames", [3, 15])
def test_ctrl_c_leaves_a_file_that_plays_until_there(
    source: Path, frames: int, hears_signals: None
) -> None:
    target = source.with_name("b.mp4")

    def press(done: int, _total: int | None) -> None:
        if done == frames:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)  # the main thread takes it

    with pytest.raises(KeyboardInterrupt):
        upscale_video(known_upscaler(), source, target, progress=press)
    assert not target.exists()
    partial = partial_file(target)
    assert partial.name == "b.partial.mp4"
    played = times_of(partial)
    assert played == times_of(source)[: len(played)]
    assert len(played) >= frames
    expected = whole(source)
    upscale_video(known_upscaler(), source, target)
    assert target.read_bytes() == expected
    assert not partial.exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_killed_process_loses_no_finished_segment(source: Path, tmp_path: Path) -> None:
    expected, target = whole(source), source.with_name("b.mp4")
    code = f"""
import os, signal, sys
from sr_runtime.video import pipeline
from sr_runtime.video.upscale import upscale_video
from tests.runtime.video_files import known_upscaler
pipeline.SEGMENT_FRAMES = ({SEGMENT}, {SEGMENT})
def progress(done, total):
    if done == 15:
        os.kill(os.getpid(), signal.SIGKILL)
upscale_video(known_upscaler(), {str(source)!r}, {str(target)!r}, progress=progress)
"""
    process = subprocess.run([sys.executable, "-c", code], check=False)
    assert process.returncode == -signal.SIGKILL
    assert not target.exists()
    done: list[int] = []
    upscale_video(known_upscaler(), source, target, progress=lambda n, _total: done.append(n))
    assert done[0] in (SEGMENT + 1, 2 * SEGMENT + 1)
    assert target.read_bytes() == expected

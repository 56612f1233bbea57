"""The command `upscale` with videos: names, folders, mixtures, options, Ctrl-C."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from sr_runtime import ImageError, image
from sr_runtime.__main__ import main
from sr_runtime.cli import videos
from sr_runtime.video import facts
from tests.runtime.video_files import Clip, frames_of


@pytest.fixture
def model(tiny_onnx: Callable[..., Path]) -> str:
    return str(tiny_onnx(scale_factor=2))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return Clip(codec="libx264", pixels="yuv420p").write(tmp_path / "clip.mp4")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    PIL.Image.fromarray(np.zeros((24, 32, 3), np.uint8)).save(path)
    return path


def size(path: Path) -> tuple[int, int]:
    frame = frames_of(path)[0]
    return frame.width, frame.height


def test_a_video_is_upscaled_beside_itself(clip: Path, model: str, capsys) -> None:
    assert main(["upscale", str(clip), "-m", model]) == 0
    target = clip.with_name("clip_tiny_x2.mp4")
    assert size(target) == (64, 48)
    said = capsys.readouterr()
    assert said.out.startswith(f"wrote {target} in ")
    assert "32×24 to 64×48" in said.out
    assert said.err == ""
    assert sorted(path.name for path in clip.parent.iterdir()) == [clip.name, target.name]


@pytest.mark.parametrize(
    ("options", "name", "expected"),
    [
        (["-o", "large.mkv", "--codec", "ffv1"], "large.mkv", ("ffv1", 64, 48)),
        (["-o", "large.webm", "--crf", "40", "--scale", "3"], "large.webm", ("av1", 96, 72)),
        (["--width", "100", "--codec", "hevc"], "clip_tiny_w100.mp4", ("hevc", 100, 74)),
        (["--name", "{stem}_{width}"], "clip_64.mp4", ("h264", 64, 48)),
        (["--name", "{stem}.mov"], "clip.mov", ("h264", 64, 48)),
        (["-o", "folder/"], "folder/clip.mp4", ("h264", 64, 48)),
    ],
)
def test_options_do_what_they_say(
    options: list[str], name: str, expected: Any, clip: Path, model: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    import av

    monkeypatch.chdir(clip.parent)
    assert main(["upscale", clip.name, "-m", model, "-q", *options]) == 0
    with av.open(name) as file:
        video = file.streams.video[0]
        codec = video.codec_context.codec.canonical_name
        assert (codec, video.width, video.height) == expected


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "is empty"), (b"no video", "begin"), (b"<html>", "web page")],
)
def test_what_is_named_as_a_video_and_is_none_is_not_a_readable_video(
    content: bytes, says: str, tmp_path: Path, model: str, capsys
) -> None:
    (tmp_path / "a.MP4").write_bytes(content)
    assert main(["upscale", str(tmp_path / "a.MP4"), "-m", model]) == 2
    said = capsys.readouterr().err
    assert "a.MP4: not a readable video" in said
    assert says in said


@pytest.mark.parametrize("suffix", [".ts", ".mkv"])
def test_a_sound_video_that_is_read_as_an_image_is_not_called_damaged(
    suffix: str, tmp_path: Path
) -> None:
    file = Clip(codec="libx264", pixels="yuv420p").write(tmp_path / f"a{suffix}")
    with pytest.raises(ImageError, match="not an image") as raised:
        image.read(file)
    assert "download" not in str(raised.value)


@pytest.mark.parametrize("options", [[], ["--name", "{stem}_{width}"]])
def test_a_larger_limit_lets_larger_frames_pass(
    options: list[str], clip: Path, model: str, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(facts, "DEFAULT_MAX_PIXELS", 700)
    command = ["upscale", str(clip), "-m", model, "-q", *options]
    assert main(command) == 2
    assert "32×24 pixels, more than the limit of 700" in capsys.readouterr().err
    assert main([*command, "--max-pixels", "800"]) == 0


def test_a_video_of_another_container_becomes_matroska(clip: Path, model: str) -> None:
    source = Clip(codec="mpeg4", pixels="yuv420p").write(clip.with_name("old.avi"))
    assert main(["upscale", str(source), "-m", model, "-q"]) == 0
    assert size(source.with_name("old_tiny_x2.mkv")) == (64, 48)


def test_the_content_tells_a_video_not_the_name(clip: Path, model: str) -> None:
    source = clip.rename(clip.with_name("clip.data"))
    assert main(["upscale", str(source), "-m", model, "-q", "-o", str(source) + ".mp4"]) == 0
    assert size(Path(f"{source}.mp4")) == (64, 48)


def test_photos_and_videos_are_upscaled_together(
    clip: Path, photo: Path, model: str, capsys
) -> None:
    broken = clip.with_name("broken.mkv")
    broken.write_bytes(b"\x1a\x45\xdf\xa3 and nothing more")
    words = ["upscale", str(clip), str(photo), str(broken), "-m", model, "--keep-format"]
    assert main([*words, "-o", str(clip.parent / "out"), "--crf", "30"]) == 1
    made = sorted(path.name for path in (clip.parent / "out").iterdir())
    assert made == ["clip.mp4", "photo.png"]
    said = capsys.readouterr()
    assert said.out.startswith("wrote 2 of 3 files in ")
    assert "broken.mkv: cannot be read as a video" in said.err


def test_resuming_keeps_videos_as_it_keeps_photos(
    clip: Path, photo: Path, model: str, capsys
) -> None:
    command = ["upscale", str(clip), str(photo), "-m", model, "--resume"]
    assert main(command) == 0
    capsys.readouterr()
    assert main(command) == 0
    assert "nothing to do: 2 results are done already" in capsys.readouterr().out


def test_a_folder_tells_what_became_of_its_videos(
    clip: Path, photo: Path, model: str, capsys
) -> None:
    shutil.copy(clip, clip.with_name("other.mkv"))
    assert main(["upscale", str(clip.parent), "-m", model, "-o", str(clip.parent / "out")]) == 0
    assert [path.name for path in (clip.parent / "out").iterdir()] == ["photo.png"]
    said = capsys.readouterr().out
    assert "1 .mp4" in said
    assert "1 .mkv" in said
    assert "videos are upscaled if they are named themselves" in said


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        (["clip.mp4", "--quality", "90"], ["--quality", "videos"]),
        (["clip.mp4", "--tileable", "xy"], ["--tileable", "videos"]),
        (["photo.png", "--crf", "20"], ["--crf", "videos"]),
        (["photo.png", "--deinterlace"], ["--deinterlace", "videos"]),
        (["clip.mp4", "-o", "-"], ["pipes"]),
        (["clip.mp4", "-o", "large.png"], ["large.png", ".mkv"]),
        (["clip.mp4", "-o", "clip.mp4"], ["clip.mp4", "overwrite"]),
        (["clip.mp4", "-o", "b.mp4", "--format", "png"], ["--format"]),
    ],
)
def test_a_mistake_is_one_sentence(
    words: list[str], facts: list[str], clip: Path, photo: Path, model: str, capsys,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(clip.parent)
    assert main(["upscale", *words, "-m", model]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert all(fact in said for fact in facts), said
    assert sorted(path.name for path in clip.parent.iterdir()) == ["clip.mp4", "photo.png"]


def test_ctrl_c_names_the_file_that_plays_and_the_next_run_goes_on(
    clip: Path, model: str, capsys, monkeypatch: pytest.MonkeyPatch, hears_signals: None
) -> None:
    upscale = videos.upscale_video

    def interrupted(*args: Any, progress: Any, **options: Any) -> Any:
        def press(done: int, total: int | None) -> None:
            progress(done, total)
            if done == 4:
                os.kill(os.getpid(), signal.SIGINT)

        return upscale(*args, progress=press, **options)

    monkeypatch.setattr(videos, "upscale_video", interrupted)
    target = clip.with_name("big.mp4")
    words = ["upscale", str(clip), "-m", model, "-o", str(target)]
    assert main(words) == 130
    said = capsys.readouterr().err
    assert "big.partial.mp4 has what is done so far" in said
    assert said.endswith("interrupted\n")
    assert len(frames_of(clip.with_name("big.partial.mp4"))) >= 4
    monkeypatch.setattr(videos, "upscale_video", upscale)
    assert main(words) == 0
    assert sorted(path.name for path in clip.parent.iterdir()) == ["big.mp4", "clip.mp4"]

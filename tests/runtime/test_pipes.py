"""Images from pipes and into them: read once, written as a whole, and never waited for in vain."""

import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from sr_runtime.__main__ import main
from sr_runtime.cli import pipes as pipes_module


@pytest.fixture
def model(tiny_onnx: Callable[..., Path]) -> str:
    return str(tiny_onnx())


@pytest.fixture
def png() -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def pipe_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], io.BytesIO]:
    """Makes bytes come from standard input."""

    def send(data: bytes) -> io.BytesIO:
        stream = io.BytesIO(data)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stream))
        return stream

    return send


@pytest.mark.parametrize(("options", "format"), [([], "PNG"), (["--format", "webp"], "WEBP")])
def test_a_dash_reads_from_the_pipe_and_writes_to_it(
    options, format, pipe_in, png, model, capsysbinary
) -> None:
    pipe_in(png)
    assert main(["upscale", "-", "-o", "-", "-m", model, *options]) == 0
    said = capsysbinary.readouterr()
    image = PIL.Image.open(io.BytesIO(said.out))
    assert (image.format, image.size) == (format, (32, 24))
    assert b"wrote to standard output in" in said.err


@pytest.mark.parametrize(
    ("format", "options", "kept"),
    [("JPEG", ["--keep-format"], "JPEG"), ("GIF", [], "GIF"), ("WEBP", ["--keep-format"], "WEBP")],
)
def test_a_format_is_kept_in_a_pipe_too(
    format, options, kept, pipe_in, png, model, capsysbinary
) -> None:
    file, image = io.BytesIO(), PIL.Image.open(io.BytesIO(png)).convert("RGB")
    turned = image.transpose(PIL.Image.Transpose.ROTATE_180)
    moving = {"save_all": True, "append_images": [turned]} if format == "GIF" else {}
    image.save(file, format, **moving)
    pipe_in(file.getvalue())
    assert main(["upscale", "-", "-o", "-", "-q", "-m", model, *options]) == 0
    assert PIL.Image.open(io.BytesIO(capsysbinary.readouterr().out)).format == kept


def test_an_image_from_a_pipe_goes_into_a_folder_as_stdin(pipe_in, png, model, tmp_path) -> None:
    pipe_in(png)
    assert main(["upscale", "-", "-", "-o", f"{tmp_path}/out/", "-m", model, "-q"]) == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["stdin.png"]


@pytest.mark.parametrize(
    ("arguments", "data", "says"),
    [
        (["-", "-o", "-"], b"", "-: not an image"),
        (["-", "-o", "-"], b"text", "-: not an image"),
        (["-"], None, "name its result with -o"),
        (["-", "-o", "-", "--name", "x"], None, "--name"),
        (["-", "-o", "-", "--format", "jpg", "--quality", "0"], None, "quality 0"),
        (["-", "-o", "-", "--max-pixels", "10"], None, "with --max-pixels"),
    ],
)
def test_what_cannot_come_from_a_pipe_is_one_sentence(
    arguments, data, says, pipe_in, png, model, capsys
) -> None:
    pipe_in(png if data is None else data)
    assert main(["upscale", "-q", "-m", model, *arguments]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert says in said.err
    assert said.out == ""


class Terminal(io.BytesIO):
    """A stream with a person at its end."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_is_neither_read_nor_written(pipe_in, monkeypatch, model, capsys, png) -> None:
    pipe_in(png)
    with monkeypatch.context() as at_a_terminal:
        at_a_terminal.setattr(sys, "stdout", io.TextIOWrapper(Terminal()))
        assert main(["upscale", "-", "-o", "-", "-q", "-m", model]) == 2
    assert "redirect it" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Terminal(png)))
    assert main(["upscale", "-", "-o", "-", "-q", "-m", model]) == 2
    assert "pipe an image into it" in capsys.readouterr().err


def test_a_pipe_without_an_end_is_given_up(pipe_in, monkeypatch, model, capsys, png) -> None:
    monkeypatch.setattr(pipes_module, "LARGEST", 100)
    pipe_in(png * 3)
    assert main(["upscale", "-", "-o", "-", "-q", "-m", model]) == 2
    assert "come from this pipe" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no FIFOs")
def test_fifos_are_opened_once_on_both_sides(png, model, tmp_path) -> None:
    source, target = tmp_path / "in.png", tmp_path / "out.webp"
    os.mkfifo(source)
    os.mkfifo(target)
    received: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: source.write_bytes(png), daemon=True),
        threading.Thread(target=lambda: received.append(target.read_bytes()), daemon=True),
    ]
    for thread in threads:
        thread.start()
    assert main(["upscale", str(source), "-o", str(target), "-q", "-m", model]) == 0
    for thread in threads:
        thread.join(10)
    assert PIL.Image.open(io.BytesIO(received[0])).format == "WEBP"
    assert target.is_fifo()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no FIFOs")
def test_a_pipe_without_another_side_is_waited_for_and_named(
    png, model, tmp_path, monkeypatch, capsys
) -> None:
    source, target = tmp_path / "in.png", tmp_path / "out.webp"
    os.mkfifo(source)
    os.mkfifo(target)
    told: list[str] = []

    def tell(line: str, **_: object) -> None:
        """Nobody is at the other side until the user has been told."""
        told.append(line)
        if len(told) == 1:
            source.write_bytes(png)
        else:
            target.read_bytes()

    monkeypatch.setattr(pipes_module, "say", tell)
    monkeypatch.setattr(pipes_module, "PATIENCE", 0.01)
    assert main(["upscale", str(source), "-o", str(target), "-q", "-m", model]) == 0
    assert told == [
        f"waiting for an image from the pipe {source}",
        f"waiting for a reader of the pipe {target}",
    ]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_folder_for_temporary_files_is_named(
    pipe_in, png, model, tmp_path, monkeypatch, capsys
) -> None:
    pipe_in(png)
    full = tmp_path / "stdin"
    full.symlink_to("/dev/full")
    monkeypatch.setattr(pipes_module.Pipes, "_file", lambda pipes, name: full)
    assert main(["upscale", "-", "-o", "-", "-q", "-m", model]) == 2
    assert "cannot hold what goes through a pipe (No space left" in capsys.readouterr().err


def test_a_device_takes_a_result_and_stays_a_device(png, model, tmp_path) -> None:
    (tmp_path / "photo.png").write_bytes(png)
    assert main(["upscale", str(tmp_path / "photo.png"), "-o", os.devnull, "-q", "-m", model]) == 0
    assert not Path(os.devnull).is_file()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/stdin").exists(), reason="no /dev/stdin here")
@pytest.mark.parametrize("names", [("-", "-"), ("/dev/stdin", "/dev/stdout")])
def test_a_program_works_in_a_shell_pipeline(names, png, model) -> None:
    command = [sys.executable, "-m", "sr_runtime", "upscale", names[0], "-o", names[1]]
    done = subprocess.run([*command, "-m", model], input=png, capture_output=True, timeout=60)
    assert done.returncode == 0
    assert PIL.Image.open(io.BytesIO(done.stdout)).size == (32, 24)
    assert b"wrote" in done.stderr

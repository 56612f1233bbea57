"""A file by rows has the pixels of the file in memory, and a killed run goes on where it was."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import sr_runtime
from sr_runtime import ArgumentError, ImageError, Upscaler
from sr_runtime.__main__ import main
from sr_runtime.image import Picture, read, write
from sr_runtime.large import choice
from sr_runtime.large.output import LargeOutput
from sr_runtime.large.upscale import upscale_large
from sr_runtime.output_size import OutputSize
from tests.runtime.known_network import KnownNetwork

pytest.importorskip("pyvips", exc_type=ImportError)
RNG = np.random.default_rng(11)


@pytest.fixture
def model(tiny_onnx: Callable[..., Path]) -> Path:
    return tiny_onnx()


def image_file(path: Path, height: int, width: int, channels: int = 3) -> np.ndarray:
    pixels = RNG.integers(0, 256, (height, width, channels), np.uint8)
    write(Picture(frames=(pixels,), xmp=b"<x:xmpmeta/>"), path)
    return pixels


def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "WORTH_ASKING", 0)
    monkeypatch.setattr(choice, "free_memory", lambda: 100_000)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_pixels_are_those_of_the_file_in_memory(
    channels: int, model: Path, tmp_path: Path
) -> None:
    source = tmp_path / "a.png"
    image_file(source, 300, 50, channels)

    with sr_runtime.load(model, backend="onnxruntime", tile=64) as upscaler:
        upscaler.upscale_file(source, tmp_path / "whole.png", scale=3)
        upscale_large(
            upscaler, source, LargeOutput(tmp_path / "rows.png"), size=OutputSize(scale=3)
        )

    whole, rows = read(tmp_path / "whole.png"), read(tmp_path / "rows.png")
    np.testing.assert_array_equal(rows.frames[0], whole.frames[0])
    assert rows.xmp == whole.xmp
    assert not list(tmp_path.glob("*.part"))


def test_a_result_with_other_settings_is_not_mixed_with_kept_rows(
    model: Path, tmp_path: Path
) -> None:
    source, output = tmp_path / "a.png", LargeOutput(tmp_path / "rows.png")
    image_file(source, 300, 40)

    def stop(done: int, total: int) -> None:
        if done > total / 2:
            raise InterruptedError

    with sr_runtime.load(model, backend="onnxruntime", tile=64) as upscaler:
        with pytest.raises(InterruptedError):
            upscale_large(upscaler, source, output, size=OutputSize(), progress=stop)
        with pytest.raises(ArgumentError, match="size 160×1200 and not 120×900: give the same"):
            upscale_large(upscaler, source, output, size=OutputSize(scale=3))
    with (
        sr_runtime.load(model, backend="onnxruntime", tile=96) as upscaler,
        pytest.raises(ArgumentError, match="tile 64×64 and not 96×96"),
    ):
        upscale_large(upscaler, source, output, size=OutputSize())


@pytest.mark.parametrize(
    "change",
    [
        lambda source, other: other.replace(source) if other.exists() else None,
        lambda source, other: source.write_bytes(b""),  # as what begins to write a new one
    ],
)
def test_a_source_that_changes_meanwhile_gives_no_result(
    change: Callable[[Path, Path], object], model: Path, tmp_path: Path
) -> None:
    source, other = tmp_path / "a.png", tmp_path / "b.png"
    image_file(source, 2000, 40)
    image_file(other, 2000, 40)

    with (
        sr_runtime.load(model, backend="onnxruntime", tile=64) as upscaler,
        pytest.raises(ImageError, match=r"a\.png: the file changed while it was upscaled"),
    ):
        upscale_large(
            upscaler,
            source,
            LargeOutput(tmp_path / "rows.png"),
            size=OutputSize(),
            progress=lambda done, total: change(source, other),
        )
    assert not (tmp_path / "rows.png").exists()


def test_the_source_is_never_overwritten(model: Path, tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    image_file(source, 30, 40)
    content = source.read_bytes()

    with (
        sr_runtime.load(model, backend="onnxruntime") as upscaler,
        pytest.raises(ArgumentError, match="never overwritten"),
    ):
        upscale_large(upscaler, source, LargeOutput(source), size=OutputSize())
    assert source.read_bytes() == content
    assert list(tmp_path.iterdir()) == [source]


def test_what_does_not_fit_into_memory_goes_by_rows_by_itself(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "a.png"
    image_file(source, 300, 50)
    little_memory(monkeypatch)
    words = [
        "upscale",
        str(source),
        "-m",
        str(model),
        "-t",
        "512",
        "-q",
        "--backend",
        "onnxruntime",
    ]

    assert main([*words, "-o", str(tmp_path / "rows.tif")]) == 0
    monkeypatch.undo()
    assert main([*words, "-o", str(tmp_path / "whole.tif")]) == 0

    rows, whole = tmp_path / "rows.tif", tmp_path / "whole.tif"
    assert (rows.read_bytes()[:4], whole.read_bytes()[:4]) == (b"II+\0", b"II*\0")
    np.testing.assert_array_equal(read(rows).frames[0], read(whole).frames[0])


def test_python_decides_as_the_command_line_does(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "a.png", tmp_path / "rows.tif"
    image_file(source, 300, 50)
    seen: list[tuple[int, int]] = []
    with sr_runtime.load(model, backend="onnxruntime", tile=64) as upscaler:
        whole = upscaler.upscale(read(source).frames[0])
        little_memory(monkeypatch)
        upscaler.upscale_file(source, target, progress=lambda *args: seen.append(args))
        with pytest.raises(ImageError, match=r"300 pixels are more than the limit of 14999"):
            upscaler.upscale_file(source, target, max_pixels=14_999)
        with pytest.raises(ArgumentError, match="max_pixels is '9'"):
            upscaler.upscale_file(source, target, max_pixels="9")  # type: ignore[arg-type]
        with pytest.raises(ImageError, match="is not written as webp: use png"):
            upscaler.upscale_file(source, tmp_path / "rows.webp")

    assert target.read_bytes()[:4] == b"II+\0"
    np.testing.assert_array_equal(read(target).frames[0], whole)
    assert seen[-1] == (9, 9)
    assert not list(tmp_path.glob("*.part"))


def test_kept_rows_are_gone_on_with_when_there_is_memory_again(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "a.png", tmp_path / "rows.tif"
    image_file(source, 300, 50)
    journal, begun = tmp_path / "rows.tif.part" / "journal.json", list[int]()

    def stop(done: int, total: int) -> None:
        if done > total / 2:
            raise InterruptedError

    def read_journal(_done: int, _total: int) -> None:
        begun.append(len(json.loads(journal.read_text())["bands"]))

    with sr_runtime.load(model, backend="onnxruntime", tile=64) as upscaler:
        little_memory(monkeypatch)
        with pytest.raises(InterruptedError):
            upscaler.upscale_file(source, target, progress=stop)
        monkeypatch.undo()
        upscaler.upscale_file(source, target, progress=read_journal)

    assert begun[0] > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "rows.tif"]


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_no_limit_of_pillow_keeps_an_image_from_its_rows(
    suffix: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / f"a{suffix}"
    image_file(source, 300, 50)
    monkeypatch.setattr(choice, "DEFAULT_MAX_PIXELS", 14_999)
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 100)
    with sr_runtime.load(model, backend="onnxruntime", tile=64) as upscaler:
        upscaler.upscale_file(source, tmp_path / "rows.tif")

    assert (tmp_path / "rows.tif").read_bytes()[:4] == b"II+\0"


def test_rows_are_gone_on_with_after_memory_ran_out(tmp_path: Path) -> None:
    source, output = tmp_path / "a.png", LargeOutput(tmp_path / "rows.png")
    image_file(source, 300, 90)

    def stop(done: int, total: int) -> None:
        if done > total / 2:
            raise InterruptedError

    with Upscaler(KnownNetwork(radius=2, memory=30 * 30), tile=64) as upscaler:
        with pytest.warns(RuntimeWarning, match="no room"), pytest.raises(InterruptedError):
            upscale_large(upscaler, source, output, size=OutputSize(), progress=stop)
        assert upscaler.max_tile < upscaler.tile
        begun = json.loads((tmp_path / "rows.png.part" / "journal.json").read_text())["bands"]
        upscale_large(upscaler, source, output, size=OutputSize())
        whole = upscaler.upscale(read(source).frames[0])

    assert begun
    np.testing.assert_array_equal(read(output.path).frames[0], whole)


def test_a_deep_zoom_image_has_the_limits_of_others(model: Path, tmp_path: Path) -> None:
    source, target = tmp_path / "a.png", tmp_path / "a.dzi"
    image_file(source, 40, 50)
    with sr_runtime.load(model, backend="onnxruntime") as upscaler:
        with pytest.raises(ImageError, match="40 pixels are more than the limit of 1999"):
            upscaler.upscale_file(source, target, max_pixels=1999)
        with pytest.raises(ArgumentError, match="Deep Zoom image is made by rows"):
            upscaler.upscale_file(source, target, tileable="x")
        upscaler.upscale_file(source, target, max_pixels=2000)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.dzi", "a.png", "a_files"]


def test_a_deep_zoom_image_may_be_asked_for(model: Path, tmp_path: Path) -> None:
    image_file(tmp_path / "a.png", 40, 50)

    words = ["upscale", str(tmp_path / "a.png"), "-o", str(tmp_path / "a.dzi"), "-q"]
    assert main([*words, "-m", str(model)]) == 0

    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.dzi", "a.png", "a_files"]


@pytest.mark.slow
def test_a_killed_run_goes_on_and_gives_the_same_file(model: Path, tmp_path: Path) -> None:
    source, target = tmp_path / "a.png", tmp_path / "a.tif"
    image_file(source, 2000, 60)
    program = f"""if True:
        import sr_runtime, sys, time
        from sr_runtime.large.output import LargeOutput
        from sr_runtime.large.upscale import upscale_large
        from sr_runtime.output_size import OutputSize
        with sr_runtime.load({str(model)!r}, backend="onnxruntime", tile=64) as upscaler:
            upscale_large(
                upscaler, {str(source)!r}, LargeOutput({str(target)!r}), size=OutputSize(),
                progress=lambda done, total: time.sleep(float(sys.argv[1])),
            )
        """
    journal, bands = tmp_path / "a.tif.part" / "journal.json", [0]
    for _ in range(2):
        run = subprocess.Popen([sys.executable, "-c", program, "0.02"])
        while not journal.exists() or len(json.loads(journal.read_text())["bands"]) == bands[-1]:
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
        run.wait()
        bands.append(len(json.loads(journal.read_text())["bands"]))
    subprocess.run([sys.executable, "-c", program, "0"], check=True)

    assert 0 < bands[1] < bands[2] < 40
    with sr_runtime.load(model, backend="onnxruntime", tile=64) as upscaler:
        whole = upscaler.upscale(read(source).frames[0])
    np.testing.assert_array_equal(read(target).frames[0], whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "a.tif"]

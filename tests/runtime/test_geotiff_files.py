"""A GeoTIFF from file to file: damage, full disks and what is gone on with."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import sr_runtime
from sr_runtime import ArgumentError, ImageError, StorageError, Upscaler
from sr_runtime.__main__ import main
from sr_runtime.large.kept_rows import KeptRows
from sr_runtime.large.output import LargeOutput
from sr_runtime.large.upscale import upscale_large
from sr_runtime.output_size import OutputSize
from tests.runtime.scenes import MEANINGS, pixels, scene, upscale

rasterio = pytest.importorskip("rasterio", exc_type=ImportError)


@pytest.fixture
def model(tiny_onnx: Callable[..., Path]) -> Path:
    return tiny_onnx()


@pytest.fixture
def upscaler(model: Path) -> Iterator[Upscaler]:
    with sr_runtime.load(model, backend="onnxruntime", tile=96) as made:
        yield made


def test_a_damaged_scene_is_named_and_leaves_no_result(upscaler: Upscaler, tmp_path: Path) -> None:
    source = scene(tmp_path / "a.tif", pixels(2, 600, 60), compress="deflate", blockysize=16)
    content = bytearray(source.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 900] = bytes(900)
    source.write_bytes(content)

    with pytest.raises(ImageError, match="damaged") as caught:
        upscale(upscaler, source, tmp_path / "b.tif")

    assert caught.value.path == source
    assert not (tmp_path / "b.tif").exists()


def test_an_interrupted_run_goes_on_with_the_bands_it_has(
    upscaler: Upscaler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = scene(tmp_path / "a.tif", pixels(5, 300, 50), MEANINGS, nodata=0)
    whole = upscale(upscaler, source, tmp_path / "whole.tif")
    seen: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        if done > total / 2:
            raise InterruptedError

    output = LargeOutput(tmp_path / "b.tif")
    with pytest.raises(InterruptedError):
        upscale_large(upscaler, source, output, size=OutputSize(), progress=stop)
    total = seen[-1][1]
    assert total == 3 * len(upscaler.plan(300, 50))
    with pytest.raises(ArgumentError, match="size 200×1200 and not 150×900"):
        upscale_large(upscaler, source, output, size=OutputSize(scale=3), progress=stop)
    written: list[int] = []
    write = KeptRows.write
    monkeypatch.setattr(
        KeptRows, "write", lambda self, rows: (written.append(len(rows)), write(self, rows))
    )
    np.testing.assert_array_equal(upscale(upscaler, source, tmp_path / "b.tif"), whole)

    assert 0 < sum(written) < 2 * 1200


def test_a_scene_that_changes_meanwhile_gives_no_result(upscaler: Upscaler, tmp_path: Path) -> None:
    source = scene(tmp_path / "a.tif", pixels(4, 90, 60), MEANINGS[:4])
    other = scene(tmp_path / "other.tif", pixels(4, 90, 60), MEANINGS[:4])

    def replace(done: int, total: int) -> None:
        if other.exists():
            other.replace(source)

    with pytest.raises(ImageError, match=r"a\.tif: the file changed .*b\.tif\.band4\.part"):
        upscale_large(
            upscaler, source, LargeOutput(tmp_path / "b.tif"), size=OutputSize(), progress=replace
        )
    assert not (tmp_path / "b.tif").exists()


def test_python_keeps_the_place_too_and_limits_any_scene(
    upscaler: Upscaler, tmp_path: Path
) -> None:
    source = scene(tmp_path / "a.tif", pixels(5, 30, 50), MEANINGS)

    upscaler.upscale_file(source, tmp_path / "b.tif", max_pixels=1500)

    with rasterio.open(tmp_path / "b.tif") as file:
        assert (file.crs, file.count, file.res) == ("EPSG:32633", 5, (0.5, 0.5))
    with pytest.raises(ImageError, match="30 pixels are more than the limit of 1499"):
        upscaler.upscale_file(source, tmp_path / "c.tif", max_pixels=1499)
    three = scene(tmp_path / "three.tif", pixels(3, 30, 50), MEANINGS[:3])
    with pytest.warns(RuntimeWarning, match="place on the Earth is not kept in png: name a .tif"):
        upscaler.upscale_file(three, tmp_path / "b.png")
    with pytest.warns(RuntimeWarning, match="place on the Earth is not kept with tileable"):
        upscaler.upscale_file(three, tmp_path / "t.tif", tileable="x")


def test_all_bands_together_must_have_room(
    upscaler: Upscaler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = scene(tmp_path / "a.tif", pixels(5, 30, 50))
    needed = 5 * 120 * 200
    usage = type("Usage", (), {"free": needed - 1})
    monkeypatch.setattr("sr_runtime.large.kept_rows.shutil.disk_usage", lambda _: usage)

    with pytest.raises(StorageError, match="MB of the disk are free"):
        upscale(upscaler, source, tmp_path / "b.tif")
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no file's size")
def test_a_result_that_finds_no_room_can_be_gone_on_with(
    upscaler: Upscaler, tmp_path: Path
) -> None:
    import resource

    source = scene(tmp_path / "a.tif", pixels(4, 60, 80), MEANINGS[:4])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (240 * 320 * 3 + 1000, before[1]))
    try:
        with pytest.raises(StorageError, match="make room on the disk") as caught:
            upscale(upscaler, source, tmp_path / "b.tif")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert caught.value.path == tmp_path / "b.tif"
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["a.tif", "b.tif.band4.part", "b.tif.part"]
    assert upscale(upscaler, source, tmp_path / "b.tif").shape == (4, 240, 320)


def test_a_scene_is_never_its_own_result(upscaler: Upscaler, tmp_path: Path) -> None:
    source = scene(tmp_path / "a.tif", pixels(1, 9, 9))

    with pytest.raises(ArgumentError, match="never overwritten"):
        upscale(upscaler, source, source)


def test_the_command_line_names_the_result_tif_and_warns_of_another_format(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = scene(tmp_path / "a.tif", pixels(3, 30, 50), MEANINGS[:3])

    assert main(["upscale", str(source), "-q", "-m", str(model), "--name", "{stem}_large"]) == 0
    assert main(["upscale", str(source), "-q", "-m", str(model), "-o", f"{tmp_path}/b.png"]) == 0

    with rasterio.open(tmp_path / "a_large.tif") as file:
        assert file.crs == "EPSG:32633"
    assert "its place on the Earth is not kept in png" in capsys.readouterr().err

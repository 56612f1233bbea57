"""The example with zarr: a killed run goes on, and the result is that of the image in memory."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import sr_runtime

zarr = pytest.importorskip("zarr", exc_type=ImportError)

from sr_runtime.examples import zarr_store  # noqa: E402 (it needs zarr)


def test_an_interrupted_run_goes_on_behind_the_chunks_that_are_there(
    tiny_onnx: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zarr_store, "CHUNK", 100)
    image = np.random.default_rng(1).integers(0, 256, (130, 61, 3), np.uint8)
    source, target, model = tmp_path / "a.zarr", tmp_path / "b.zarr", tiny_onnx()
    zarr.create_array(source, data=image, chunks=(50, 40, 3))
    reader = zarr_store.StoredRows(source)

    def stop(done: int, total: int) -> None:
        if done > total * 0.7:
            raise InterruptedError

    with sr_runtime.load(model, backend="onnxruntime", tile=48) as upscaler:
        with pytest.raises(InterruptedError):
            upscaler.upscale_stream(reader, zarr_store.Store(target, "a"), progress=stop)
        there = zarr.open_array(target).attrs["rows"]
        assert there in (100, 200, 300, 400)
        whole = upscaler.upscale(image)
        np.testing.assert_array_equal(zarr.open_array(target)[:there], whole[:there])
        upscaler.upscale_stream(reader, zarr_store.Store(target, "a"))

        np.testing.assert_array_equal(zarr.open_array(target)[:], whole)
        with pytest.raises(sr_runtime.ArgumentError, match="another result: delete it"):
            upscaler.upscale_stream(reader, zarr_store.Store(target, "b"))


def test_the_program_upscales_one_array_into_another(
    tiny_onnx: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    zarr.create_array(tmp_path / "a.zarr", data=np.full((20, 30, 1), 7, np.uint16))
    paths = str(tmp_path / "a.zarr"), str(tmp_path / "b.zarr"), str(tiny_onnx())

    assert zarr_store.main(*paths) == 0
    assert zarr.open_array(tmp_path / "b.zarr").shape == (80, 120, 1)
    assert zarr_store.main(paths[0], paths[1], "nowhere.onnx") == 1
    assert "nowhere.onnx" in capsys.readouterr().err

"""ONNX files whose weights are in another file beside them: they run, or say what is missing."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

import sr_runtime
from sr_export import build_engine, triton_repository, verify
from sr_runtime.backends.onnx_metadata import is_fp16_onnx, read_fp16_onnx
from sr_runtime.errors import ModelError
from sr_runtime.made_with import made_with
from sr_train.checkpoint import save_generator
from tests.conftest import tiny_generator
from tests.runtime.every_row import every_fast_row
from tests.runtime.test_backends import chosen

PHOTO = np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8)
DATA = "weights.bin"


@pytest.fixture
def split(tiny_onnx: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """`split(precision="fp16")`: a tiny model with its weights in `weights.bin`."""

    def make(precision: str = "fp32") -> Path:
        path = tmp_path / "model.onnx"
        onnx.save(
            onnx.load(tiny_onnx(precision=precision)), path, save_as_external_data=True,
            location=DATA, size_threshold=100,
        )  # fmt: skip
        return path

    return make


@every_fast_row
def test_weights_beside_the_model_are_found(row, split, tiny_onnx) -> None:
    with sr_runtime.load(tiny_onnx(), **chosen(row)) as upscaler:
        wanted = upscaler.upscale(PHOTO)
    with sr_runtime.load(split(), **chosen(row)) as upscaler:
        np.testing.assert_array_equal(upscaler.upscale(PHOTO), wanted)


def test_other_weights_make_other_pixels(split) -> None:
    model = split()
    with sr_runtime.load(model, backend="onnxruntime") as upscaler:
        before = made_with(upscaler)
    with sr_runtime.load(model, backend="onnxruntime") as upscaler:
        assert made_with(upscaler) == before
    weights = model.with_name(DATA)
    weights.write_bytes(bytes(weights.stat().st_size))
    with sr_runtime.load(model, backend="onnxruntime") as upscaler:
        assert made_with(upscaler) != before


@pytest.mark.parametrize("name", ["model.onnx", DATA])
@pytest.mark.parametrize("is_removed", [True, False])
def test_a_model_that_was_replaced_after_it_was_loaded_is_not_noted(
    name, is_removed, split
) -> None:
    model = split()
    with sr_runtime.load(model, backend="onnxruntime") as upscaler:
        file = model.with_name(name)
        file.rename(file.with_suffix(".old"))
        if not is_removed:
            file.write_bytes(file.with_suffix(".old").read_bytes())
        with pytest.raises(ModelError, match="has changed since it was loaded"):
            made_with(upscaler)


@every_fast_row
def test_weights_that_are_missing_or_cut_off_are_named(row, split) -> None:
    model = split()
    data = model.with_name(DATA)
    whole = data.stat().st_size
    data.write_bytes(data.read_bytes()[:1000])
    with pytest.raises(ModelError, match=rf"model\.onnx: .*{DATA}.* 1000 .* {whole}: copy"):
        sr_runtime.load(model, **chosen(row))
    data.unlink()
    with pytest.raises(ModelError, match=rf"model\.onnx: .*{DATA}.* not beside it: copy"):
        sr_runtime.load(model, **chosen(row))


def test_a_model_that_is_cut_off_is_told_apart_from_one_without_its_weights(
    split: Callable[..., Path],
) -> None:
    model = split()
    model.write_bytes(model.read_bytes()[:5000])
    with pytest.raises(ModelError, match=r"model\.onnx: not a readable ONNX model.* again"):
        sr_runtime.load(model, device="cpu")


def test_engines_and_triton_want_one_file_and_say_how_to_write_it(
    split: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = split(precision="fp16")

    def refused(says: str) -> None:
        with pytest.raises(ModelError, match=says):
            build_engine(model, tmp_path / "m.engine")
        with pytest.raises(ModelError, match=says):
            triton_repository(model, tmp_path / "models", "sr_x4")

    refused(rf"model\.onnx: .*{DATA}, and one file is needed")
    with pytest.raises(ModelError) as error:
        read_fp16_onnx(model)
    assert not is_fp16_onnx(model)  # so that "auto" takes an engine that finds the weights
    monkeypatch.chdir(tmp_path)
    exec(str(error.value).split("needed: ")[1].removesuffix(" writes it"))
    assert read_fp16_onnx(tmp_path / "one_file.onnx")[1].scale == 4
    (tmp_path / DATA).unlink()
    refused(rf"model\.onnx: .*{DATA}, which is not beside it")
    assert not list(tmp_path.glob("*.engine*"))
    assert not (tmp_path / "models").exists()


def test_verification_names_the_missing_file_too(
    split: Callable[..., Path], tmp_path: Path
) -> None:
    save_generator(tiny_generator(), tmp_path / "tiny.safetensors")
    model = split()
    assert all(check.passed for check in verify(tmp_path / "tiny.safetensors", model))
    model.with_name(DATA).unlink()
    with pytest.raises(ModelError, match=rf"{DATA}, which is not beside it"):
        verify(tmp_path / "tiny.safetensors", model)


@pytest.mark.parametrize("row_backend", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("place", ["../weights.bin", "/etc/passwd", "C:\\weights.bin", "a\\..\\b"])
def test_weights_outside_the_models_folder_are_never_read(
    place: str, row_backend: str, split: Callable[..., Path]
) -> None:
    path = split()
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = place
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"names '.*' for its weights, and only files in its own"):
        sr_runtime.load(path, backend=row_backend, device="cpu")


def test_small_constants_in_another_file_are_told_where_the_engine_reads_none(
    tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(
        onnx.load(tiny_onnx()), path, save_as_external_data=True, location=DATA, size_threshold=0
    )
    with pytest.raises(ModelError, match=rf"{DATA}, and one file is needed: onnx\.save"):
        sr_runtime.load(path, backend="onnxruntime", device="cpu")

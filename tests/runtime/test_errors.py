"""Errors carry the file that they are about, wherever it becomes known."""

import pickle
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from sr_runtime import Upscaler, load
from sr_runtime.errors import ArgumentError, ModelError, OutOfMemoryError, StorageError, about
from sr_runtime.image import Output
from sr_runtime.storage.atomic import atomic_path
from tests.runtime.known_network import KnownNetwork


def test_the_path_stands_in_front_of_the_message_and_by_itself() -> None:
    error = ModelError("not a readable ONNX model", path="models/x4.onnx")
    assert str(error) == "models/x4.onnx: not a readable ONNX model"
    assert error.path == Path("models/x4.onnx")
    assert str(ArgumentError("tile 0 is too small")) == "tile 0 is too small"


@pytest.mark.parametrize(
    "value", [10**5000, -(10**5000), "x" * 5000], ids=["large", "less", "text"]
)
def test_a_value_of_any_length_is_refused_in_a_short_sentence(value: object) -> None:
    upscaler = Upscaler(KnownNetwork(radius=1))
    image = np.zeros((4, 4, 3), np.uint8)
    for call in (
        *(partial(upscaler.upscale, image, **{name: value}) for name in ("scale", "width")),
        *(partial(upscaler.upscale, image, **{name: value}) for name in ("tileable", "progress")),
        partial(upscaler.plan, 4, value) if isinstance(value, int) else partial(load, blend=value),
        *(partial(load, **{name: value}) for name in ("tile", "halo", "tta", "blend", "backend")),
        partial(load, value, blend=0.5),
        partial(Output, "a.webp", quality=value),
    ):
        with pytest.raises(ArgumentError) as caught:
            call()
        assert 20 < len(str(caught.value)) < 250


@pytest.mark.skipif(sys.platform == "win32", reason="a long name does not exist there")
def test_a_model_whose_name_is_too_long_is_one_sentence() -> None:
    with pytest.raises(StorageError, match="File name too long"):
        load("n" * 300)


def test_a_file_that_becomes_known_later_is_added_once() -> None:
    with pytest.raises(ModelError) as caught, about("outer.onnx"), about("inner.onnx"):
        raise ModelError("damaged")
    assert caught.value.path == Path("inner.onnx")
    assert str(caught.value) == "inner.onnx: damaged"


def test_errors_of_other_libraries_pass_unchanged() -> None:
    with pytest.raises(KeyError, match="x"), about("model.onnx"):
        raise KeyError("x")


def test_an_error_keeps_its_path_on_the_way_between_processes() -> None:
    sent = pickle.loads(pickle.dumps(OutOfMemoryError("not enough memory", path="photo.png")))
    assert (type(sent), str(sent)) == (OutOfMemoryError, "photo.png: not enough memory")
    assert isinstance(sent, MemoryError)


def test_a_disk_that_fails_while_a_file_is_written_is_a_storage_error(tmp_path: Path) -> None:
    target = tmp_path / "out.bin"
    target.write_bytes(b"before")
    with pytest.raises(StorageError) as caught, atomic_path(target):
        raise OSError(28, "No space left on device")
    assert caught.value.path == target
    assert "No space left on device" in str(caught.value)
    assert target.read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["out.bin"]


def test_a_folder_that_is_missing_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught, atomic_path(tmp_path / "no" / "x") as temporary:
        temporary.write_bytes(b"")
    assert caught.value.path == tmp_path / "no" / "x"

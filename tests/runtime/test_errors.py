"""Errors carry the file that they are about, wherever it becomes known."""

import pickle
from pathlib import Path

import pytest

from sr_runtime.errors import ArgumentError, ModelError, OutOfMemoryError, StorageError, about
from sr_runtime.storage.atomic import atomic_path


def test_the_path_stands_in_front_of_the_message_and_by_itself() -> None:
    error = ModelError("not a readable ONNX model", path="models/x4.onnx")
    assert str(error) == "models/x4.onnx: not a readable ONNX model"
    assert error.path == Path("models/x4.onnx")
    assert str(ArgumentError("tile 0 is too small")) == "tile 0 is too small"


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

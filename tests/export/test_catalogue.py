"""A folder of checkpoints is exported once, whatever happens to one of them or to the program."""

import csv
import json
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import sr_export
import sr_export.catalogue
from sr_export.__main__ import main
from sr_runtime.errors import ArgumentError, DataError, StorageError
from sr_runtime.storage.lock import open_lock, try_lock
from sr_train.checkpoint import save_generator
from sr_train.models.compact import SRVGGNetCompact


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `downloads` that was exported to `models` beside it."""
    root = tmp_path_factory.mktemp("catalogue")
    downloads = root / "downloads"
    (downloads / "more").mkdir(parents=True)
    save_generator(SRVGGNetCompact(num_features=4, num_convolutions=1), downloads / "a.safetensors")
    save_generator(SRVGGNetCompact(num_features=2, num_convolutions=1), downloads / "a.pth")
    shutil.copy(downloads / "a.pth", downloads / "more" / "same.PTH")
    (downloads / "page.pth").write_text("<html>Log | in</html>")
    (downloads / "readme.txt").write_text("no checkpoint")
    assert main(["catalogue", str(downloads), "-o", str(root / "models")]) == 1
    return root


@pytest.fixture
def root(exported: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(exported, tmp_path / "root"))


def run(root: Path, **options: Any) -> list[sr_export.CatalogueRow]:
    return list(sr_export.export_folder(root / "downloads", root / "models", **options))


def exports(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the checkpoints that are exported from now on."""
    names: list[str] = []
    real = sr_export.catalogue.export_onnx

    def counted(checkpoint: Path, *rest: object, **options: object) -> object:
        names.append(checkpoint.name)
        return real(checkpoint, *rest, **options)

    monkeypatch.setattr(sr_export.catalogue, "export_onnx", counted)
    return names


@pytest.mark.slow
def test_each_content_is_exported_once_and_one_failure_fails_alone(exported) -> None:
    with (exported / "models" / "catalogue.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["a.pth", "a.safetensors", str(Path("more/same.PTH")), "page.pth"]
    assert rows["a.pth"]["model"] == rows[str(Path("more/same.PTH"))]["model"] == "a.onnx"
    assert rows["a.safetensors"]["model"].startswith("a-")
    assert rows["a.safetensors"]["arch"] == "SRVGGNetCompact"
    assert "web page" in rows["page.pth"]["failed"]
    models = {path.name for path in (exported / "models").rglob("*.onnx")}
    assert models == {rows["a.pth"]["model"], rows["a.safetensors"]["model"]}
    page = (exported / "models" / "catalogue.md").read_text(encoding="utf-8")
    assert page.startswith("3 of 4 checkpoints are exported")
    assert "| page.pth | " in page


@pytest.mark.slow
def test_the_next_run_keeps_what_is_there_under_any_name(root, monkeypatch) -> None:
    names = exports(monkeypatch)
    (root / "downloads" / "a.pth").rename(root / "downloads" / "renamed.pth")
    rows = run(root)
    assert names == []
    assert [row.model for row in rows if row.file == "renamed.pth"] == ["a.onnx"]


@pytest.mark.slow
def test_an_export_that_is_gone_is_made_again_and_a_failure_only_when_asked(
    root, monkeypatch
) -> None:
    names = exports(monkeypatch)
    (root / "models" / "a.onnx").unlink()
    run(root)
    assert names == ["a.pth"]
    run(root, again=True)
    assert names == ["a.pth", "page.pth"]


@pytest.mark.slow
def test_an_interrupted_file_is_exported_next_time_and_a_crash_is_told(root, monkeypatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        during = json.loads((root / "models" / "catalogue.json").read_text(encoding="utf-8"))
        assert any("the program ended" in str(row["failed"]) for row in during)
        raise KeyboardInterrupt

    (root / "models" / "a.onnx").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(sr_export.catalogue, "export_onnx", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(root)
    names = exports(monkeypatch)
    run(root)
    assert names == ["a.pth"]


@pytest.mark.slow
def test_a_bug_in_one_export_does_not_end_the_others(root, monkeypatch) -> None:
    def buggy(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(sr_export.catalogue, "export_onnx", buggy)
    (root / "models" / "a.onnx").unlink()
    assert [row.failed for row in run(root)].count("ZeroDivisionError: by zero") == 2


@pytest.mark.slow
def test_what_the_machine_lacked_is_tried_again_by_the_next_run(root, monkeypatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise StorageError("no space left on device")

    (root / "models" / "a.onnx").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(sr_export.catalogue, "export_onnx", full)
        assert [str(row.failed).startswith("no space") for row in run(root)].count(True) == 2
    names = exports(monkeypatch)
    run(root)
    assert names == ["a.pth"]


@pytest.mark.slow
def test_a_model_that_the_command_did_not_make_stays(root, monkeypatch) -> None:
    (root / "models" / "catalogue.json").unlink()
    before = (root / "models" / "a.onnx").read_bytes()
    rows = {row.file: row for row in run(root)}
    assert (root / "models" / "a.onnx").read_bytes() == before
    assert str(rows["a.pth"].model).startswith("a-")


@pytest.mark.slow
@pytest.mark.parametrize("ended_by", ["error", "ctrl-c", "kill"])
def test_an_export_that_was_to_be_replaced_stays_the_commands(ended_by, root, monkeypatch) -> None:
    state, during = root / "models" / "catalogue.json", ""

    def ended(*_: object, **__: object) -> None:
        nonlocal during
        during = state.read_text(encoding="utf-8")
        raise KeyboardInterrupt if ended_by != "error" else MemoryError

    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(sr_export.catalogue, "export_onnx", ended)
        run(root, precision="fp16")
    if ended_by == "kill":
        state.write_text(during, encoding="utf-8")
    before = {path.name for path in (root / "models").rglob("*.onnx")}
    rows = {row.file: row for row in run(root, precision="fp16", again=True)}
    assert rows["a.pth"].model == "a.onnx"
    assert {path.name for path in (root / "models").rglob("*.onnx")} == before


@pytest.mark.slow
def test_ctrl_c_while_options_are_changed_forgets_no_export(root, monkeypatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sr_export.catalogue, "export_onnx", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(root, precision="fp16")
    names = exports(monkeypatch)
    run(root)
    assert names == []


@pytest.mark.slow
@pytest.mark.parametrize("ended_by", [KeyboardInterrupt, StorageError])
def test_a_file_that_lies_where_no_export_came_to_be_stays(ended_by, root, monkeypatch) -> None:
    def ended(*_: object, **__: object) -> None:
        raise ended_by("no export")

    shutil.rmtree(root / "models")
    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(sr_export.catalogue, "export_onnx", ended)
        run(root)
    (root / "models" / "a.onnx").write_bytes(b"of the user")
    rows = {row.file: row for row in run(root)}
    assert (root / "models" / "a.onnx").read_bytes() == b"of the user"
    assert str(rows["a.pth"].model).startswith("a-")


@pytest.mark.slow
def test_an_export_that_the_user_has_changed_stays(root) -> None:
    names = ["a.onnx"]
    for _ in range(3):
        model = root / "models" / names[-1]
        model.write_bytes(model.read_bytes()[:-1])
        before = model.read_bytes()
        rows = {row.file: row for row in run(root)}
        assert model.read_bytes() == before
        names.append(str(rows["a.pth"].model))
    assert len(set(names)) == 4


@pytest.mark.slow
def test_a_checkpoint_is_not_known_by_a_file_that_has_another_ones_weights_now(
    root, monkeypatch
) -> None:
    checkpoint, older = root / "downloads" / "a.pth", root / "older.pth"
    shutil.rmtree(root / "downloads" / "more")
    checkpoint.rename(older)
    save_generator(SRVGGNetCompact(num_features=2, num_convolutions=1), checkpoint)
    (root / "models" / "a.onnx").unlink()
    assert {row.file: row.model for row in run(root)}["a.pth"] == "a.onnx"
    names = exports(monkeypatch)
    older.rename(root / "downloads" / "older.pth")
    assert {row.file: row.model for row in run(root)}["older.pth"] == "older.onnx"
    assert names == ["older.pth"]


def test_folders_that_cannot_be_used_are_refused(tmp_path) -> None:
    with pytest.raises(ArgumentError, match="no such folder"):
        sr_export.export_folder(tmp_path / "no", tmp_path / "out")
    with pytest.raises(ArgumentError, match="no checkpoints here"):
        sr_export.export_folder(tmp_path, tmp_path / "out")
    (tmp_path / "m.pth").touch()
    with pytest.raises(ArgumentError, match="lies in the folder"):
        sr_export.export_folder(tmp_path, tmp_path / "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "in").mkdir()
    (tmp_path / "m.pth").rename(tmp_path / "in" / "m.pth")
    number = '[{"file": "a.pth", "sha256": "0", "made_by": 5}]'
    for damaged in ("[{}]", "5", "[" * 100_000, number):
        (tmp_path / "out" / "catalogue.json").write_text(damaged)
        with pytest.raises(DataError, match="damaged"):
            sr_export.export_folder(tmp_path / "in", tmp_path / "out")


@pytest.mark.skipif(sys.platform != "linux", reason="names are text there")
def test_a_name_that_is_no_text_and_a_file_that_is_gone_fail_alone(tmp_path) -> None:
    downloads = tmp_path / "in"
    downloads.mkdir()
    names = [b"a.pth", b"b\xff.pth", b"c.pth", b"d/e.pth"]
    (downloads / "d").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "d").write_text("a file in the place of a folder")
    for name in names:
        (downloads / os.fsdecode(name)).write_bytes(b"<html>" + name)
    pages = []

    def remove(number: int, total: int, _: sr_export.CatalogueRow) -> None:
        pages.append((tmp_path / "out" / "catalogue.md").read_text(encoding="utf-8"))
        (downloads / "c.pth").unlink(missing_ok=True)

    rows = sr_export.export_folder(downloads, tmp_path / "out", on_row=remove)
    assert [os.fsencode(row.file) for row in rows] == names
    why = [str(row.failed) for row in rows]
    assert "web page" in why[1]
    assert "cannot be read" in why[2]
    assert "cannot be created" in why[3]
    assert "come to 3 of them yet" in pages[0]
    assert "yet" not in pages[-1]
    assert r"b\xff.pth" in pages[-1]
    (tmp_path / "out" / "catalogue.csv").read_text(encoding="utf-8")


def test_two_processes_never_export_to_one_folder(tmp_path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "m.pth").touch()
    (tmp_path / "out").mkdir()
    with open_lock(tmp_path / "out" / ".lock") as lock:
        assert try_lock(lock.fileno())
        with pytest.raises(ArgumentError, match="another process"):
            sr_export.export_folder(tmp_path / "in", tmp_path / "out")
    assert len(sr_export.export_folder(tmp_path / "in", tmp_path / "out")) == 1

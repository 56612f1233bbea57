"""The user's folder of models: where it is, and which files in it are found by which name."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import PIL.Image
import pytest

import sr_runtime
from sr_runtime import ArgumentError, ModelError, StorageError
from sr_runtime.__main__ import main
from sr_runtime.backends.tensorrt.cache_folder import cache_folder
from sr_runtime.cli.names import Naming
from sr_runtime.embedded import model_file
from sr_runtime.model_folder import models_folder, name_problem, own_names, stem_of
from sr_runtime.output_size import OutputSize
from sr_runtime.storage.user_folder import user_folder

NAME = "2x_Photo_v1.2"


@pytest.fixture
def own(own_models: Path, tiny_onnx: Callable[..., Path]) -> Path:
    """The user's model NAME."""
    own_models.mkdir()
    return Path(shutil.copy(tiny_onnx(scale_factor=2), own_models / f"{NAME}.onnx"))


def on(system: str, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Have a program find the folders that `system` has for the user of `home`."""
    for name in ("SR_MODELS", "SR_CACHE", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(Path, "home", lambda: home)
    monkeypatch.setenv("LOCALAPPDATA", str(home / "local"))


@pytest.mark.parametrize(
    ("system", "models", "caches"),
    [
        ("linux", ".local/share/sr-toolkit/models", ".cache/sr-toolkit"),
        (
            "darwin",
            "Library/Application Support/sr-toolkit/Models",
            "Library/Caches/sr-toolkit",
        ),
        ("win32", "local/sr-toolkit/Models", "local/sr-toolkit/Cache"),
    ],
)
def test_the_folders_are_where_each_system_has_them(
    system: str, models: str, caches: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    on(system, monkeypatch, tmp_path)
    assert (user_folder("models"), user_folder("caches")) == (tmp_path / models, tmp_path / caches)


def test_another_folder_is_the_environments(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    on("linux", monkeypatch, tmp_path)
    for variable in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(variable, "relative, so ignored")
    assert user_folder("models") == tmp_path / ".local/share/sr-toolkit/models"
    assert user_folder("caches") == tmp_path / ".cache/sr-toolkit"
    for variable in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    assert user_folder("models") == tmp_path / "XDG_DATA_HOME/sr-toolkit/models"
    assert user_folder("caches") == tmp_path / "XDG_CACHE_HOME/sr-toolkit"
    for variable in ("SR_MODELS", "SR_CACHE"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    assert user_folder("models") == models_folder() == tmp_path / "SR_MODELS"
    assert user_folder("caches") == cache_folder() == tmp_path / "SR_CACHE"


def test_a_user_without_a_home_is_told_what_to_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    on("linux", monkeypatch, tmp_path)

    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", unknown)
    with pytest.raises(StorageError, match="set SR_MODELS"):
        sr_runtime.load("rrdb")
    sr_runtime.load("psnr").close()


def test_a_model_of_the_folder_is_opened_by_its_name(own: Path) -> None:
    assert model_file(NAME) == own
    with sr_runtime.load(NAME) as upscaler:
        assert upscaler.info.scale == 2


def test_results_have_the_whole_name_of_the_model(own: Path, tmp_path: Path) -> None:
    PIL.Image.new("RGB", (20, 10)).save(tmp_path / "photo.png")
    assert main(["upscale", str(tmp_path / "photo.png"), "-q", "-m", NAME]) == 0
    with PIL.Image.open(tmp_path / f"photo_{NAME}_x2.png") as large:
        assert large.size == (40, 20)


@pytest.mark.parametrize(
    ("model", "stem"),
    [
        ("psnr", "psnr"),
        (NAME, NAME),
        (f"models/{NAME}.onnx", NAME),
        ("rrdb.engine", "rrdb"),
        ("RRDB.ONNX", "RRDB"),
    ],
)
def test_a_name_of_a_result_has_a_model_without_folder_and_suffix(model: str, stem: str) -> None:
    assert stem_of(model) == stem
    naming = Naming(model=model, scale=4, size=OutputSize())
    assert naming.label == f"{stem}_x4"


def test_a_path_is_a_path(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(NAME).write_text("no model")
    assert model_file(NAME) == own
    for path in (Path(NAME), f"./{NAME}", f"{own.parent}/{NAME}.onnx"):
        assert model_file(path) == Path(path)
    with pytest.raises(ModelError, match=rf"did you mean {NAME}\?"):
        model_file(f"{NAME}.onnx")  # in this folder there is none


def test_a_folder_of_results_with_the_same_name_does_not_hide_a_model(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(NAME).mkdir()
    assert model_file(NAME) == own


def test_the_package_comes_first(own: Path) -> None:
    own.rename(own.with_name("psnr.onnx"))
    assert model_file("psnr") != own.with_name("psnr.onnx")


@pytest.mark.parametrize("typo", ["2x_Photo_v1.3", "2x_photo_v1.2", "2x_Foto_v1.2"])
def test_a_mistyped_name_is_answered_with_the_users_own(own: Path, typo: str) -> None:
    with pytest.raises(
        ModelError, match=rf"did you mean {NAME}\? \(.*your folder of models {NAME}"
    ):
        model_file(typo)


def test_a_link_in_the_folder_is_followed_and_a_dangling_one_named(
    own: Path, tmp_path: Path
) -> None:
    link = own.with_name("link.onnx")
    try:
        link.symlink_to(own)
    except OSError as error:  # Windows lets only some users make them
        pytest.skip(f"no links here: {error}")
    assert model_file("link") == link
    own.unlink()
    with pytest.raises(ModelError, match=r"link\.onnx: this link leads to no file"):
        model_file("link")


@pytest.mark.parametrize("word", ["rrdb", "a\0b", "n" * 300, "\ud800", "a<b", "con"])
def test_a_folder_that_is_not_there_has_no_models(word: str) -> None:
    assert own_names() == []
    with pytest.raises((ModelError, StorageError)) as raised:
        model_file(word)
    assert "your folder" not in str(raised.value)


def test_a_file_in_place_of_the_folder_is_told(own_models: Path, capsys) -> None:
    own_models.write_text("no folder")
    assert main(["info", "rrdb"]) == 2
    said = capsys.readouterr().err
    assert str(own_models) in said
    assert "set SR_MODELS" in said
    assert main(["info", "psnr.onnx"]) == 2  # a file's name, which no folder of models is asked for
    assert "SR_MODELS" not in capsys.readouterr().err


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything"
)
def test_a_folder_that_cannot_be_read_is_told(own: Path) -> None:
    own.parent.chmod(0)
    try:
        with pytest.raises(StorageError, match="set SR_MODELS"):
            model_file(NAME)
    finally:
        own.parent.chmod(0o700)


@pytest.mark.parametrize(
    "name", ["rrdb", "4x-UltraSharp", NAME, "mein Modell", "超解像", "a" * 200]
)
def test_names_that_a_file_can_have_everywhere(name: str) -> None:
    assert name_problem(name) is None


@pytest.mark.parametrize(
    "name",
    ["", "a" * 201, "a/b", "a\\b", "..", ".a", "-m", " a", "a ", "a.", "a:b", "a\nb", "a\u202eb",
     "CON", "nul.x", "COM¹", "rrdb.onnx", "net.PTH", "\udcff"],
)  # fmt: skip
def test_names_that_some_system_refuses_or_that_are_files(name: str) -> None:
    assert name_problem(name)


def test_a_model_is_a_name_or_a_path() -> None:
    with pytest.raises(ArgumentError):
        model_file(3)  # type: ignore[arg-type]

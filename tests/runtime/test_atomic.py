"""What is at a place before something is written there: files, links, pipes, folders."""

import os
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sr_runtime.errors import ArgumentError, SRError, StorageError
from sr_runtime.storage.atomic import atomic_folder, atomic_path, check_target
from sr_runtime.storage.lock import open_lock

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write(target: Path, content: str = "new") -> None:
    with atomic_path(target) as temporary:
        temporary.write_text(content)


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@needs_posix
def test_a_new_file_has_the_users_default_mode(tmp_path: Path, umask: None) -> None:
    write(tmp_path / "a")
    assert mode(tmp_path / "a") == 0o640


@needs_posix
@pytest.mark.parametrize("private", [0o600, 0o664, 0o755])
def test_a_file_that_is_replaced_keeps_its_mode(tmp_path: Path, umask: None, private: int) -> None:
    target = tmp_path / "a"
    target.write_text("old")
    target.chmod(private)
    with atomic_path(target) as temporary:
        assert mode(temporary) == 0o600, "nobody else may read it before its mode is known"
        temporary.write_text("new")
    assert (target.read_text(), mode(target)) == ("new", private)


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="only root gives files away"
)
def test_what_root_replaces_still_belongs_to_the_user(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_text("old")
    os.chown(target, 1234, 5678)
    write(target)
    assert (target.stat().st_uid, target.stat().st_gid) == (1234, 5678)


@needs_posix
@pytest.mark.parametrize("exists", [True, False])
def test_a_link_stays_and_its_target_is_written(tmp_path: Path, exists: bool) -> None:
    (tmp_path / "disk").mkdir()
    target = tmp_path / "disk/file.txt"
    if exists:
        target.write_text("old")
    (tmp_path / "second").symlink_to("disk/file.txt")
    link = tmp_path / "first"
    link.symlink_to("second")
    check_target(link)
    with atomic_path(link) as temporary:
        assert temporary.parent == target.parent, "a rename does not reach another disk"
        temporary.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert names(target.parent) == ["file.txt"]


@needs_posix
@pytest.mark.parametrize("to", ["loop", "folder", "missing/file"])
def test_a_link_that_leads_to_no_file_is_refused_by_its_name(tmp_path: Path, to: str) -> None:
    (tmp_path / "folder").mkdir()
    link = tmp_path / "loop"
    link.symlink_to(to)
    for attempt in (check_target, write):
        with pytest.raises(SRError) as caught:
            attempt(link)
        assert caught.value.path == link
    assert names(tmp_path) == ["folder", "loop"]
    assert names(tmp_path / "folder") == []


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="only root makes links of other users"
)
def test_a_link_that_another_user_planted_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("content")
    shared = tmp_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    link = shared / "link"
    link.symlink_to("../precious")
    os.chown(link, 1234, 5678, follow_symlinks=False)
    for attempt in (check_target, write):
        with pytest.raises(StorageError, match="another user made"):
            attempt(link)
    assert (tmp_path / "precious").read_text() == "content"
    os.chown(link, 0, 0, follow_symlinks=False)
    write(link)
    assert (tmp_path / "precious").read_text() == "new"


@needs_posix
def test_a_link_to_an_input_is_an_input(tmp_path: Path) -> None:
    (tmp_path / "input").write_text("precious")
    (tmp_path / "link").symlink_to("input")
    with pytest.raises(ArgumentError, match="never overwritten"):
        check_target(tmp_path / "link", inputs=[tmp_path / "input"])


def test_another_name_of_a_file_keeps_the_old_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    (tmp_path / "backup").hardlink_to(tmp_path / "a")
    write(tmp_path / "a")
    assert (tmp_path / "backup").read_text() == "old"


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write it")
def test_a_read_only_file_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_text("old")
    target.chmod(0o444)
    for attempt in (check_target, write):
        with pytest.raises(StorageError, match="read-only"):
            attempt(target)
    assert target.read_text() == "old"


def test_of_two_that_write_one_file_the_last_wins_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "a"
    with atomic_path(target) as first:
        first.write_text("first, and longer")
        with atomic_path(target) as second:
            second.write_text("second")
        assert target.read_text() == "second"
    assert target.read_text() == "first, and longer"
    assert names(tmp_path) == ["a"]


@needs_posix
def test_a_pipe_gets_the_content_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe.txt", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    check_target(pipe)
    write(pipe)
    reader.join()
    assert read == ["new"]
    assert names(tmp_path) == ["pipe.txt"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@needs_posix
def test_a_device_stays_a_device() -> None:
    check_target(Path(os.devnull))
    write(Path(os.devnull))
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


@needs_posix
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_standard_output_is_written_and_not_replaced(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    if not Path(name).exists():
        pytest.skip(f"this system has no {name}")
    with capfd.disabled():
        log = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
        before = os.dup(1)
        os.dup2(log, 1)
        try:
            os.write(1, b"one ")
            write(Path(name), "two ")
            os.write(1, b"three")
        finally:
            os.dup2(before, 1)
            os.close(before)
            os.close(log)
    assert (tmp_path / "log").read_text() == "one two three"


def test_a_folder_is_complete_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(StorageError), atomic_folder(tmp_path / "a") as temporary:
        (temporary / "no/file").write_text("half")
    assert names(tmp_path) == []
    with atomic_folder(tmp_path / "a") as temporary:
        (temporary / "file").write_text("whole")
    assert (tmp_path / "a/file").read_text() == "whole"


def test_a_folder_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/file").touch()
    with pytest.raises(StorageError), atomic_folder(tmp_path / "a"):
        pass
    assert names(tmp_path) == ["a"]


@needs_posix
def test_a_lock_leaves_content_alone_and_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("content")
    (tmp_path / "link").symlink_to("precious")
    with pytest.raises(StorageError, match="is a link"):
        open_lock(tmp_path / "link")
    with open_lock(tmp_path / "precious"):
        pass
    assert (tmp_path / "precious").read_text() == "content"

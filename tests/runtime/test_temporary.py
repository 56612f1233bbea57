"""What a dead process leaves is removed; what a living one writes, and other files, are not."""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from sr_runtime.storage import temporary
from sr_runtime.storage.atomic import atomic_folder, atomic_path
from sr_runtime.storage.lock import open_lock, try_lock
from sr_runtime.storage.temporary import (
    Temporary,
    remove_leftovers,
    temporary_file,
    temporary_folder,
)
from tests.runtime.test_plan import picture, plan

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks")


@pytest.fixture(autouse=True)
def a_process_that_has_looked_nowhere_yet() -> None:
    temporary._remove_leftovers.cache_clear()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def in_child(work: Callable[[], object]) -> int:
    """Do it in a process of its own; return its status."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1]


def killed_while_writing(target: Path, number: signal.Signals = signal.SIGKILL) -> None:
    """Leave behind what a process that writes `target` had done when it was killed."""

    def work() -> None:
        with atomic_path(target) as half:
            half.write_text("half")
            resource = pytest.importorskip("resource")
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            if number != signal.SIGKILL:  # a shell's background jobs ignore some
                signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    assert in_child(work) == number


def test_the_next_file_in_a_folder_replaces_what_a_killed_process_left(tmp_path: Path) -> None:
    killed_while_writing(tmp_path / "a.png")
    (left,) = names(tmp_path)
    assert left.startswith(".sr-")
    assert left.endswith(".png")
    with atomic_path(tmp_path / "b.png") as half:
        half.write_text("whole")
    assert names(tmp_path) == ["b.png"]


def test_a_folder_that_a_killed_process_left_goes_with_its_content(tmp_path: Path) -> None:
    def work() -> None:
        with atomic_folder(tmp_path / "a") as half:
            (half / "file").write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(work) == signal.SIGKILL
    remove_leftovers(tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("made", [temporary_file, temporary_folder])
def test_what_a_living_process_writes_stays(tmp_path: Path, made: Callable[[Path], object]) -> None:
    with made(tmp_path) as living:  # type: ignore[attr-defined]

        def look() -> None:
            temporary._remove_leftovers.cache_clear()
            remove_leftovers(tmp_path)

        in_child(look)
        look()
        assert living.path.exists()
    assert names(tmp_path) == []


def test_only_what_this_machine_left_is_removed(tmp_path: Path) -> None:
    name, run = temporary._machine()
    ours = [f".sr-{name}-000000-0123456789ab.png", f".sr-000000-{run}-0123456789ab.onnx"]
    others = [
        ".sr-000000-000000-0123456789ab.png",  # another machine's
        f"sr-{name}-{run}-0123456789ab.png",
        f".sr-{name}-{run}-0123456789ab.png.txt",
        ".0123456789ab.png",
        ".hidden",
        "photo.png",
    ]
    for each in ours + others:
        (tmp_path / each).write_text("content")
    link = f".sr-{name}-{run}-fedcba987654"
    (tmp_path / link).symlink_to("photo.png")
    remove_leftovers(tmp_path)
    assert names(tmp_path) == sorted([*others, link])
    assert (tmp_path / "photo.png").read_text() == "content"


def test_a_drive_without_locks_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(descriptor: int) -> bool:
        raise OSError("no locks available")

    killed_while_writing(tmp_path / "a")
    monkeypatch.setattr(temporary, "try_lock", no_locks)
    with atomic_path(tmp_path / "b") as half:
        half.write_text("whole")
    assert len(names(tmp_path)) == 2


def test_a_file_that_is_taken_for_abandoned_while_it_is_made_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the creation of a file and its lock another process can find it."""
    made: list[Path] = []
    lock = temporary.try_lock

    def late(descriptor: int) -> bool:
        if not made:
            made.extend(tmp_path.iterdir())
            made[0].unlink()
        return lock(descriptor)

    monkeypatch.setattr(temporary, "try_lock", late)
    with temporary_file(tmp_path) as second:
        assert [*tmp_path.iterdir()] == [second.path] != made


def test_a_lock_ends_with_its_process_though_workers_were_forked_from_it(tmp_path: Path) -> None:
    ready, go_on = os.pipe(), os.pipe()
    with open_lock(tmp_path / ".lock") as lock:
        assert try_lock(lock.fileno())
        child = os.fork()
        if child == 0:
            os.close(go_on[1])
            os.write(ready[1], b"x")
            os.read(go_on[0], 1)
            os._exit(0)
        os.read(ready[0], 1)
    with open_lock(tmp_path / ".lock") as again:
        assert try_lock(again.fileno())
    os.close(go_on[1])
    os.waitpid(child, 0)
    for descriptor in (*ready, go_on[0]):
        os.close(descriptor)


@pytest.mark.parametrize("made", [temporary_file, temporary_folder])
def test_a_forked_process_neither_removes_nor_locks_what_its_parent_writes(
    tmp_path: Path, made: Callable[[Path], AbstractContextManager[Temporary]]
) -> None:
    ready, go_on = os.pipe(), os.pipe()
    block = made(tmp_path)
    written = block.__enter__()
    child = os.fork()
    if child == 0:
        os.close(go_on[1])
        block.__exit__(None, None, None)
        os.write(ready[1], b"x")
        os.read(go_on[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    assert written.path.exists()
    written.release()  # as if this process were killed, and its child lived on
    temporary._remove_leftovers.cache_clear()
    remove_leftovers(tmp_path)
    assert not written.path.exists()
    os.close(go_on[1])
    os.waitpid(child, 0)
    for descriptor in (*ready, go_on[0]):
        os.close(descriptor)


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGUSR1])
def test_what_other_signals_leave_is_removed_too(tmp_path: Path, number: signal.Signals) -> None:
    killed_while_writing(tmp_path / "a.png", number)
    assert len(names(tmp_path)) == 1
    remove_leftovers(tmp_path)
    assert names(tmp_path) == []


def test_a_machine_is_recognised_after_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    before = temporary._machine()
    temporary._machine.cache_clear()
    monkeypatch.setattr(Path, "read_text", lambda path: "another run")
    after = temporary._machine()
    assert after[0] == before[0]
    assert after[1] != before[1]
    temporary._machine.cache_clear()


def test_a_folder_where_every_result_exists_is_tidied_too(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.png")
    picture(tmp_path / "out/a.png")
    killed_while_writing(tmp_path / "out/a.png")
    assert plan([tmp_path / "in"], tmp_path / "out", skip_existing=True).jobs == []
    assert names(tmp_path / "out") == ["a.png"]

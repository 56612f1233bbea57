"""Preparing beside other processes, on full disks, and when it is terminated or killed."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sr_runtime.errors import ArgumentError, StorageError
from sr_runtime.storage import temporary
from sr_train.data.prepared import prepared
from sr_train.lock import only_process_in
from tests.running import is_running
from tests.train.made_images import SIZE, prepare_own, save_folder, tree


def test_processes_that_prepare_the_same_set_wait_for_one_another(tmp_path: Path) -> None:
    save_folder(tmp_path / "mine", SIZE, SIZE)
    root = tmp_path / "data"
    lines: list[str] = []
    with only_process_in(root / "mine", lines.append):
        others = [
            threading.Thread(
                target=prepare_own, args=(tmp_path / "mine", root), kwargs={"report": lines.append}
            )
            for _ in range(2)
        ]
        for other in others:
            other.start()
        deadline = time.monotonic() + 20
        while len(lines) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert all("mine: another process is preparing it" in line for line in lines)
        assert tree(root) == {}
    for other in others:
        other.join()
    said = [line for line in lines if "another process" not in line]
    assert sorted("2 images packed" in line for line in said) == [False, True]
    assert sorted("already prepared" in line for line in said) == [False, True]


def test_a_process_that_waited_for_one_that_made_nothing_makes_the_folder_anew(
    tmp_path: Path,
) -> None:
    save_folder(tmp_path / "mine", SIZE)
    root = tmp_path / "data"
    waits = threading.Event()

    def report(line: str) -> None:
        if "another process" in line:
            waits.set()

    other = threading.Thread(
        target=prepare_own, args=(tmp_path / "mine", root), kwargs={"report": report}
    )
    with only_process_in(root / "mine", report):
        other.start()
        assert waits.wait(20)
    other.join()
    (own,) = prepared("mine", root=root, scale=4, purpose="val")
    own.verify()
    with only_process_in(root / "mine", report):
        pass
    assert (root / "mine/all").is_dir()


def test_too_little_space_is_noticed_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_folder(tmp_path / "mine", SIZE)
    little = shutil.disk_usage(tmp_path)._replace(free=4000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: little)
    with pytest.raises(StorageError, match=r"4,080 bytes .* 4,000 .*--root"):
        prepare_own(tmp_path / "mine", tmp_path / "data")
    assert tree(tmp_path / "data") == {}


FILL = """
import resource, signal, sys
from pathlib import Path
from sr_runtime.errors import StorageError
from sr_train.data.build.prepare import prepare

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
try:
    prepare(sys.argv[1], root=sys.argv[2])
except StorageError as error:
    sys.exit(str(error))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of file sizes")
def test_a_disk_that_fills_up_leaves_the_prepared_set_unchanged(tmp_path: Path) -> None:
    save_folder(tmp_path / "mine", SIZE)
    prepare_own(tmp_path / "mine", tmp_path / "data")
    before = tree(tmp_path / "data")
    save_folder(tmp_path / "mine", SIZE, SIZE)
    command = [sys.executable, "-c", FILL, tmp_path / "mine", tmp_path / "data"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert re.search(r"mine/all/\w+\.bin: .*File too large", run.stderr)
    assert tree(tmp_path / "data") == before


KILL = """
import multiprocessing, os, signal, sys
from pathlib import Path
from sr_train.__main__ import main
from sr_train.data.build import packing

if __name__ == "__main__":
    progress = packing.tqdm

    def kill_in_the_middle(*arguments, **options):
        for number, images in enumerate(progress(*arguments, **options)):
            if number == 1:  # the first image is written
                children = multiprocessing.active_children()
                print(*(child.pid for child in children), flush=True)
                os.kill(os.getpid(), signal.SIGKILL)
            yield images

    packing.tqdm = kill_in_the_middle
    sys.exit(main(["prepare", sys.argv[1], "--root", sys.argv[2], "--jobs", "2"]))
"""


TERMINATE = KILL.replace("SIGKILL", "SIGTERM")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_sigterm_cleans_up_as_ctrl_c_does(tmp_path: Path) -> None:
    save_folder(tmp_path / "mine", SIZE, SIZE, SIZE)
    (tmp_path / "terminate.py").write_text(TERMINATE)
    command = [sys.executable, tmp_path / "terminate.py", tmp_path / "mine", tmp_path / "data"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == 128 + signal.SIGTERM
    assert run.stderr.splitlines()[-1] == "interrupted"
    assert "Traceback" not in run.stderr
    assert "resource_tracker" not in run.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_after_sigkill_no_process_is_left_and_the_next_call_starts_from_the_beginning(
    tmp_path: Path,
) -> None:
    save_folder(tmp_path / "mine", SIZE, SIZE, SIZE)
    (tmp_path / "kill.py").write_text(KILL)
    command = [sys.executable, tmp_path / "kill.py", tmp_path / "mine", tmp_path / "data"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == -signal.SIGKILL, run.stderr
    children = [int(pid) for pid in run.stdout.split()]
    assert children
    deadline = time.monotonic() + 20
    while any(is_running(pid) for pid in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with pytest.raises(ArgumentError, match="not prepared"):
        prepared("mine", root=tmp_path / "data", scale=4, purpose="val")
    own = prepare_own(tmp_path / "mine", tmp_path / "data")
    own.verify()
    names = sorted(path.name for path in own.folder.iterdir())
    assert names == ["hr.bin", "lr_x4.bin", "x4.json"]


def test_files_that_no_index_names_are_removed_by_the_next_call(tmp_path: Path) -> None:
    save_folder(tmp_path / "mine", SIZE)
    folder = tmp_path / "data/mine/all"
    folder.mkdir(parents=True)
    (folder / "hr.bin").write_bytes(b"complete, but of no index")
    (folder / "lr_x4.npy").write_bytes(b"of an earlier version")
    own = prepare_own(tmp_path / "mine", tmp_path / "data")
    own.verify()
    assert sorted(path.name for path in folder.iterdir()) == ["hr.bin", "lr_x4.bin", "x4.json"]


def test_what_a_killed_call_left_is_removed_though_the_set_is_prepared(tmp_path: Path) -> None:
    save_folder(tmp_path / "mine", SIZE)
    root = tmp_path / "data"
    folder = prepare_own(tmp_path / "mine", root).folder
    (folder / "lr_x2.bin").write_bytes(b"of an index that was just removed")
    # As a dead process names its files, on the same machine.
    leftover = f".sr-{'-'.join(temporary._machine())}-0123456789ab"
    (root / "downloads" / leftover).mkdir(parents=True)
    (folder / f"{leftover}.bin").touch()
    temporary._remove_leftovers.cache_clear()  # each process looks once
    prepare_own(tmp_path / "mine", root)
    assert sorted(path.name for path in folder.iterdir()) == ["hr.bin", "lr_x4.bin", "x4.json"]
    assert not list((root / "downloads").iterdir())

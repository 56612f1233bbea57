"""Rows that a run left behind are gone on with, and only where they are right."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sr_runtime import ArgumentError, StorageError
from sr_runtime.large.kept_rows import KeptRows
from sr_runtime.storage import part_folder
from sr_runtime.storage.lock import try_lock

SHAPE, MADE_FROM = (9, 4, 3), {"source": "scan.tif", "model": "psnr"}
ROWS = np.random.default_rng(3).integers(0, 256, SHAPE, np.uint8)


def keep(target: Path, *bands: tuple[int, int]) -> None:
    with KeptRows(target, MADE_FROM) as kept:
        assert kept.start(SHAPE, ROWS.dtype) == bands[0][0]
        for begin, end in bands:
            kept.write(ROWS[begin:end])


def there(target: Path) -> int:
    with KeptRows(target, MADE_FROM) as kept:
        return kept.start(SHAPE, ROWS.dtype)


def test_a_run_goes_on_behind_the_last_band(tmp_path: Path) -> None:
    keep(tmp_path / "a.tif", (0, 3), (3, 5))
    keep(tmp_path / "a.tif", (5, 9))

    with KeptRows(tmp_path / "a.tif", MADE_FROM) as kept:
        assert kept.start(SHAPE, ROWS.dtype) == 9
        assert kept.file.read_bytes() == ROWS.tobytes()
        kept.remove()
    assert not list(tmp_path.iterdir())


def test_rows_behind_a_damaged_or_cut_band_are_made_again(tmp_path: Path) -> None:
    target = tmp_path / "a.tif"
    keep(target, (0, 3), (3, 5), (5, 8))
    rows = tmp_path / "a.tif.part" / "rows"
    content = rows.read_bytes()

    rows.write_bytes(content[:-1])
    assert there(target) == 5
    changed = bytearray(content)
    changed[3 * 12] ^= 1
    rows.write_bytes(changed)
    assert there(target) == 3


def test_rows_of_another_result_are_refused_and_kept(tmp_path: Path) -> None:
    keep(tmp_path / "a.tif", (0, 3))

    with (
        KeptRows(tmp_path / "a.tif", MADE_FROM | {"model": "esrgan"}) as kept,
        pytest.raises(ArgumentError, match="model psnr and not esrgan: give the same options"),
    ):
        kept.start(SHAPE, ROWS.dtype)
    with (
        KeptRows(tmp_path / "a.tif", MADE_FROM) as kept,
        pytest.raises(ArgumentError, match="size 4×9 and not 4×8"),
    ):
        kept.start((8, 4, 3), ROWS.dtype)
    assert there(tmp_path / "a.tif") == 3


def test_two_processes_do_not_make_one_result(tmp_path: Path) -> None:
    with (
        KeptRows(tmp_path / "a.tif", MADE_FROM),
        pytest.raises(StorageError, match="another process"),
        KeptRows(tmp_path / "a.tif", MADE_FROM),
    ):
        pass


def test_the_end_of_a_run_leaves_the_next_one_alone(tmp_path: Path) -> None:
    target = tmp_path / "a.tif"
    with KeptRows(target, MADE_FROM) as first:
        first.start(SHAPE, ROWS.dtype)
        first.remove()
        following = KeptRows(target, MADE_FROM).__enter__()
        following.start(SHAPE, ROWS.dtype)

    assert following.file.exists()
    following.__exit__()
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="removes nothing that is open")
def test_a_folder_that_goes_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.tif"
    ending = KeptRows(target, MADE_FROM).__enter__()

    def lock_late(descriptor: int) -> bool:
        ending.__exit__()
        return try_lock(descriptor)

    monkeypatch.setattr(part_folder, "try_lock", lock_late)
    with KeptRows(target, MADE_FROM) as kept:
        assert kept.start(SHAPE, ROWS.dtype) == 0
        kept.write(ROWS)


def test_a_folder_with_other_files_is_refused_and_kept(tmp_path: Path) -> None:
    other = tmp_path / "a.tif.part" / "letter.txt"
    other.parent.mkdir()
    other.write_text("dear reader")

    with (
        pytest.raises(StorageError, match="holds other files: rename it"),
        KeptRows(tmp_path / "a.tif", MADE_FROM),
    ):
        pass
    assert other.read_text() == "dear reader"


def test_a_source_may_have_a_name_that_is_not_utf_8(tmp_path: Path) -> None:
    made_from = MADE_FROM | {"source": os.fsdecode(b"scan\xff.tif")}
    for there in (0, 3):
        with KeptRows(tmp_path / "a.tif", made_from) as kept:
            assert kept.start(SHAPE, ROWS.dtype) == there
            kept.write(ROWS[there : there + 3])


def test_a_damaged_journal_names_the_folder_to_delete(tmp_path: Path) -> None:
    keep(tmp_path / "a.tif", (0, 3))
    (tmp_path / "a.tif.part" / "journal.json").write_text('{"bands"')

    with pytest.raises(StorageError, match="delete the folder"):
        there(tmp_path / "a.tif")


def test_more_rows_than_the_disk_has_room_for_are_refused_before_the_work(tmp_path: Path) -> None:
    with (
        KeptRows(tmp_path / "a.tif", MADE_FROM) as kept,
        pytest.raises(StorageError, match="MB of the disk are free"),
    ):
        kept.start((1 << 30, 1 << 24, 3), ROWS.dtype)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_whenever_a_run_is_killed_its_bands_are_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.tif"
    program = f"""if True:
        import numpy as np, sys
        from pathlib import Path
        from sr_runtime.large.kept_rows import KeptRows
        with KeptRows(Path({str(target)!r}), {{}}) as kept:
            there = kept.start((1 << 20, 64, 3), np.dtype(np.uint8))
            print(there, flush=True)
            while True:
                kept.write(np.full((5, 64, 3), there % 251, np.uint8))
                there += 5
        """
    reached = 0
    for delay in (0.05, 0.1, 0.2):
        run = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
        assert run.stdout is not None
        assert int(run.stdout.readline()) >= reached
        with pytest.raises(subprocess.TimeoutExpired):
            run.wait(delay)
        run.send_signal(signal.SIGKILL)
        run.communicate()
        with KeptRows(target, {}) as kept:
            now = kept.start((1 << 20, 64, 3), np.dtype(np.uint8))
            assert now > reached
            reached = now
            content = np.fromfile(kept.file, np.uint8).reshape(-1, 64, 3)
    assert len(content) == reached
    np.testing.assert_array_equal(content[:, 0, 0], np.arange(reached) // 5 * 5 % 251)

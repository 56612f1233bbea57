"""The journal and the claims of a folder: what is done, and who does what."""

import itertools
import os
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sr_runtime.batch.job import Job
from sr_runtime.batch.journal import JOURNAL, Journal
from sr_runtime.batch.ledger import Ledger
from sr_runtime.errors import StorageError
from sr_runtime.storage.atomic import atomic_path
from sr_runtime.storage.temporary import Temporary

SETTINGS = {"model": "a", "halo": "16"}
TIMES = itertools.count(10**18, 10**10)  # more than a step of FAT between two


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job whose result is there."""
    (tmp_path / "photo.jpg").write_bytes(b"a photo")
    made = Job.of(tmp_path / "photo.jpg", tmp_path / "out/photo.png")
    made.place.mkdir()
    made.target.write_bytes(b"its result")
    return made


def make(job: Job, content: bytes = b"its result", settings: dict[str, str] = SETTINGS) -> None:
    """Write the result, as a run does."""
    claim = Ledger(settings).claim(job)
    assert claim is not None
    try:
        with claim.noting(), atomic_path(job.target) as temporary:
            temporary.write_bytes(content)
            os.utime(temporary, ns=(next(TIMES), next(TIMES)))
    finally:
        claim.release()


def test_a_result_is_done_once_it_is_noted_whoever_asks(job: Job) -> None:
    asked_before = Ledger(SETTINGS)
    assert not asked_before.is_done(job)
    make(job)
    assert asked_before.is_done(job)
    assert Ledger(SETTINGS).is_done(job)
    assert pickle.loads(pickle.dumps(asked_before)).is_done(job)


def test_a_source_that_changed_is_done_again_and_one_that_was_copied_is_not(job: Job) -> None:
    make(job)
    os.utime(job.source, (1, 1))
    assert Ledger(SETTINGS).is_done(job)
    job.source.write_bytes(b"A photo")  # of the same size
    assert not Ledger(SETTINGS).is_done(job)
    job.source.write_bytes(b"another photo")
    assert not Ledger(SETTINGS).is_done(job)
    make(job)
    assert Ledger(SETTINGS).is_done(job)


def test_other_settings_a_missing_result_and_a_missing_source_are_not_done(job: Job) -> None:
    make(job)
    assert not Ledger(SETTINGS | {"halo": "32"}).is_done(job)
    job.target.rename(job.place / "aside.png")
    assert not Ledger(SETTINGS).is_done(job)
    (job.place / "aside.png").rename(job.target)
    job.source.unlink()
    assert not Ledger(SETTINGS).is_done(job)


@pytest.mark.parametrize("is_removed", [True, False])
def test_the_result_of_a_source_that_changes_meanwhile_is_made_again(
    is_removed: bool, job: Job
) -> None:
    claim = Ledger(SETTINGS).claim(job)
    assert claim is not None
    with claim.noting(), atomic_path(job.target) as temporary:
        temporary.write_bytes(b"its result")
        if is_removed:
            job.source.unlink()
        else:
            job.source.write_bytes(b"saved again meanwhile")
    claim.release()
    assert not Ledger(SETTINGS).is_done(job)
    assert Ledger(SETTINGS).made_of([job]) == [job]


def test_only_what_a_run_has_made_is_its_result(job: Job) -> None:
    assert Ledger(SETTINGS).made_of([job]) == []
    make(job)
    assert Ledger(SETTINGS).made_of([job]) == [job]
    time = job.target.stat().st_mtime_ns
    os.utime(job.target, ns=(time, time + 10**9))  # as a FAT file system keeps it
    assert Ledger(SETTINGS).made_of([job]) == [job]
    os.utime(job.target, ns=(time, time + 10**10))
    assert Ledger(SETTINGS).made_of([job]) == []
    os.utime(job.target, ns=(time, time))
    job.target.write_bytes(b"a photo of the user's")
    os.utime(job.target, ns=(time, time))
    assert Ledger(SETTINGS).made_of([job]) == []


def test_a_copy_of_a_result_and_one_that_was_edited_are_done(job: Job) -> None:
    make(job)
    make(job, settings={"model": "b"})
    job.target.write_bytes(b"with less noise in the sky")
    assert Ledger({"model": "b"}).is_done(job)
    assert not Ledger(SETTINGS).is_done(job)


def test_an_edited_result_stays_that_of_its_settings_if_another_gets_no_name(job: Job) -> None:
    make(job)
    job.target.write_bytes(b"with less noise in the sky")
    os.utime(job.target, ns=(next(TIMES), next(TIMES)))
    with ended_before_the_name(), pytest.raises(KeyboardInterrupt):
        make(job, settings={"model": "b"})
    assert Ledger(SETTINGS).is_done(job)
    assert not Ledger({"model": "b"}).is_done(job)


def test_a_result_that_takes_the_place_of_another_while_one_looks_is_known(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refresh_and_wait(journal: Journal) -> None:
        refresh(journal)
        if refresh is not Journal.refresh:
            monkeypatch.undo()
            make(job, b"another, by another process")

    make(job)
    refresh = Journal.refresh
    monkeypatch.setattr(Journal, "refresh", refresh_and_wait)
    assert Ledger(SETTINGS).made_of([job]) == [job]
    assert job.target.read_bytes() == b"another, by another process"


def test_a_result_is_done_as_long_as_no_other_has_its_name(job: Job) -> None:
    other = {"model": "b"}
    make(job, b"a")
    with ended_before_the_name(), pytest.raises(KeyboardInterrupt):
        make(job, b"bb", other)
    assert Ledger(SETTINGS).is_done(job)
    assert not Ledger(other).is_done(job)
    assert Ledger(other).made_of([job]) == [job]
    make(job, b"bb", other)
    assert Ledger(other).is_done(job)
    assert not Ledger(SETTINGS).is_done(job)


@contextmanager
def ended_before_the_name() -> Iterator[None]:
    """Ctrl-C, or a kill, after the line and before the name."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Temporary, "become", interrupted)
        yield


@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no file's size")
def test_a_result_whose_line_is_cut_off_by_a_full_disk_gets_no_name(job: Job) -> None:
    import resource

    make(job)
    before, limits = job.target.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    full = (job.place / JOURNAL).stat().st_size + 9
    resource.setrlimit(resource.RLIMIT_FSIZE, (full, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"sr-journal.jsonl: cannot be written"):
            make(job, b"another")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert job.target.read_bytes() == before
    assert Ledger(SETTINGS).is_done(job)
    make(job, b"another")
    assert Ledger(SETTINGS).made_of([job]) == [job]


def test_a_line_that_a_crash_damaged_costs_nothing_but_its_own_image(job: Job) -> None:
    make(job)
    journal = job.place / JOURNAL
    other = Job.of(job.source, job.place / "other.png")
    with journal.open("ab") as file:
        file.write(b'{"target": "half a li')
    reader = Ledger(SETTINGS)
    assert reader.is_done(job)
    make(other)
    assert reader.is_done(other)
    assert Ledger(SETTINGS).is_done(job)
    assert Ledger(SETTINGS).is_done(other)
    journal.write_bytes(b"\xff\n[]\n3\n{}\n" + journal.read_bytes())
    assert Ledger(SETTINGS).is_done(job)


def test_a_journal_that_is_removed_is_forgotten(job: Job) -> None:
    reader = Ledger(SETTINGS)
    make(job)
    assert reader.is_done(job)
    (job.place / JOURNAL).unlink()
    assert not reader.is_done(job)


def test_an_image_is_claimed_once_until_it_is_released(job: Job) -> None:
    mine, theirs = Ledger(SETTINGS), Ledger(SETTINGS)
    claim = mine.claim(job)
    assert claim is not None
    assert theirs.claim(job) is None
    assert mine.claim(job) is None
    claim.release()
    taken_over = theirs.claim(job)
    assert taken_over is not None
    taken_over.release()
    assert {path.name for path in job.place.iterdir()} == {"photo.png"}


def test_claims_of_dead_processes_are_removed_and_those_of_living_ones_are_not(job: Job) -> None:
    living = Ledger(SETTINGS).claim(job)
    assert living is not None
    (job.place / ".sr-claim-0123").touch()  # whose lock the system has freed
    Ledger(SETTINGS).remove_leftovers(job.place)
    assert Ledger(SETTINGS).claim(job) is None
    living.release()
    assert {path.name for path in job.place.iterdir()} == {"photo.png"}

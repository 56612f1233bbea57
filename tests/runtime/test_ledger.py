"""The journal and the claims of a folder: what is done, and who does what."""

import os
import pickle
import sys
from pathlib import Path

import pytest

from sr_runtime.batch.job import Job
from sr_runtime.batch.journal import JOURNAL
from sr_runtime.batch.ledger import Ledger
from sr_runtime.errors import StorageError

SETTINGS = {"model": "a", "halo": "16"}


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job whose result is there."""
    (tmp_path / "photo.jpg").write_bytes(b"a photo")
    made = Job.of(tmp_path / "photo.jpg", tmp_path / "out/photo.png")
    made.place.mkdir()
    made.target.write_bytes(b"its result")
    return made


def note(job: Job, settings: dict[str, str] = SETTINGS) -> None:
    claim = Ledger(settings).claim(job)
    assert claim is not None
    try:
        claim.begin()
        claim.note_done()
    finally:
        claim.release()


def test_a_result_is_done_once_it_is_noted_whoever_asks(job: Job) -> None:
    asked_before = Ledger(SETTINGS)
    assert not asked_before.is_done(job)
    note(job)
    assert asked_before.is_done(job)
    assert Ledger(SETTINGS).is_done(job)
    assert pickle.loads(pickle.dumps(asked_before)).is_done(job)


def test_a_source_that_changed_is_done_again_and_one_that_was_copied_is_not(job: Job) -> None:
    note(job)
    os.utime(job.source, (1, 1))
    assert Ledger(SETTINGS).is_done(job)
    job.source.write_bytes(b"A photo")  # of the same size
    assert not Ledger(SETTINGS).is_done(job)
    job.source.write_bytes(b"another photo")
    assert not Ledger(SETTINGS).is_done(job)
    note(job)
    assert Ledger(SETTINGS).is_done(job)


def test_other_settings_a_missing_result_and_a_missing_source_are_not_done(job: Job) -> None:
    note(job)
    assert not Ledger(SETTINGS | {"halo": "32"}).is_done(job)
    job.target.rename(job.place / "aside.png")
    assert not Ledger(SETTINGS).is_done(job)
    (job.place / "aside.png").rename(job.target)
    job.source.unlink()
    assert not Ledger(SETTINGS).is_done(job)


def test_a_source_that_changes_during_the_work_is_to_be_done_again(job: Job) -> None:
    claim = Ledger(SETTINGS).claim(job)
    assert claim is not None
    claim.begin()
    job.source.write_bytes(b"saved again meanwhile")
    claim.note_done()
    claim.release()
    assert not Ledger(SETTINGS).is_done(job)
    assert Ledger(SETTINGS).made_of([job]) == [job]


def test_a_result_is_done_no_more_once_another_is_begun_in_its_place(job: Job) -> None:
    note(job)
    claim = Ledger({"model": "b"}).claim(job)
    assert claim is not None
    claim.begin()
    assert not Ledger(SETTINGS).is_done(job)
    assert Ledger(SETTINGS).made_of([job]) == [job]
    job.target.write_bytes(b"the result of b, which a kill keeps from being noted")
    assert not Ledger(SETTINGS).is_done(job)
    claim.release()


def test_only_what_a_run_has_made_is_its_result(job: Job) -> None:
    assert Ledger(SETTINGS).made_of([job]) == []
    note(job)
    assert Ledger(SETTINGS).made_of([job]) == [job]
    size = job.target.stat().st_size
    job.target.write_bytes(b"a photo of the same size as a result"[:size])
    os.utime(job.target, (1, 1))
    assert Ledger(SETTINGS).made_of([job]) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no file's size")
def test_a_line_that_the_disk_cuts_off_is_told(job: Job) -> None:
    import resource

    note(job)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((job.place / JOURNAL).stat().st_size + 9, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"sr-journal.jsonl: cannot be written"):
            note(job, {"model": "b"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not Ledger({"model": "b"}).is_done(job)
    note(job)
    assert Ledger(SETTINGS).is_done(job)


def test_a_line_that_a_crash_damaged_costs_nothing_but_its_own_image(job: Job) -> None:
    note(job)
    journal = job.place / JOURNAL
    other = Job.of(job.source, job.place / "other.png")
    other.target.touch()
    with journal.open("ab") as file:
        file.write(b'{"target": "half a li')
    reader = Ledger(SETTINGS)
    assert reader.is_done(job)
    note(other)
    assert reader.is_done(other)
    assert Ledger(SETTINGS).is_done(job)
    assert Ledger(SETTINGS).is_done(other)
    journal.write_bytes(b"\xff\n[]\n3\n{}\n" + journal.read_bytes())
    assert Ledger(SETTINGS).is_done(job)


def test_a_journal_that_is_removed_is_forgotten(job: Job) -> None:
    reader = Ledger(SETTINGS)
    note(job)
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

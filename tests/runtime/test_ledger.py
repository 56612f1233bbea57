"""The journal and the claims of a folder: what is done, and who does what."""

import os
import pickle
from pathlib import Path

import pytest

from sr_runtime.batch.job import Job
from sr_runtime.batch.journal import JOURNAL
from sr_runtime.batch.ledger import Ledger

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
    claim.note_done()
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


def test_a_source_that_changes_during_the_work_is_not_noted(job: Job) -> None:
    claim = Ledger(SETTINGS).claim(job)
    assert claim is not None
    job.source.write_bytes(b"saved again meanwhile")
    claim.note_done()
    claim.release()
    assert not Ledger(SETTINGS).is_done(job)


@pytest.mark.parametrize("lost", ["source", "note"])
def test_a_result_of_which_nothing_is_known_is_one_all_the_same(lost: str, job: Job) -> None:
    claim = Ledger(SETTINGS).claim(job)
    assert claim is not None
    made = job.place / "made.png"
    made.write_bytes(b"another result")
    made.replace(job.target)
    if lost == "source":
        job.source.unlink()
        claim.note_done()
    claim.release()  # without a note by Ctrl-C, or by an error of the journal's
    for _ in range(2):
        assert Ledger(SETTINGS).made_of([job]) == [job]
        Ledger(SETTINGS).remove_leftovers(job.place)
    assert not Ledger(SETTINGS).is_done(job)


def test_what_is_there_when_a_claim_ends_without_a_result_is_no_result(job: Job) -> None:
    claim = Ledger(SETTINGS).claim(job)
    assert claim is not None
    claim.release()
    assert Ledger(SETTINGS).made_of([job]) == []
    abandoned = Ledger(SETTINGS).claim(job)  # as by a kill
    assert abandoned is not None
    os.utime(job.target, (1, 1))
    assert Ledger(SETTINGS).made_of([job]) == []
    abandoned.release()


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

"""Ctrl-C while results are written: each is finished or removed before the program ends."""

import signal
import threading
import time

import pytest

from sr_runtime.batch.writing import Writing


def test_what_no_thread_could_be_started_for_is_told_and_never_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    written: list[int] = []
    with Writing(1) as writing:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refused)
            with pytest.raises(RuntimeError, match="new thread"):
                writing.submit(1, lambda: written.append(1))
        writing.submit(1, lambda: written.append(2))
    assert written == [2]


def test_what_a_thread_has_begun_that_was_there_already_is_no_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first_may_end, second_has_begun = threading.Event(), threading.Event()
    written: list[int] = []

    def refused(*_: object) -> None:
        first_may_end.set()
        second_has_begun.wait()
        raise RuntimeError("can't start new thread")

    def first() -> None:
        first_may_end.wait()
        written.append(1)

    def second() -> None:
        second_has_begun.set()
        written.append(2)

    with Writing(2) as writing:
        writing.submit(1, first)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refused)
            writing.submit(1, second)
    assert written == [1, 2]


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="Windows has no pthread_kill")
def test_ctrl_c_in_the_wait_for_the_last_result_does_not_leave_it_half_written() -> None:
    main = threading.get_ident()
    leaving, written = threading.Event(), threading.Event()

    def write() -> None:
        leaving.wait()
        time.sleep(0.2)  # until the main thread waits
        signal.pthread_kill(main, signal.SIGINT)
        time.sleep(0.2)
        written.set()

    def run() -> None:
        with Writing(1) as writing:
            writing.submit(1, write)
            leaving.set()

    with pytest.raises(KeyboardInterrupt):
        run()
    assert written.is_set()

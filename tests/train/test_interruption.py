"""Signals as requests to end."""

import os
import signal
import time

import pytest

from sr_train.interruption import ONE_PRESS, interruption


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_one_request_that_arrives_twice_is_one_request() -> None:
    # `timeout -s INT` signals the process, then its group.
    with interruption() as received:
        interrupt()
        interrupt()
        assert received() == signal.SIGINT


@pytest.mark.slow
def test_a_second_ctrl_c_ends_the_run_at_once() -> None:
    with interruption():
        interrupt()
        time.sleep(1.1 * ONE_PRESS)
        with pytest.raises(KeyboardInterrupt):
            interrupt()

"""The engines' libraries are imported without reports over the network and without lost signals."""

import contextlib
import signal
import subprocess
import sys

import pytest

from sr_runtime.backends.importing import importing_an_engine
from sr_runtime.signals import ENDING, signals_as_interrupts

PROGRAM = """
import multiprocessing.process, sys
started = []
multiprocessing.process.BaseProcess.start = started.append
import sr_runtime.backends.openvino
import openvino_telemetry  # which is there again for others
from openvino.tools.ovc.telemetry_utils import tm
print(tm.__name__, started)
"""


@pytest.mark.slow
def test_importing_openvino_sends_nothing_and_forks_nothing() -> None:
    pytest.importorskip("openvino_telemetry")
    command = [sys.executable, "-c", PROGRAM]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed.split() == ["openvino.tools.ovc.telemetry_stub", "[]"]


def import_as_openvino_does(number: int) -> None:
    with signals_as_interrupts():
        with importing_an_engine(), contextlib.suppress(BaseException):
            signal.raise_signal(number)
        pytest.fail("the signal was lost")


@pytest.mark.usefixtures("hears_signals")
@pytest.mark.parametrize("number", ENDING)
def test_an_import_that_drops_every_exception_drops_no_signal(number: int) -> None:
    with pytest.raises(KeyboardInterrupt) as interrupt:
        import_as_openvino_does(number)
    assert interrupt.value.args == (number,)

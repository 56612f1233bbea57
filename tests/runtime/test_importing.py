"""The runtime loads no engine by itself, and an engine without reports or lost signals."""

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


def test_importing_the_runtime_loads_no_engine_and_no_torch() -> None:
    program = (
        "import sys, sr_runtime; heavy = 'torch onnx onnxruntime openvino tensorrt'.split(); "
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_public_names_are_these() -> None:
    import sr_runtime

    assert sr_runtime.__all__ == sorted(sr_runtime.__all__)
    assert set(sr_runtime.__all__) == {
        "ArgumentError",
        "BackendError",
        "DataError",
        "ImageError",
        "ModelError",
        "ModelInfo",
        "NonFiniteError",
        "OutOfMemoryError",
        "Progress",
        "RowReader",
        "RowWriter",
        "SRError",
        "StorageError",
        "Upscaler",
        "__version__",
        "load",
    }

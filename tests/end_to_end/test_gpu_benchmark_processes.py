"""The parts of the GPU benchmark in processes of their own: they fail, crash, hang, are ended."""

import json
import multiprocessing
import os
import signal
import sys
import time

import pytest

from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu.parts import Part
from benchmarks.gpu.run import Found, Run
from sr_runtime.errors import BackendError
from tests.end_to_end.gpu_benchmark import ON_CPU, started
from tests.running import is_running

pytestmark = pytest.mark.slow


def works(run: Run) -> Found:
    yield "one", 1
    run.leave_out("two", "one is enough")


def fails(run: Run) -> Found:
    yield "before", run.results["works"]["one"]
    raise BackendError("this part needs a screw that is loose")


def crashes(run: Run) -> Found:
    yield "before", 1
    os.kill(os.getpid(), signal.SIGSEGV)


def hangs(run: Run) -> Found:
    yield "process", os.getpid()
    time.sleep(3600)


def interrupts(run: Run) -> Found:
    parent = multiprocessing.parent_process()
    assert parent is not None
    yield "process", os.getpid()
    while '"process"' not in run.cache.with_suffix("").read_text():
        time.sleep(0.01)  # until the results are written
    os.kill(parent.pid, signal.SIGINT)
    time.sleep(3600)


def test_a_part_that_fails_crashes_or_hangs_costs_the_others_nothing(tmp_path, capfd) -> None:
    parts = [
        *(Part("works", "", 1, works), Part("fails", "", 1, fails)),
        *(Part("crashes", "", 1, crashes), Part("hangs", "", 1, hangs)),
        *(Part("long", "", 10_000, works), Part("last", "", 1, works)),
    ]
    target = tmp_path / "x.json"
    assert gpu.main([*ON_CPU, "-o", str(target)], parts=parts) == 0
    rows = json.loads(target.read_text())["parts"]
    assert {name: row["found"] for name, row in rows.items()} == {
        "works": {"one": 1},
        "fails": {"before": 1},
        "crashes": {"before": 1},
        "hangs": {"process": rows["hangs"]["found"]["process"]},
        "long": {},
        "last": {"one": 1},
    }
    assert rows["works"]["left_out"] == {"two": "one is enough"}
    assert rows["works"]["ended"] is rows["last"]["ended"] is None
    assert rows["fails"]["ended"] == "this part needs a screw that is loose"
    assert "SIGSEGV" in rows["crashes"]["ended"]
    assert "stopped after 3 s" in rows["hangs"]["ended"]
    assert "takes about 10000 s" in rows["long"]["ended"]
    assert not is_running(rows["hangs"]["found"]["process"])
    assert "screw" in capfd.readouterr().out
    # The second run begins with what is not finished.
    assert gpu.main([*ON_CPU, "-o", str(target)], parts=[*parts[:2], parts[-1]]) == 0
    said = capfd.readouterr().out
    assert "works: finished in an earlier run" in said
    assert "fails: about" in said


@pytest.mark.usefixtures("hears_signals")
def test_an_interrupt_keeps_what_there_is_and_ends_the_part(tmp_path) -> None:
    parts = [Part("works", "", 1, works), Part("ends", "", 100, interrupts)]
    target = tmp_path / "x.json"
    assert gpu.main([*ON_CPU, "-o", str(target)], parts=parts) == 130
    rows = json.loads(target.read_text())["parts"]
    assert rows["works"]["ended"] is None
    assert "stopped" in rows["ends"]["ended"]
    assert not is_running(rows["ends"]["found"]["process"])


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_part_does_not_outlive_the_benchmark(tmp_path) -> None:
    program = """
from benchmarks.gpu.__main__ import main
from tests.end_to_end.test_gpu_benchmark_processes import Part, hangs
main(parts=[Part("hangs", "", 500, hangs)])
"""
    target = tmp_path / "x.json"
    process = started(*ON_CPU, "-o", str(target), program=("-c", program))
    part = None
    while part is None:
        assert process.poll() is None
        time.sleep(0.1)
        if target.exists():
            rows = json.loads(target.read_text())["parts"]
            part = rows.get("hangs", {"found": {}})["found"].get("process")
    process.kill()
    process.communicate()
    for _ in range(100):
        if not is_running(part):
            break
        time.sleep(0.1)
    assert not is_running(part)

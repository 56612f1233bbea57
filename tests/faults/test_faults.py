"""Every fault meets every command: no torn file, nothing left behind, an honest exit code."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.harness import Outcome, Server, leftovers, serving, whole_files
from tests.faults.matrix import COMMANDS, FAULTS, Command, Fault, exit_code, table

STARTS_AGAIN = [command for command in COMMANDS if not command.is_run]
FIT, RESUME = (command for command in COMMANDS if command.is_run)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, and sets Linux's limits")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("faults")) as server:
        prepare = ("prepare", "inputs/photos", "--root", "inputs/data", "--jobs", "1")
        assert server.run(FIT, prepare).code == 0
        yield server


@pytest.fixture
def out(server: Server) -> Iterator[Path]:
    """The folder of results; at first it is empty."""
    folder = server.folder / "out"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.parametrize("command", STARTS_AGAIN, ids=lambda command: command.name)
def test_a_command_that_is_given_again_completes(
    server: Server, out: Path, command: Command
) -> None:
    """Each fault comes after the one before it, in the same folder; the last two complete."""
    if command.name == "engine":
        pytest.importorskip("tensorrt_rtx")
    for fault in FAULTS:
        _meet(server, out, command, fault)
        if fault.name != "SIGKILL":
            assert leftovers(out) == [], fault.name
        assert bool(whole_files(out)) or not fault.completes


@pytest.mark.slow
@pytest.mark.parametrize("command", [FIT, RESUME], ids=lambda command: command.name)
def test_a_run_is_continued_to_its_end(server: Server, out: Path, command: Command) -> None:
    begun = server.folder / "begun"
    if command is RESUME:
        sigterm = next(fault for fault in FAULTS if fault.name == "SIGTERM")
        assert server.run(FIT, FIT.words, sigterm).code == 143
        (out / "run").rename(begun)
    for fault in FAULTS:
        if command is RESUME:
            shutil.copytree(begun, out / "run")
        _meet(server, out, command, fault)
        if not fault.completes:
            saved = (out / "run/state.pt").exists()
            outcome = server.run(command, RESUME.words if saved else FIT.words)
            assert outcome.code == 0, (fault.name, outcome)
        assert {"psnr.safetensors", "state.pt"} <= {*whole_files(out)}, fault.name
        assert leftovers(out) == [], fault.name
        shutil.rmtree(out / "run")
    shutil.rmtree(begun, ignore_errors=True)


def _meet(server: Server, out: Path, command: Command, fault: Fault) -> None:
    """Run the command with the fault, and check how it ends and that no file is torn."""
    folders = [out, *(path for path in out.rglob("*") if path.is_dir())]
    if fault.name == "EACCES":
        for folder in folders:
            folder.chmod(0o555)
    outcome = server.run(command, tuple(command.words), fault)
    for folder in folders:
        folder.chmod(0o755)
    whole_files(out)
    assert outcome.code == exit_code(command, fault), (fault.name, outcome)
    assert outcome.came == fault.name.startswith("SIG"), (fault.name, outcome)
    _check_words(outcome, fault)


def _check_words(outcome: Outcome, fault: Fault) -> None:
    said = outcome.stderr.replace("\r", "\n").splitlines()
    assert not {"Traceback", "Exception", "bug"} & {*outcome.stderr.split()}, outcome.stderr
    errors = [line for line in said if line.startswith("error: ")]
    if fault.name == "SIGKILL":
        assert errors == []
    elif fault.name in ("SIGTERM", "SIGINT"):
        assert "interrupted" in outcome.stdout + outcome.stderr
    elif outcome.code == 2:
        assert len(errors) == 1, outcome.stderr
    elif outcome.code == 1:
        assert any(line.endswith("failed:") for line in said), outcome.stderr


def test_the_page_has_the_table_of_the_tests() -> None:
    page = Path(__file__).parents[2] / "docs/faults.md"
    assert table() in page.read_text("utf-8")

"""The server of warm processes, seen from a test: one command with its fault, and what it left."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from sr_runtime.backends.tensorrt.engine_file import read_engine
from sr_runtime.batch.journal import JOURNAL
from sr_runtime.model_info import ModelInfo
from sr_train.checkpoint import load_generator
from sr_train.data.packed_dataset import PackedImages
from sr_train.state_file import load_state
from tests.faults.matrix import Command, Fault

__all__ = ["Outcome", "Server", "leftovers", "serving", "whole_files"]


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    came: bool
    """Whether it was interrupted in the midst of the write."""
    stdout: str
    stderr: str


class Server:
    """`tests.faults.server`, which has imported everything that takes time to import."""

    def __init__(self, folder: Path, process: "subprocess.Popen[str]") -> None:
        self.folder = folder
        """Where the commands run; `inputs` is there."""
        self._process = process

    def run(self, command: Command, words: tuple[str, ...], fault: Fault | None = None) -> Outcome:
        """Run it, with its fault if there is one."""
        request = {
            "program": command.program,
            "words": words,
            "fault": fault.name if fault else "",
            "suffix": command.suffix,
            "nth": command.nth,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        assert answer, "the server has ended"
        return Outcome(**json.loads(answer))


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """A server whose commands run in `folder`."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.server", folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},  # a fork keeps no threads
    ) as process:
        yield Server(folder, process)
        assert process.stdin is not None
        process.stdin.close()


def leftovers(folder: Path) -> list[Path]:
    """The temporary files below a folder."""
    return [path for path in folder.rglob(".*") if path.name not in (".lock", JOURNAL)]


def whole_files(folder: Path) -> list[str]:
    """The names of the results below a folder, each of which is read; raises for a torn one."""
    found = []
    for path in sorted(folder.rglob("*")):
        read = READERS.get(path.name) or READERS.get(path.suffix)
        if read is not None and not path.name.startswith("."):
            read(path)
            found.append(path.name)
    return found


def _read_image(path: Path) -> None:
    with Image.open(path) as image:
        image.load()


def _read_onnx(path: Path) -> None:
    import onnx

    model = onnx.load(path)
    assert ModelInfo.from_metadata({each.key: each.value for each in model.metadata_props})


READERS: dict[str, Callable[[Path], object]] = {
    ".png": _read_image,
    ".onnx": _read_onnx,
    ".engine": read_engine,
    "x4.json": lambda path: PackedImages(path.parent, 4).verify(),
    ".pt": load_state,
    ".safetensors": load_generator,
}

"""A process that has imported everything, and forks one child for each command with its fault.

    python -m tests.faults.server FOLDER

It makes FOLDER/inputs first, then answers requests: a line of JSON each, and a line back. A start
of Python with torch would take seconds each time.
"""

import atexit
import contextlib
import ctypes
import importlib
import json
import os
import resource
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch.utils.tensorboard.writer
from matplotlib import font_manager
from PIL import Image
from tqdm import tqdm

import sr_export.commands
import sr_export.halo
import sr_export.parity
import sr_runtime.cli.commands
import sr_runtime.upscaler
import sr_train.data.build.prepare
import sr_train.trainer
import sr_train.validation
from sr_export.to_onnx import onnx_from_generator
from sr_runtime.errors import ModelError
from sr_runtime.storage import atomic
from sr_runtime.storage.temporary import Temporary
from sr_train.checkpoint import save_generator
from sr_train.models.compact import SRVGGNetCompact

IMPORTED = (
    font_manager, sr_export.commands, sr_export.halo, sr_export.parity, sr_runtime.cli.commands,
    sr_runtime.upscaler, sr_train.data.build.prepare, sr_train.trainer, torch.utils.tensorboard,
)  # fmt: skip

SIGNALS = {"SIGKILL", "SIGTERM", "SIGINT"}
SECONDS = 120
"""After that a command counts as hanging, and SIGALRM ends it."""

RUN = """
data_root: inputs/data
batch_size: 1
stages: pretraining
precision: fp32
device: cpu
workers: 0
save_every: 1
generator: {rrdb_channels: 8, growth_channels: 4, num_basic_blocks: 1}
pretraining:
  num_epoch: 1
  cr_patch_size: [32, 32]
  train_datasets: [photos]
  val_datasets: [photos]
validation: {samples: 0}
"""


class Fault:
    """A fault in the child: it comes when the `nth` temporary file of this suffix is written."""

    def __init__(self, request: dict[str, Any], reached: int, go_on: int) -> None:
        self.name = request["fault"]
        self._suffix, self._left = request["suffix"], request["nth"]
        self._reached, self._go_on = reached, go_on

    def install(self) -> None:
        """Begin; what is wrong from the start is wrong now."""
        if self.name == "EACCES":
            _obey_modes()
        for number, name in ((1, "stdout"), (2, "stderr")):
            if self.name == f"{name} closed":
                os.close(number)
                setattr(sys, name, None)  # as Python does where it finds them closed
        make = atomic.temporary_file

        @contextlib.contextmanager
        def temporary_file(folder: Path, suffix: str, **options: int) -> Iterator[Temporary]:
            self._left -= suffix == self._suffix
            here = suffix == self._suffix and self._left == 0
            if here and self.name == "EMFILE":
                free = os.dup(1)
                os.close(free)
                resource.setrlimit(resource.RLIMIT_NOFILE, (free, free))
            if here and self.name == "ENOSPC":
                resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))
            with make(folder, suffix, **options) as temporary:
                if here and self.name in SIGNALS:
                    temporary.become = self._interrupted(temporary.become)  # type: ignore[method-assign]
                yield temporary

        atomic.temporary_file = temporary_file

    def _interrupted(self, become: Callable[[Path], None]) -> Callable[[Path], None]:
        def wait_first(target: Path) -> None:
            os.write(self._reached, b"x")
            os.read(self._go_on, 1)
            become(target)

        return wait_first


def _obey_modes() -> None:
    """Let root be refused as others are: drop CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH."""
    if os.geteuid() == 0:
        version, every = 0x20080522, 0xFFFFFFFF
        header = (ctypes.c_uint32 * 2)(version, 0)
        sets = (ctypes.c_uint32 * 6)(every & ~0b110, every & ~0b110, 0, every, every, 0)
        libc = ctypes.CDLL(None, use_errno=True)
        libc.capget(header, sets)
        for index in (0, 1):  # effective and permitted
            sets[index] &= ~0b110
        assert libc.capset(header, sets) == 0


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Run a command in a child with its fault; return its exit code and what it printed."""
    pipes = [os.pipe() for _ in range(4)]
    (out, out_end), (err, err_end), (reached, reached_end), (waiting, go_on) = pipes
    child = os.fork()
    if child == 0:
        for number in (out, err, reached, go_on):
            os.close(number)
        os.dup2(out_end, 1)
        os.dup2(err_end, 2)
        os.close(out_end)
        os.close(err_end)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.alarm(SECONDS)
        # tqdm's own lock is shared by all children: one that is killed would keep it for ever.
        tqdm.set_lock(threading.RLock())
        Fault(request, reached_end, waiting).install()
        main = importlib.import_module(f"{request['program']}.__main__").main
        code = main(request["words"])
        # All of Python's own end but the removal of torch's modules, which takes a second.
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        os._exit(code)
    for number in (out_end, err_end, reached_end, waiting):
        os.close(number)
    # Whichever has something, since a child waits when a pipe is full. Threads would harm the fork.
    said, came = {out: b"", err: b""}, False
    ends = {out, err, reached}
    while ends:
        for end in select.select(ends, [], [])[0]:
            block = os.read(end, 1 << 16)
            if not block:  # the child has ended
                ends.discard(end)
                os.close(end)
            elif end == reached:
                came = True
                os.kill(child, getattr(signal, request["fault"]))
                os.close(go_on)
            else:
                said[end] += block
    if not came:
        os.close(go_on)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = code if code >= 0 else 128 - code
    return {"code": code, "came": came, "stdout": said[out].decode(), "stderr": said[err].decode()}


def make_inputs() -> None:
    """A checkpoint, an FP16 model, photos, the photos prepared, and the configuration of a run."""
    # A run that is resumed after each fault finishes some of the many.
    for name, count in (("photos", 3), ("many", 12)):
        folder = Path("inputs") / name
        folder.mkdir(parents=True)
        for i in range(count):
            pixels = np.random.default_rng(i).integers(0, 256, (40, 40, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"p{i}.png")
    generator = SRVGGNetCompact(num_features=4, num_convolutions=1)  # quick to export
    save_generator(generator, "inputs/tiny.pth")
    # Also for what the first export imports.
    model = onnx_from_generator(generator, precision="fp16", io="float32", halo=16)
    Path("inputs/tiny.onnx").write_bytes(model.SerializeToString())
    Path("inputs/run.yaml").write_text(RUN)


def _absent(*_: object) -> None:
    raise ModelError("nothing is downloaded in this test")


def main() -> None:
    """Answer requests until standard input ends."""
    sr_train.validation.load_features = sr_train.validation.load_lpips = _absent
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    os.chdir(sys.argv[1])
    make_inputs()
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()

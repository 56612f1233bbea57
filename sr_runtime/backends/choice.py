"""Chooses a backend and a device for a model, and opens the model there."""

import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

from sr_runtime.backends.base import Backend, UnreadableModelError
from sr_runtime.backends.cuda import driver
from sr_runtime.backends.fork import keep_in_children, used_before_fork, using
from sr_runtime.backends.multi_device import MultiDeviceBackend
from sr_runtime.backends.onnx_metadata import (
    is_fp16_onnx,
    refuse_files_elsewhere,
    require_data_files,
    require_one_file,
)
from sr_runtime.backends.reason import first_line
from sr_runtime.backends.registry import BACKENDS, BackendRow, FileType, Kind, kinds, names, rows
from sr_runtime.backends.tensorrt.engine_file import read_facts
from sr_runtime.errors import (
    ArgumentError,
    BackendError,
    ModelError,
    OutOfMemoryError,
    SRError,
    about,
)
from sr_runtime.nearest import nearest
from sr_runtime.printable import shown

__all__ = ["choose", "is_engine", "open_backend", "open_model"]

ENGINE_SUFFIXES = (".engine", ".plan")


def open_model(model: Path, *, backend: str, device: str, precision: str) -> Backend:
    """Open `model` in the backend and on the device that a caller asks for, as in `choose`.

    With backend "auto" the next one is tried where one cannot read the file.

    Raises what `choose` and `open_backend` do; ModelError with each engine's reason if none reads
    the file.
    """
    refused: dict[str, UnreadableModelError] = {}
    for name, where in _working(backend, device, model):
        try:
            return open_backend(name, model, device=where, precision=precision)
        except UnreadableModelError as error:
            refused.setdefault(name, error)
            if backend != "auto":
                break
    if len(refused) == 1:
        raise next(iter(refused.values()))
    reasons = "; ".join(f"{name}: {error.args[0]}" for name, error in refused.items())
    raise ModelError(f"no engine here reads this file: {reasons}", path=model)


def choose(name: str, device: str, model: Path | None = None) -> tuple[str, str]:
    """Turn what a caller asks for into a backend and a device that work here.

    Nothing is substituted: asking for something that is not available is an error.

    Args:
        name: A backend; "plugin:NAME", a plug-in of ONNX Runtime by its wheel's name or its
            library's path; or "auto": the fastest that works here and takes the model.
        device: "cpu"; a kind and a number, "cuda:0" or "webgpu:0", or the kind alone for the
            first; several of a kind, "cuda:0,cuda:1"; or "auto": the fastest, a GPU before the CPU.
        model: The file to run; None: any ONNX file.

    Raises:
        ArgumentError: There is no backend or device of that name.
        BackendError: It does not work here; the message says why and names what to install.
        ModelError: The file is an engine without its facts.
    """
    return next(_working(name, device, model))


def _working(name: str, device: str, model: Path | None) -> Iterator[tuple[str, str]]:
    """The backends, each with its devices, that suit `choose`'s arguments and work here.

    Raises what `choose` does if there are none.
    """
    file = _file_type(model)
    candidates = _candidates(name, file, model)
    wanted = _device_names(device, kinds(name))
    reasons = []
    found = False
    for row in candidates:
        if wanted and _kind(wanted[0]) != row.kind:
            continue
        if used_before_fork(row.kind):
            reasons.append(
                f"{row.name}: a GPU cannot be used in a process that was forked after its parent "
                "used it: load models only after the fork, or start processes by spawn"
            )
            continue
        try:
            # Check for a GPU before importing a library.
            if not wanted and row.kind == "cuda":
                driver.device_names()
            backend = row.load()
            if name == "auto" and not wanted:
                backend.check_auto()
            offered = backend.devices()
            using(row.kind)
        except BackendError as error:
            reasons.append(f"{row.name}: {error}" if name == "auto" else str(error))
            continue
        if not set(wanted) <= set(offered):
            reasons.append(f"{row.name} runs here on {' and '.join(offered)}")
        elif name != "auto" or file in row.auto or (model and is_fp16_onnx(model)):
            found = True
            yield row.name, ",".join(wanted or offered[:1])
    if found:
        return
    if not reasons:
        reasons = [f"backend {row.name} runs on {row.kind}" for row in candidates]
    # The rows of the CPU come last, and what they need can be installed anywhere: it is said first.
    why = "; ".join(dict.fromkeys(reversed(reasons)))
    if file.endswith("engine"):
        where = f"on {device}" if wanted else "here"
        raise BackendError(
            f"this is a {file}, which does not run {where}: {why}: give the ONNX file instead",
            path=model,
        )
    if wanted:
        raise BackendError(f"device {device} is not available here: {why}")
    if name == "auto":  # the last one needs only a CPU
        raise BackendError(
            f"no backend works here: {reasons[-1]} (`python -m sr_runtime info` says what the "
            "others need)"
        )
    raise BackendError(f"backend {name} does not work here: {why}")


def _candidates(name: str, file: FileType, model: Path | None) -> tuple[BackendRow, ...]:
    """The rows to try; ArgumentError if there is no such backend, or it does not run the file."""
    if name == "auto":
        # Whether a file is one of FP16 is asked last, because that reads all of it.
        types = {file, "fp16 onnx"} if file == "onnx" and model is not None else {file}
        return tuple(row for row in BACKENDS if types & {*row.auto})
    found = rows(name)
    if not found:
        hint = ": that is a device" if name in kinds("auto") else nearest(name, names())
        raise ArgumentError(
            f"backend {shown(name)} is none of auto, {', '.join(names())}, plugin:NAME{hint}"
        )
    if file.endswith("engine") and not any(file in row.auto for row in found):
        raise ArgumentError(
            f"this is a {file}, which backend {name} does not run: leave the backend out, or give "
            "the ONNX file",
            path=model,
        )
    return found


def open_backend(name: str, model: Path, *, device: str, precision: str) -> Backend:
    """Open `model` in backend `name` on one of its devices, or on several that share the work.

    Args:
        device: As `choose` returns it.
        precision: One of the backend's precisions there, or "auto".

    Raises:
        ModelError: The file is not a super-resolution model.
        BackendError: The precision is not available.
    """
    row = next(row for row in rows(name) if row.kind == _kind(device))
    cls = row.load()
    offered = cls.precisions()
    if precision not in ("auto", *offered):
        raise BackendError(
            f"precision {precision} is not available: backend {name} offers "
            f"{' and '.join(offered)} on {device}"
        )
    # With several, the precision may depend on the file, which only the backend can read.
    if precision == "auto" and len(offered) == 1:
        precision = offered[0]
    backends: list[Backend] = []
    with about(model), ExitStack() as opened:
        if not is_engine(model):
            refuse_files_elsewhere(model)
        for one in device.split(","):
            try:
                backends.append(cls(model, device=one, precision=precision))
                keep_in_children(backends[-1])
            except ModelError as error:
                if not is_engine(model):
                    require_data_files(model)  # what engines say of these is hard to read
                    if "external" in str(error):  # ONNX Runtime reads no small constants there
                        require_one_file(model, model.read_bytes())
                raise
            except SRError:
                raise
            except MemoryError as error:
                raise OutOfMemoryError("not enough memory to load the model") from error
            except Exception as error:  # whatever an engine throws at a file
                raise UnreadableModelError(
                    f"{name} cannot open this file ({first_line(error)})"
                ) from error
            opened.callback(backends[-1].close)
        opened.pop_all()
    return backends[0] if len(backends) == 1 else MultiDeviceBackend(backends)


def is_engine(model: Path) -> bool:
    """Whether a file is an engine, by its name."""
    return model.suffix.lower() in ENGINE_SUFFIXES


def _file_type(model: Path | None) -> FileType:
    """What a file is by its name, and an engine by its facts; ModelError if it has none."""
    if model is None or not is_engine(model):
        return "onnx"
    rtx = read_facts(model).kind == "tensorrt-rtx"
    return "tensorrt-rtx engine" if rtx else "tensorrt engine"


def _kind(device: str) -> str:
    return device.partition(":")[0]


def _device_names(device: str, kinds: Iterable[Kind]) -> tuple[str, ...]:
    """The names in "cuda,cuda:1", none in "auto"; ArgumentError for anything but such `kinds`."""
    if device == "auto":
        return ()
    numbered = [kind for kind in kinds if kind != "cpu"]
    devices = tuple(
        f"{name}:0" if name in numbered else name for name in map(str.strip, device.split(","))
    )
    kind = _kind(devices[0])
    gpus = kind in numbered and all(re.fullmatch(rf"{kind}:\d+", name) for name in devices)
    if gpus and len(set(devices)) < len(devices):
        raise ArgumentError(f"device {shown(device)} names a device twice: name each once")
    if not (gpus or devices == ("cpu",)):
        raise ArgumentError(
            f"device {shown(device)} is none of auto, cpu, "
            f"{', '.join(f'{kind}, {kind}:N' for kind in numbered)}, or several of a kind such as "
            f"{numbered[0]}:0,{numbered[0]}:1"
            + (": that is a backend" if device in names() else "")
        )
    return devices

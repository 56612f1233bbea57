"""ONNX Runtime's plug-in execution providers: libraries that run a model on their own devices.

A plug-in is named by its wheel, "openvino" for onnxruntime-ep-openvino, or by its library's path.
"""

import functools
import importlib
import os
import threading
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from traceback import clear_frames
from typing import Any, ClassVar

from numpy.typing import NDArray

from sr_runtime.backends.base import DeviceBackend, DoneBatch, declared_limits
from sr_runtime.backends.onnxruntime.session import (
    PRECISIONS,
    facts_of,
    openable,
    ort,
    run_session,
)
from sr_runtime.backends.onnxruntime.wrong_convolutions import wrong_convolution
from sr_runtime.backends.out_of_memory import is_out_of_memory
from sr_runtime.backends.probe.facts import probe_info
from sr_runtime.backends.reason import first_line
from sr_runtime.errors import BackendError, OutOfMemoryError, SRError
from sr_runtime.tensor import check_outputs

__all__ = ["PluginBackend", "open_on", "plugin_backend", "plugin_devices", "turn_of"]

# One batch is computed while the caller writes the other into its picture.
DEPTH = 2

# Two sessions of this provider that run at once end the process (microsoft/onnxruntime#32561).
WEBGPU = "WebGpuExecutionProvider"
ONE_AT_A_TIME = {WEBGPU: threading.RLock()}

# Where these run decides how fast a model is.
HEAVY = {"Conv", "ConvTranspose", "Gemm", "MatMul"}


@functools.cache
def plugin_devices(plugin: str) -> tuple[Any, ...]:
    """The devices that a plug-in finds here, perhaps none, as ONNX Runtime's `OrtEpDevice`.

    Raises BackendError if there is no such plug-in, or it does not load.
    """
    if not hasattr(ort.InferenceSession, "get_provider_graph_assignment_info"):
        raise BackendError(
            f"plug-ins need onnxruntime 1.31, and {ort.__version__} is installed: pip install "
            "--upgrade onnxruntime"
        )
    library = _library(plugin)
    if not (devices := _devices_of(library)):  # a host program may use the same plug-in
        try:
            ort.register_execution_provider_library(f"sr_runtime:{plugin}", str(library))
        except Exception as error:
            raise BackendError(
                f"this is no plug-in for onnxruntime {ort.__version__} ({first_line(error)})",
                path=library,
            ) from error
        devices = _devices_of(library)
    return devices


def _devices_of(library: Path) -> tuple[Any, ...]:
    """Those of ONNX Runtime's devices that come from a library; its own come from none."""
    return tuple(
        device
        for device in ort.get_ep_devices()
        if (path := device.ep_metadata.get("library_path")) and library.samefile(path)
    )


def _library(plugin: str) -> Path:
    """The path of a plug-in's library."""
    if Path(plugin).name != plugin or Path(plugin).suffix in (".dll", ".dylib", ".so"):
        path = Path(plugin).absolute()
        if not os.path.isfile(path):  # noqa: PTH113 - Path's fails for a name that no file has
            raise BackendError("there is no such plug-in library", path=path)
        return path
    module = f"onnxruntime_ep_{plugin.lower().replace('-', '_')}"  # pip ignores case too
    try:
        return Path(importlib.import_module(module).get_library_path())
    except ModuleNotFoundError as error:
        raise BackendError(
            f"{module} is not installed: pip install onnxruntime-ep-{plugin}, or give the path of "
            "the plug-in's library"
        ) from error


def turn_of(device: Any) -> AbstractContextManager[object]:
    """Hold it while a session on the device is opened, run or dropped."""
    return ONE_AT_A_TIME.get(device.ep_name, nullcontext())


def open_on(
    device: Any, model: Path | bytes, options: Mapping[str, str]
) -> tuple[ort.InferenceSession, str]:
    """A session on a plug-in's device, and a sentence about what it leaves to the CPU.

    Raises:
        BackendError: The device cannot be used, or not for the convolutions of this model.
        OutOfMemoryError: The weights do not fit.
    """
    provider = device.ep_name
    if provider == WEBGPU and (channels := wrong_convolution(_content(model))):
        raise BackendError(
            f"{provider} computes a convolution of this model wrongly, that of {channels} channels "
            "(https://github.com/microsoft/onnxruntime/issues/29651): choose another backend"
        )
    session_options = ort.SessionOptions()
    session_options.log_severity_level = 4  # errors are raised
    session_options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    try:
        session_options.add_provider_for_devices([device], dict(options))
        # Its own fallback would print the error and continue on the CPU.
        opened = openable(model) if isinstance(model, Path) else model
        session = ort.InferenceSession(opened, session_options, enable_fallback=0)
    except Exception as error:
        if is_out_of_memory(error):
            raise OutOfMemoryError("not enough memory to load the model") from error
        raise BackendError(f"{provider} cannot be used ({first_line(error)})") from error
    taken, left = Counter[str](), Counter[str]()
    for part in session.get_provider_graph_assignment_info():
        (taken if part.ep_name == provider else left).update(
            node.op_type for node in part.get_nodes()
        )
    if heavy := left.keys() & HEAVY:
        del session  # now, and not with the exception
        raise BackendError(
            f"{provider} leaves {', '.join(sorted(heavy))} of this model to the CPU: choose "
            "another backend"
        )
    note = f"{taken.total()} of {taken.total() + left.total()} nodes run in {provider}"
    if left:
        note += f", on the CPU: {', '.join(sorted(left))}"
    return session, note


def _content(model: Path | bytes) -> bytes:
    """The file; nothing where it cannot be read, which ONNX Runtime will say."""
    if isinstance(model, bytes):
        return model
    try:
        return model.read_bytes()
    except OSError:
        return b""


class PluginBackend(DeviceBackend):
    """A session on one device of a plug-in, and the thread that runs it.

    The session is opened anew after a failure: it may keep buffers that were never allocated, or a
    device that is lost.
    """

    plugin: ClassVar[str]
    kind: ClassVar[str]
    options: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def found(cls) -> dict[str, Any]:
        """The plug-in's devices of this kind by their names."""
        found = [d for d in plugin_devices(cls.plugin) if d.device.type.name.lower() == cls.kind]
        if cls.kind == "cpu":
            return dict(zip(["cpu"], found, strict=False))
        return {f"{cls.kind}:{number}": device for number, device in enumerate(found)}

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        if found := tuple(cls.found()):
            return found
        kind = cls.kind if plugin_devices(cls.plugin) else "device"
        raise BackendError(f"it finds no {kind} here that it can use")

    @classmethod
    def precisions(cls) -> tuple[str, ...]:
        return tuple(PRECISIONS.values())

    def __init__(self, model: Path, *, device: str, precision: str) -> None:
        self.device = device
        self._device = self.found()[device]
        self._turn = turn_of(self._device)
        self._input, stated = facts_of(model)
        weights = self._input.dtype if stated is None else stated.weights_dtype
        self._model, self.compute_dtype, notes = self._as_computed(model, weights, precision)
        if isinstance(self._model, Path) and stated is not None and stated.blend is not None:
            # Its file is gone when the session is opened again.
            self._model = self._model.read_bytes()
        self._session: ort.InferenceSession | None
        with self._turn:
            self._session, note = open_on(self._device, self._model, self.options)
        self.notes = (*notes, note)
        try:
            self.info = stated or probe_info(
                model, self._outputs, self._input.shape, self._input.dtype
            )
        except BaseException:
            self.shrink()  # in the turn, and not whenever the exception is forgotten
            raise
        self.limits = declared_limits(self._input.shape, self.info, depth=DEPTH)
        self._thread = ThreadPoolExecutor(1)

    def submit(self, batch: NDArray[Any]) -> "_PendingBatch | DoneBatch":
        try:
            return _PendingBatch(self._thread.submit(self._run, batch))
        except RuntimeError:  # Python ends such threads with the main one, before all others
            try:
                return DoneBatch(self._run(batch))
            except SRError as error:
                return DoneBatch(error)

    def shrink(self) -> None:
        with self._turn:
            self._session = None

    def close(self) -> None:
        self._thread.shutdown()
        self.shrink()

    def _as_computed(
        self, model: Path, weights: str, precision: str
    ) -> tuple[Path | bytes, str, tuple[str, ...]]:
        """The model to open, the precision it computes in, and notes; BackendError if it cannot."""
        own = PRECISIONS.get(weights, "fp32")
        if precision not in ("auto", own):
            raise BackendError(
                f"precision {precision} is not available: the file is {own}, and a plug-in "
                "computes as it chooses for that"
            )
        return model, own, ()

    def _run(self, batch: NDArray[Any]) -> NDArray[Any]:
        return check_outputs(self._outputs(batch), self.info.io, self.info.output)

    def _outputs(self, batch: NDArray[Any]) -> list[NDArray[Any]]:
        with self._turn:
            try:
                if self._session is None:
                    self._session, _ = open_on(self._device, self._model, self.options)
                return run_session(self._session, self._input, batch)
            except SRError as error:
                self._session = None
                # The frames of the exceptions hold the session too.
                clear_frames(error.__traceback__)
                if error.__cause__ is not None:
                    clear_frames(error.__cause__.__traceback__)
                raise


class _PendingBatch:
    """A batch that the session's thread computes, or waits to."""

    def __init__(self, future: Future[NDArray[Any]]) -> None:
        self._future = future

    def result(self) -> NDArray[Any]:
        return self._future.result()

    def release(self) -> None:
        self._future.exception()  # waits


@functools.cache
def plugin_backend(name: str, kind: str) -> type[PluginBackend]:
    """The backend "plugin:NAME" on one kind of device."""
    plugin = name.removeprefix("plugin:")
    return type("PluginBackend", (PluginBackend,), {"name": name, "plugin": plugin, "kind": kind})

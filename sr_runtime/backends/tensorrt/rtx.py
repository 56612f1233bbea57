"""TensorRT for RTX on GeForce and RTX PRO cards: runs its engines, and FP16 ONNX files of ours.

An engine carries no kernels for a card: they are compiled on the card when the engine is opened,
within seconds, and for each shape in the background. It captures CUDA graphs by itself. Nothing of
this has run on such a card yet: its tests build real engines and simulate what runs them.
"""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from sr_runtime.backends.cuda import driver
from sr_runtime.backends.tensorrt.backend import TensorRTBackend
from sr_runtime.backends.tensorrt.cache_folder import cache_folder
from sr_runtime.backends.tensorrt.engine_file import EngineInfo, rebuild_command, sha256
from sr_runtime.backends.tensorrt.execution_slot import ExecutionSlot
from sr_runtime.backends.tensorrt.library import built_for, open_library
from sr_runtime.backends.tensorrt.options import Kind, cards_text
from sr_runtime.backends.tensorrt.runtime_cache import SUFFIX, RuntimeCache
from sr_runtime.errors import BackendError, ModelError, OutOfMemoryError

if TYPE_CHECKING:
    import tensorrt as trt

__all__ = ["TensorRTForRTXBackend"]

# CUDA's cudaErrorInsufficientDriver, which the library logs and has no diagnosis for.
OLD_DRIVER = "cudaError 35"


class TensorRTForRTXBackend(TensorRTBackend):
    """As `TensorRTBackend`, but for its kernels, its CUDA graphs and its check of an engine."""

    name: Kind = "tensorrt-rtx"
    captures_graphs = False
    # Until the kernels of a new shape are compiled, slower ones run: few shapes an image are best.
    shape_cost = 1 << 20

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        library = open_library(cls.name)
        if (reason := driver.missing("tensorrt_rtx", cuda=built_for("tensorrt_rtx"))) is not None:
            raise BackendError(reason)
        facts = {device: driver.device_facts(device) for device in driver.device_names()}
        runs = [device for device in facts if facts[device][1] in library.compute_capabilities]
        if not runs:
            cards = " and ".join(
                dict.fromkeys(f"{name} ({capability})" for name, capability in facts.values())
            )
            raise BackendError(
                f"{library.name} does not run on {cards}, but on compute capabilities "
                f"{', '.join(library.compute_capabilities)}: use TensorRT (pip install "
                '"sr-toolkit[tensorrt]") or ONNX Runtime with CUDA (pip install "sr-toolkit[gpu]")'
            )
        return tuple(runs)

    def __init__(self, model: Path, *, device: str, precision: str) -> None:
        self._runtime_cache: RuntimeCache | None = None
        self._configs: list[Any] = []  # as long as the contexts that were made with them
        super().__init__(model, device=device, precision=precision)

    def _open(self, plan: bytes, engine_info: EngineInfo) -> None:
        gpu = self._gpu
        parts = (engine_info.plan_sha256, self._library.version, gpu.name, gpu.compute_capability)
        key = sha256("\n".join((*parts, str(driver.cuda_version()))).encode())[:16]
        self._runtime_cache = RuntimeCache(cache_folder() / f"{key}{SUFFIX}")
        super()._open(plan, engine_info)
        self._runtime_cache.save()  # contexts have compiled what every shape needs

    def _new_context(self) -> "trt.IExecutionContext | None":
        api, engine = self._library.trt, self._engine
        config: Any = engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(
            api.ExecutionContextAllocationStrategy.USER_MANAGED
        )
        config.cuda_graph_strategy = api.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        config.dynamic_shapes_kernel_specialization_strategy = (
            api.DynamicShapesKernelSpecializationStrategy.LAZY
        )
        assert self._runtime_cache is not None
        self._runtime_cache.attach(config)
        self._configs.append(config)
        return engine.create_execution_context(config)

    def _start(self, slot: ExecutionSlot, batch: NDArray[Any]) -> None:
        assert self._runtime_cache is not None
        self._runtime_cache.before_batch(batch.shape)
        super()._start(slot, batch)

    def _check_fits(self, plan: bytes, info: EngineInfo) -> None:
        """Ask the library about the engine's header, before it loads the engine."""
        runtime: Any = self._runtime
        self._log.clear()
        verdict, bits = runtime.get_engine_validity(plan[: runtime.engine_header_size])
        validity = self._library.trt.EngineValidity
        if verdict == validity.VALID:
            return
        reasons = "; ".join(self._reasons(int(bits), info))
        if verdict == validity.SUBOPTIMAL:
            warnings.warn(
                f"the engine may run slowly here: {reasons}", RuntimeWarning, stacklevel=2
            )
            return
        memory = self._library.trt.EngineInvalidityDiagnostics.INSUFFICIENT_GPU_MEMORY
        error = OutOfMemoryError if int(bits) == int(memory) else ModelError
        raise error(f"the engine does not run here: {reasons}")

    def _reasons(self, bits: int, info: EngineInfo) -> list[str]:
        """What the library's diagnoses mean, each with what to do about it."""
        library, gpu = self._library, self._gpu
        here = replace(info, compute_capabilities=(gpu.compute_capability,))
        again = f"build it again here: {rebuild_command(here)}"
        meanings = {
            "VERSION_MISMATCH": f"it was built by TensorRT for RTX {info.tensorrt}, and "
            f"{library.version} is installed: {again}",
            "UNSUPPORTED_CC": f"it was built for {cards_text(info.compute_capabilities)}, and this "
            f"is {gpu.name} ({gpu.compute_capability}): {again}",
            "OLD_CUDA_DRIVER": "the NVIDIA driver is too old for it: update the driver, or install "
            "tensorrt-rtx-cu12 in place of tensorrt-rtx-cu13",
            "OLD_CUDA_RUNTIME": "the CUDA runtime here is too old for it: pip install --upgrade "
            '"sr-toolkit[rtx]"',
            "INSUFFICIENT_GPU_MEMORY": f"{gpu.name} has too little memory for it "
            f"({gpu.free_memory() / 1e9:.1f} GB are free): build it with a smaller --max than "
            f"{info.profile.max}",
            "MALFORMED_ENGINE": f"it is damaged, or no engine of {library.name}: {again}",
            "CUDA_ERROR": "the NVIDIA driver or the CUDA runtime is not installed correctly: check "
            "nvidia-smi",
        }
        members = library.trt.EngineInvalidityDiagnostics.__members__
        reasons = [meanings[name] for name in meanings if bits & int(members[name])]
        if not reasons and OLD_DRIVER in self._log.last_error:
            reasons = [meanings["OLD_CUDA_DRIVER"]]
        return reasons or [f"{library.name} finds it unsuited ({self._log.last_error}): {again}"]

    def close(self) -> None:
        # Before the contexts are freed: what they compile in the background is lost with them.
        try:
            if self._runtime_cache is not None:
                with self._gpu.current():
                    self._runtime_cache.save()
        finally:
            super().close()

    def _drop_engine(self) -> None:
        self._configs.clear()
        if self._runtime_cache is not None:
            self._runtime_cache.close()
        super()._drop_engine()

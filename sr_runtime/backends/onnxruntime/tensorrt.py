"""ONNX Runtime on a GPU, by its TensorRT provider, which builds engines and keeps them."""

from dataclasses import replace
from pathlib import Path

from sr_runtime.backends.base import Limits
from sr_runtime.backends.cuda.memory import device_names
from sr_runtime.backends.onnxruntime.cuda import OnnxRuntimeCudaBackend
from sr_runtime.backends.onnxruntime.providers import tensorrt_missing, tensorrt_providers
from sr_runtime.backends.onnxruntime.session import open_session, ort
from sr_runtime.backends.tensorrt.cache import CACHE_VARIABLE, cache_folder
from sr_runtime.backends.tensorrt.engine_file import sha256
from sr_runtime.errors import BackendError

__all__ = ["OnnxRuntimeTensorRTBackend"]

SMALLEST_TILE, LARGEST_TILE = 32, 512


class OnnxRuntimeTensorRTBackend(OnnxRuntimeCudaBackend):
    """The same buffers and slots, and a session that runs an engine of TensorRT 10."""

    name = "onnxruntime-trt"

    @staticmethod
    def devices() -> tuple[str, ...]:
        """BackendError with the reason where there is none."""
        if reason := tensorrt_missing():
            raise BackendError(reason)
        return device_names()

    def _open(self, model: Path, free: int, *, fp32: bool, record: bool) -> ort.InferenceSession:
        # Opening builds the engine, for minutes, where it was not built before.
        timings = cache_folder() / "onnxruntime"
        cache = timings / f"{model.stem}-{sha256(model.read_bytes())[:16]}"
        try:
            cache.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BackendError(
                f"{cache}: engines cannot be kept here ({error.strerror or error}): set "
                f"{CACHE_VARIABLE} to a folder that can be written"
            ) from error
        profile = {
            name: f"{self._input.name}:{'x'.join(map(str, self._filled(side)))}"
            for name, side in (("min", SMALLEST_TILE), ("opt", LARGEST_TILE), ("max", LARGEST_TILE))
        }
        providers = tensorrt_providers(
            self._ordinal,
            fp32=fp32,
            cache=cache,
            timings=timings,
            profile=profile if None in self._input.shape else {},
        )
        return open_session(model, providers)

    def _limits(self, free: int) -> Limits:
        return replace(
            super()._limits(free),
            min_tile=self._sides(SMALLEST_TILE),
            max_tile=self._sides(LARGEST_TILE),
        )

    def _sides(self, side: int) -> tuple[int, int]:
        top = 1 if self._io == "uint8" else 2
        height, width = self._filled(side)[top : top + 2]
        return height, width

    def _filled(self, side: int) -> list[int]:
        """The input's shape, with `side` for what is dynamic, and one tile in a batch."""
        usual = [1, side, side, 3] if self._io == "uint8" else [1, 3, side, side]
        return [own or other for own, other in zip(self._input.shape, usual, strict=True)]

"""The builder's side: configuration, timing cache, and the build.

TensorRT for RTX builds for real in the tests, and what it shows is not here: which graphs and which
profiles are refused.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from tests.simulated_tensorrt.library_state import Library, Plan, scratch_bytes
from tests.simulated_tensorrt.network import INetworkDefinition, largest_volume

__all__ = ["Builder", "IBuilderConfig", "IOptimizationProfile", "ITimingCache"]


class HostMemory(bytes):
    """A buffer that the library owns."""

    @property
    def nbytes(self) -> int:
        return len(self)


class Builder:
    def __init__(self, library: Library, logger: Any) -> None:
        if not getattr(logger, "_initialised", False):
            raise TypeError("the logger's base was not initialised")
        gpu = library.gpu  # TensorRT asks CUDA for the device at once
        if gpu is not None:
            gpu.builders.add(self)
        self._library, self.logger = library, logger

    def create_network(self, flags: int = 0) -> INetworkDefinition:
        return INetworkDefinition(self._library, flags)

    def create_builder_config(self) -> "IBuilderConfig":
        return IBuilderConfig(self._library)

    def create_optimization_profile(self) -> "IOptimizationProfile":
        return IOptimizationProfile()

    def build_serialized_network(
        self, network: INetworkDefinition, config: "IBuilderConfig"
    ) -> HostMemory | None:
        library, gpu = self._library, self._library.gpu
        if gpu is None or network.model is None:
            return self._refuse("no CUDA context, or an empty network")
        source = network.get_input(0)
        shapes = config.profile_shapes(source.name)
        if shapes is None:
            return self._refuse("Network has dynamic or shape inputs, but no optimization profile")
        volume = largest_volume(network.model, shapes[2])
        if volume >= 1 << 31:
            return self._refuse(f"Tensor volume {volume} exceeds (2^31)-1.")
        if scratch_bytes(shapes[2]) > gpu.free:
            return self._refuse(
                "Requested amount of GPU memory could not be allocated. OutOfMemory"
            )
        gpu.building = True
        going = self._work(config.progress_monitor)
        gpu.building = False
        if not going:
            return self._refuse("BuildCanceled (Build canceled by user)")
        library.builds += 1
        config.measure([node.name for node in network.model.graph.node])
        strong = network.flags & (1 << int(library.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        # Without strong types TensorRT 10 computes in FP32, whatever the graph says.
        assert strong or library.version.startswith("11")
        plan = Plan(
            version=library.version,
            gpu=gpu.name,
            compute_capability=gpu.compute_capability,
            version_compatible=library.BuilderFlag.VERSION_COMPATIBLE in config.set_flags,
            hardware_compatible=config.hardware_compatibility_level.name,
            input_name=source.name,
            profile=shapes,
            model=network.model.SerializeToString(),
        )
        return HostMemory(plan.to_bytes())

    def _work(self, monitor: Any) -> bool:
        """Two phases, one in the other; False once the monitor wants the end."""
        if monitor is None:
            return True
        call(monitor.phase_start, "Building engine", None, 1)
        call(monitor.phase_start, "Timing tactics", "Building engine", self._library.steps)
        going = True
        for step in range(self._library.steps):
            time.sleep(self._library.step_seconds)
            going = call(monitor.step_complete, "Timing tactics", step)
            if not going:
                break
        call(monitor.phase_finish, "Timing tactics")
        call(monitor.phase_finish, "Building engine")
        return going

    def _refuse(self, message: str) -> None:
        self.logger.log("ERROR", f"[builder] Error Code 4: {message}")


def call(callback: Callable[..., Any], *arguments: Any) -> bool:
    """Call a monitor as the bindings do: what it raises is printed, lost, and taken for False."""
    try:
        return bool(callback(*arguments))
    except BaseException as error:
        print(f"[ERROR] Exception caught in {callback.__name__}(): {error}", file=sys.stderr)
        return False


class IOptimizationProfile:
    def __init__(self) -> None:
        self.shapes: dict[str, tuple[tuple[int, ...], ...]] = {}

    def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:
        self.shapes[input] = tuple(tuple(dims[:]) for dims in (min, opt, max))


class ITimingCache:
    def __init__(self, library: Library, gpu: str, timings: set[str]) -> None:
        self._library, self.gpu, self.timings = library, gpu, timings

    def serialize(self) -> HostMemory:
        facts = {"gpu": self.gpu, "version": self._library.version, "timings": sorted(self.timings)}
        return HostMemory(json.dumps(facts).encode())

    def combine(self, input_cache: "ITimingCache", ignore_mismatch: bool) -> bool:
        if input_cache.gpu != self.gpu and not ignore_mismatch:
            return False
        self.timings |= input_cache.timings
        return True


class IBuilderConfig:
    """Attributes that it does not have cannot be set, as in pybind11."""

    __slots__ = (
        "_cache",
        "_library",
        "_pools",
        "_profiles",
        "builder_optimization_level",
        "hardware_compatibility_level",
        "progress_monitor",
        "set_features",
        "set_flags",
    )

    def __init__(self, library: Library) -> None:
        self._library = library
        self._profiles: list[IOptimizationProfile] = []
        self._pools: dict[Any, int] = {}
        self._cache: ITimingCache | None = None
        self.set_features: set[Any] = set()
        self.set_flags: set[Any] = set()
        self.builder_optimization_level = 3
        self.hardware_compatibility_level = library.HardwareCompatibilityLevel.NONE
        self.progress_monitor: Any = None

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
        self._profiles.append(profile)
        return len(self._profiles) - 1

    def profile_shapes(self, name: str) -> tuple[tuple[int, ...], ...] | None:
        return self._profiles[0].shapes.get(name) if self._profiles else None

    def set_flag(self, flag: Any) -> None:
        if not isinstance(flag, self._library.BuilderFlag):
            raise TypeError(f"{flag!r} is no BuilderFlag of TensorRT {self._library.version}")
        self.set_flags.add(flag)

    def set_preview_feature(self, feature: Any, enable: bool) -> None:
        if not isinstance(feature, self._library.PreviewFeature):
            raise TypeError(f"{feature!r} is no PreviewFeature of TensorRT {self._library.version}")
        (self.set_features.add if enable else self.set_features.discard)(feature)

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        if not isinstance(pool, self._library.MemoryPoolType):
            raise TypeError(f"{pool!r} is no MemoryPoolType")
        self._pools[pool] = pool_size

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache:
        """An empty one if the bytes are none."""
        gpu = self._library.gpu
        assert gpu is not None
        try:
            facts = json.loads(serialized_timing_cache)
        except ValueError:
            return ITimingCache(self._library, gpu.name, set())
        return ITimingCache(self._library, facts["gpu"], set(facts["timings"]))

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        gpu = self._library.gpu
        assert gpu is not None
        if cache.gpu != gpu.name and not ignore_mismatch:
            return False
        self._cache = cache
        return True

    def get_timing_cache(self) -> ITimingCache | None:
        return self._cache

    def measure(self, layers: list[str]) -> None:
        """The build's work: every layer is timed."""
        if self._cache is not None:
            self._cache.timings |= set(layers)

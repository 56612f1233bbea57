"""The size of a result is known before the work, and compared with the memory that is free."""

import tracemalloc
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sr_runtime import OutOfMemoryError, Upscaler, passes
from sr_runtime.memory import result as result_memory
from sr_runtime.memory.free import free_memory
from tests.runtime.in_threads import photo
from tests.runtime.known_network import KnownNetwork


class BlackNetwork(KnownNetwork):
    """It costs nothing, so that only the memory of the results counts."""

    def answer(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        height, width = (side * self.info.scale for side in batch.shape[2:])
        return np.zeros((*batch.shape[:2], height, width), np.float32)


@pytest.mark.parametrize("size", [{}, {"scale": 1.5}, {"scale": 3}, {"scale": 4}])
@pytest.mark.parametrize(
    ("channels", "dtype"), [(1, np.uint8), (3, np.uint16), (4, np.uint8), (4, np.uint16)]
)
def test_the_estimate_is_a_tight_lower_bound_of_what_is_allocated(
    dtype: type[np.integer[Any]],
    channels: int,
    size: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    estimates: list[int] = []
    check = result_memory.check_memory
    monkeypatch.setattr(
        passes, "check_memory", lambda frames: estimates.append(check(frames)) or estimates[-1]
    )
    network = Upscaler(BlackNetwork(radius=1), tile=64)
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (160, 200, channels)).astype(dtype)
    network.upscale(image[:9, :9], **size)
    tracemalloc.start()
    try:
        network.upscale(image, **size)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert estimates[-1] <= peak <= 1.5 * estimates[-1] + 500_000


def test_a_result_that_cannot_fit_is_refused_before_the_work() -> None:
    network = KnownNetwork(radius=1)
    huge = np.broadcast_to(np.uint8(0), (1 << 20, 1 << 20, 3))
    with pytest.raises(OutOfMemoryError, match=r"2097152 × 2097152 .* 13,194,140 MB .*--scale"):
        Upscaler(network).upscale(huge)
    assert network.batches == []


def test_files_and_pil_images_are_refused_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = KnownNetwork(radius=1)
    image = Image.fromarray(photo(100, 100))
    image.save(tmp_path / "a.png")
    monkeypatch.setattr(result_memory, "WORTH_ASKING", 0)
    monkeypatch.setattr(result_memory, "free_memory", lambda: 119_999)  # of 200 × 200 × 3
    with Upscaler(network) as loaded:
        with pytest.raises(OutOfMemoryError, match="200 × 200"):
            loaded.upscale(image)
        with pytest.raises(OutOfMemoryError, match="200 × 200"):
            loaded.upscale_file(tmp_path / "a.png", tmp_path / "b.png")
        assert network.batches == []
        monkeypatch.setattr(result_memory, "free_memory", lambda: 120_000)
        assert loaded.upscale(image).size == (200, 200)
        assert not (tmp_path / "b.png").exists()


@pytest.mark.filterwarnings("ignore:Unable to allocate")
def test_pythons_own_memory_error_becomes_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system says nothing of free memory, numpy finds out."""

    class Hungry(KnownNetwork):
        def answer(self, batch: NDArray[Any]) -> NoReturn:
            np.empty(1 << 60, np.uint8)
            raise AssertionError("there is a machine with an exbibyte of memory")

    with pytest.raises(OutOfMemoryError, match="not enough memory to upscale the image"):
        Upscaler(Hungry(radius=1)).upscale(photo(9, 9))


def test_tiles_for_which_numpy_finds_no_memory_become_smaller() -> None:
    class Hungry(KnownNetwork):
        def answer(self, batch: NDArray[Any]) -> NDArray[np.float32]:
            if batch.shape[2] > 20:
                np.empty(1 << 60, np.uint8)
            return super().answer(batch)

    network, image = Hungry(radius=1), photo(50, 30)
    with pytest.warns(RuntimeWarning, match="allocate.*: continuing with tiles of"):
        result = Upscaler(network, tile=40).upscale(image)
    np.testing.assert_array_equal(result, KnownNetwork(radius=1).whole(image))


def system(root: Path, files: dict[str, str]) -> dict[str, Path]:
    """Folders as /proc and /sys/fs/cgroup."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return {"proc": root / "proc", "cgroups": root / "cgroups"}


MEMINFO = {"proc/meminfo": "MemTotal: 9 kB\nMemAvailable:   3000 kB\nSwapFree: 1000 kB\n"}


@pytest.mark.skipif(free_memory() is None, reason="the system does not say how much is free")
@pytest.mark.parametrize(
    ("files", "free"),
    [
        (MEMINFO, 4000 * 1024),
        ({"proc/meminfo": "damaged"}, None),
        ({}, None),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "cgroups/a/b/memory.max": "max\n",
                "cgroups/a/b/memory.current": "1\n",
                "cgroups/a/memory.max": "1000000\n",
                "cgroups/a/memory.current": "900000\n",
                "cgroups/a/memory.stat": "anon 1\ninactive_file 20000\nactive_file 3000\n",
                "cgroups/a/memory.swap.max": "100\n",
                "proc/meminfo": "MemAvailable: 3000 kB\nSwapFree: 1000 kB\n",
            },
            123_100,
        ),
        (
            {
                "proc/self/cgroup": "5:cpu:/\n4:memory:/job\n",
                "cgroups/memory/job/memory.limit_in_bytes": "5000\n",
                "cgroups/memory/job/memory.usage_in_bytes": "2000\n",
            },
            3000,
        ),
        (
            {
                "proc/self/cgroup": "0::/job\n",
                "cgroups/job/memory.max": "5000\n",
                "cgroups/job/memory.current": "6000\n",
            },
            0,
        ),
    ],
)
def test_the_smallest_of_all_limits_is_what_is_free(
    files: dict[str, str], free: int | None, tmp_path: Path
) -> None:
    assert free_memory(**system(tmp_path, files)) == free


def test_a_container_sees_its_own_group_as_the_root(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "0::/docker/x\n",
        "cgroups/memory.max": "5000\n",
        "cgroups/memory.current": "2000\n",
    }
    assert free_memory(**system(tmp_path, MEMINFO | files)) == 3000 + 1000 * 1024


def test_the_limit_on_a_processs_addresses_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = pytest.importorskip("resource", reason="not on Windows")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1 << 30, 1 << 30))
    pages = (1 << 30) // resource.getpagesize() - 3
    files = {"proc/self/statm": f"{pages} 1 1 1 1 1 1\n"}
    assert free_memory(**system(tmp_path, files)) == 3 * resource.getpagesize()

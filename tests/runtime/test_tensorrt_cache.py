"""Engines that are built on first use, once, and found again."""

import errno
import functools
import multiprocessing
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sr_runtime.backends.tensorrt.engine_file import EngineInfo, sha256
from sr_runtime.backends.tensorrt.options import Profile
from sr_runtime.errors import BackendError, ModelError, OutOfMemoryError, StorageError
from sr_runtime.storage.atomic import atomic_path
from tests.simulated_tensorrt import VERSIONS, Machine, simulated

PROFILE = Profile.parse("1x16x16", "1x16x16", "2x48x48")
OTHER_PROFILE = Profile.parse("1x16x16", "2x32x32", "2x48x48")


def builds(machine: Machine, model: Path, profile: Profile = PROFILE) -> int:
    """How many engines are built when this one is asked for."""
    from sr_runtime.backends.tensorrt.engine_cache import cached_engine

    before = machine.library.builds
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        _, info = cached_engine(model, kind=machine.kind, device="cuda:0", profile=profile)
    built = int(machine.library.builds - before)
    assert [str(one.message).split()[0] for one in said] == ["building"] * built
    assert (info.profile, info.tensorrt) == (profile, machine.library.version)
    if machine.kind == "tensorrt":
        assert info.gpu == machine.gpu.name
    else:
        assert info.compute_capabilities == ("{}.{}".format(*machine.gpu.compute_capability),)
    assert machine.gpu.is_clean
    return built


@pytest.mark.slow
def test_an_engine_is_built_once_for_each_model_profile_version_and_gpu(
    tiny_onnx: Callable[..., Path],
) -> None:
    model, other = tiny_onnx(precision="fp16"), tiny_onnx(precision="fp16", io="uint8")
    for version in VERSIONS:
        with simulated(version) as machine:
            assert [builds(machine, model) for _ in range(3)] == [1, 0, 0]
            assert builds(machine, other) == 1
            assert builds(machine, model, OTHER_PROFILE) == 1
            machine.gpu.name = "Another GPU"
            assert [builds(machine, model) for _ in range(2)] == [1, 0]
    with simulated(VERSIONS[0]) as machine:
        assert builds(machine, model) == 0


def test_a_gpu_too_small_for_the_usual_profile_is_told_the_command_for_smaller_tiles(
    tiny_onnx: Callable[..., Path],
) -> None:
    model = tiny_onnx(precision="fp16")
    with simulated() as machine:
        machine.gpu.total = 1000
        command = r"engine \S+tiny\.onnx -o tiny\.engine .* --max 1x256x256$"
        with pytest.raises(OutOfMemoryError, match=command):
            builds(machine, model)
    wide = tiny_onnx(precision="fp16", rrdb_channels=256)
    with (
        simulated(None, rtx=True) as machine,
        pytest.raises(OutOfMemoryError, match=r"--max 1x256x256 --for rtx --sm 89$"),
    ):
        builds(machine, wide, Profile.parse(*["8x2300x2300"] * 3))


def test_an_rtx_engine_is_built_once_for_each_model_profile_and_compute_capability(
    tiny_onnx: Callable[..., Path],
) -> None:
    model, other = tiny_onnx(precision="fp16"), tiny_onnx(precision="fp16", io="uint8")
    with simulated(None, rtx=True) as machine:
        assert [builds(machine, model) for _ in range(3)] == [1, 0, 0]
        assert builds(machine, other) == 1
        assert builds(machine, model, OTHER_PROFILE) == 1
        machine.gpu.name = "Another card of the same generation"
        assert builds(machine, model) == 0
        machine.gpu.compute_capability = (12, 0)
        assert [builds(machine, model) for _ in range(2)] == [1, 0]


def test_a_damaged_engine_in_the_cache_is_built_anew(
    runner: Machine, tiny_onnx: Callable[..., Path], cache: Path
) -> None:
    model = tiny_onnx(precision="fp16")
    assert builds(runner, model) == 1
    (engine,) = cache.glob("*.engine")
    engine.write_bytes(engine.read_bytes()[:-1])
    assert [builds(runner, model) for _ in range(2)] == [1, 0]


def test_a_failed_build_leaves_nothing_that_is_taken_for_an_engine(
    tiny_onnx: Callable[..., Path], cache: Path
) -> None:
    model = tiny_onnx(precision="fp16")
    with simulated() as machine:
        machine.library.loads = False
        with pytest.raises(BackendError, match="cannot load"):
            builds(machine, model)
        assert not list(cache.glob("*.engine*"))
        machine.library.loads = True
        assert builds(machine, model) == 1


def test_an_fp32_file_says_how_to_make_it_fp16(
    runner: Machine, tiny_onnx: Callable[..., Path]
) -> None:
    with pytest.raises(ModelError, match="--precision fp16"):
        builds(runner, tiny_onnx(precision="fp32"))


def test_an_engine_that_cannot_be_kept_is_used_and_a_warning_says_so(
    runner: Machine, tiny_onnx: Callable[..., Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full once the engine is built."""
    from sr_runtime.backends.tensorrt import engine_cache

    def full(path: Path, plan: bytes, info: EngineInfo) -> None:
        with atomic_path(path):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(engine_cache, "write_engine", full)
    with (
        pytest.warns(RuntimeWarning, match="building"),
        pytest.warns(RuntimeWarning, match="not kept .*No space left on device.*: set SR_CACHE"),
    ):
        plan, info = engine_cache.cached_engine(
            tiny_onnx(precision="fp16"), kind=runner.kind, device="cuda:0", profile=PROFILE
        )
    assert sha256(plan) == info.plan_sha256
    assert not list(cache.glob("*.engine*"))


def test_a_folder_that_can_only_be_read_still_gives_its_engines(
    runner: Machine, tiny_onnx: Callable[..., Path], cache: Path
) -> None:
    model = tiny_onnx(precision="fp16")
    assert builds(runner, model) == 1
    for lock in cache.glob("*.lock"):
        lock.unlink()
        lock.mkdir()  # cannot be opened, by root neither
    assert builds(runner, model) == 0


def test_a_folder_that_cannot_be_written_is_named_with_the_variable(
    tiny_onnx: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SR_CACHE", str(tmp_path / "file" / "cache"))
    with simulated() as machine, pytest.raises(StorageError, match="set SR_CACHE to a folder"):
        builds(machine, tiny_onnx(precision="fp16"))


def build_in_a_process(model: Path, machine: dict[str, Any]) -> int:
    """What each of the processes does: how many engines it built."""
    with simulated(**machine) as here:
        # Long enough for the other one to come.
        here.library.step_seconds = 0.5
        here.library.at_build = functools.partial(time.sleep, 1)
        from sr_runtime.backends.tensorrt.engine_cache import cached_engine

        cached_engine(model, kind=here.kind, device="cuda:0", profile=PROFILE)
        return int(here.library.builds)


@pytest.mark.slow
@pytest.mark.parametrize("machine", [{}, {"version": None, "rtx": True}], ids=["tensorrt", "rtx"])
def test_of_two_processes_one_builds_and_the_other_waits(
    machine: dict[str, Any], tiny_onnx: Callable[..., Path], cache: Path
) -> None:
    if machine:
        pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")
    model = tiny_onnx(precision="fp16")
    with multiprocessing.get_context("spawn").Pool(2) as processes:
        built = processes.starmap(build_in_a_process, [(model, machine)] * 2, chunksize=1)
    assert sorted(built) == [0, 1]
    assert len(list(cache.glob("*.engine"))) == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_cache_that_others_can_write_is_not_used(
    machine: Machine, model: Path, cache: Path
) -> None:
    """An engine is a program, which another user could put there."""
    assert builds(machine, model) == 1
    assert cache.stat().st_mode & 0o077 == 0
    cache.chmod(0o777)
    with pytest.raises(StorageError, match=r"other users can write .* set SR_CACHE") as caught:
        builds(machine, model)
    assert caught.value.path == cache
    cache.chmod(0o755)
    assert builds(machine, model) == 0

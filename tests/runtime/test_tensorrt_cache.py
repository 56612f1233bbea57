"""Engines that are built on first use, once, and found again."""

import multiprocessing
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from sr_runtime.backends.tensorrt.options import Profile
from sr_runtime.errors import BackendError, ModelError, OutOfMemoryError, StorageError
from tests.simulated_tensorrt import VERSIONS, Machine, simulated

PROFILE = Profile.parse("1x16x16", "1x16x16", "2x48x48")
OTHER_PROFILE = Profile.parse("1x16x16", "2x32x32", "2x48x48")


def builds(machine: Machine, model: Path, profile: Profile = PROFILE) -> int:
    """How many engines are built when this one is asked for."""
    from sr_runtime.backends.tensorrt.cache import cached_engine

    before = machine.library.builds
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        _, info = cached_engine(model, kind="tensorrt", device="cuda:0", profile=profile)
    built = int(machine.library.builds - before)
    assert [str(one.message).split()[0] for one in said] == ["building"] * built
    assert (info.profile, info.tensorrt, info.gpu) == (
        profile,
        machine.library.version,
        machine.gpu.name,
    )
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


def test_a_damaged_engine_in_the_cache_is_built_anew(
    tiny_onnx: Callable[..., Path], cache: Path
) -> None:
    model = tiny_onnx(precision="fp16")
    with simulated() as machine:
        assert builds(machine, model) == 1
        (engine,) = cache.glob("*.engine")
        engine.write_bytes(engine.read_bytes()[:-1])
        assert [builds(machine, model) for _ in range(2)] == [1, 0]


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


def test_an_fp32_file_says_how_to_make_it_fp16(tiny_onnx: Callable[..., Path]) -> None:
    with simulated() as machine, pytest.raises(ModelError, match="--precision fp16"):
        builds(machine, tiny_onnx(precision="fp32"))


def test_a_folder_that_cannot_be_written_is_named_with_the_variable(
    tiny_onnx: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SR_CACHE", str(tmp_path / "file" / "cache"))
    with simulated() as machine, pytest.raises(StorageError, match="set SR_CACHE to a folder"):
        builds(machine, tiny_onnx(precision="fp16"))


def test_the_folder_follows_the_systems_convention(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with simulated():
        from sr_runtime.backends.tensorrt.cache_folder import cache_folder

        assert cache_folder() == tmp_path / "cache"
        monkeypatch.delenv("SR_CACHE")
        if os.name == "nt":
            monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
            assert cache_folder() == tmp_path / "sr-toolkit" / "Cache"
            return
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert cache_folder() == tmp_path / "sr-toolkit"
        monkeypatch.setenv("XDG_CACHE_HOME", "relative")
        monkeypatch.setenv("HOME", str(tmp_path))
        assert cache_folder() == tmp_path / ".cache" / "sr-toolkit"


def build_in_a_process(model: Path) -> int:
    """What each of the processes does: how many engines it built."""
    with simulated() as machine:
        machine.library.step_seconds = 0.5  # long enough for the other one to come
        from sr_runtime.backends.tensorrt.cache import cached_engine

        cached_engine(model, kind="tensorrt", device="cuda:0", profile=PROFILE)
        return int(machine.library.builds)


@pytest.mark.slow
def test_of_two_processes_one_builds_and_the_other_waits(
    tiny_onnx: Callable[..., Path], cache: Path
) -> None:
    model = tiny_onnx(precision="fp16")
    with multiprocessing.get_context("spawn").Pool(2) as processes:
        built = processes.map(build_in_a_process, [model, model], chunksize=1)
    assert sorted(built) == [0, 1]
    assert len(list(cache.glob("*.engine"))) == 1

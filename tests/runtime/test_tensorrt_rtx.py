"""TensorRT for RTX where it differs from TensorRT: what it says about an engine, and its kernels.

Engines are built for real; the card is simulated.
"""

import os
import signal
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sr_runtime
from sr_runtime.backends.base import infer
from sr_runtime.backends.tensorrt import runtime_cache
from sr_runtime.backends.tensorrt.engine_file import read_engine, sha256, write_engine
from sr_runtime.errors import BackendError, ModelError, OutOfMemoryError
from tests.runtime.tiny_engine import batches, engine_file, expected, open_engine, same_in_flight
from tests.simulated_tensorrt import Machine, simulated

SMALL = (1, 16, 16)
LARGE = (1, 32, 48)


@pytest.fixture
def card() -> Any:
    with simulated(None, rtx=True) as machine:
        yield machine


@pytest.fixture
def model(tiny_onnx: Callable[..., Path]) -> Path:
    return tiny_onnx(precision="fp16")


@pytest.fixture
def engine(card: Machine, model: Path, tmp_path: Path) -> Path:
    return engine_file(model, tmp_path)


def run(engine: Path, *shapes: tuple[int, int, int]) -> None:
    """Open an engine, as another process would, and let it run a batch of each shape."""
    backend = open_engine(engine)
    for batch in batches("float32", *shapes):
        infer(backend, batch)
    backend.close()


def test_graphs_are_captured_by_the_library_alone(card: Machine, engine: Path, model: Path) -> None:
    backend = open_engine(engine)
    assert same_in_flight(backend, batches("float32", *[(2, 16, 24)] * 8), model)
    assert card.gpu.launches > 0, "no CUDA graph was used"
    backend.close()
    assert card.gpu.is_clean


def test_an_engine_of_another_version_names_both_and_the_command(
    model: Path, tmp_path: Path
) -> None:
    with simulated(None, rtx=True) as card:
        path, version = engine_file(model, tmp_path), card.rtx.version
    with simulated(None, rtx=True, rtx_version="1.6.0.9") as card:
        with pytest.raises(ModelError, match=r"1\.6\.0\.9 is installed.*--for rtx --sm") as raised:
            open_engine(path)
        assert card.gpu.is_clean
    assert version in str(raised.value)


def test_an_engine_for_other_cards_is_built_again_for_this_one_too(
    card: Machine, model: Path, tmp_path: Path
) -> None:
    path = engine_file(model, tmp_path, compute_capabilities=("8.6", "12.0"))
    with pytest.raises(
        ModelError, match=r"8\.6, 12\.0, and Simulated RTX has 8\.9.*--sm 86,89,120"
    ):
        open_engine(path)
    card.gpu.compute_capability = (12, 0)
    open_engine(path).close()
    assert card.gpu.is_clean


@pytest.mark.parametrize(
    ("diagnosis", "error", "says"),
    [
        ("OLD_CUDA_DRIVER", ModelError, "driver is too old for it: update the driver"),
        ("OLD_CUDA_RUNTIME", ModelError, r'pip install --upgrade "sr-toolkit\[rtx\]"'),
        ("INSUFFICIENT_GPU_MEMORY", OutOfMemoryError, r"1\.1 GB are free.* --max than 4x96x96"),
        ("MALFORMED_ENGINE", ModelError, "damaged, or no engine of TensorRT for RTX.*build it"),
        ("CUDA_ERROR", ModelError, "not installed correctly: check nvidia-smi"),
    ],
)
def test_each_diagnosis_of_the_library_is_a_sentence_with_the_next_step(
    diagnosis: str, error: type[Exception], says: str, card: Machine, engine: Path
) -> None:
    import tensorrt_rtx

    card.rtx.diagnoses = int(getattr(tensorrt_rtx.EngineInvalidityDiagnostics, diagnosis))
    with pytest.raises(error, match=f"does not run here: .*{says}"):
        open_engine(engine)
    assert card.gpu.is_clean


def test_several_diagnoses_are_one_message(card: Machine, engine: Path) -> None:
    card.rtx.diagnoses = 4 + 16
    with pytest.raises(ModelError, match=r"driver is too old.*; Simulated RTX has too little"):
        open_engine(engine)


def test_every_diagnosis_of_the_real_library_is_known() -> None:
    """A new one would have no sentence."""
    real = pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")
    assert sum(int(one) for one in real.EngineInvalidityDiagnostics.__members__.values()) == 127


def test_an_engine_that_may_be_slow_here_runs_and_says_so(card: Machine, engine: Path) -> None:
    card.rtx.diagnoses, card.rtx.validity = 4, "SUBOPTIMAL"
    with pytest.warns(RuntimeWarning, match="may run slowly here: the NVIDIA driver is too old"):
        open_engine(engine).close()


def test_a_corrupt_plan_is_refused(card: Machine, engine: Path) -> None:
    plan, info = read_engine(engine)
    for damaged, says in (
        (b"no plan" * 100, "damaged, or no engine of TensorRT for RTX"),
        (plan[:64], "cannot load the engine .*bufferSize"),  # as where the header is good
    ):
        write_engine(engine, damaged, replace(info, plan_sha256=sha256(damaged)))
        with pytest.raises(ModelError, match=says):
            open_engine(engine)
    assert card.gpu.is_clean


def test_the_real_runtime_without_a_driver_refuses_an_engine_and_goes_on(
    tmp_path: Path, model: Path
) -> None:
    """What the simulation answers there is what the library answers."""
    real = pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")
    from sr_runtime.backends.cuda import driver
    from sr_runtime.backends.tensorrt.build import build_engine
    from sr_runtime.backends.tensorrt.library import Log, open_library
    from sr_runtime.backends.tensorrt.options import BuildOptions

    if driver.missing() is None:
        pytest.skip("there is a driver here")
    plan, _ = build_engine(model, BuildOptions(kind="tensorrt-rtx"))
    log = Log(open_library("tensorrt-rtx"))
    runtime = real.Runtime(log.logger)
    assert runtime.get_engine_validity(plan[:64]) == (real.EngineValidity.INVALID, 0)
    assert "cudaError 35" in log.last_error
    assert runtime.engine_header_size == 64
    assert runtime.get_engine_validity(b"no plan" * 10) == (real.EngineValidity.INVALID, 32)
    assert runtime.deserialize_cuda_engine(plan) is None


def test_the_real_library_has_what_is_used_of_it() -> None:
    real = pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")
    with simulated(None, rtx=True):
        from tests.simulated_tensorrt import rtx

        for name, simulation in (
            ("IRuntimeConfig", rtx.IRuntimeConfig),
            ("IRuntimeCache", rtx.IRuntimeCache),
            ("ICudaEngine", rtx.RtxEngine),
            ("IExecutionContext", rtx.RtxContext),
            ("Runtime", rtx.RtxRuntime),
        ):
            used = {
                member
                for one in simulation.__mro__[:-1]
                for member in vars(one)
                if member[0] != "_" and member != "compile"
            }
            assert used <= set(dir(getattr(real, name))), name


def test_kernels_are_compiled_once_and_not_again_by_the_next_process(
    card: Machine, engine: Path, cache: Path
) -> None:
    run(engine, SMALL, LARGE)
    assert card.rtx.compiled == [(), (1, 3, 16, 16), (1, 3, 32, 48)]
    (path,) = cache.glob("*.kernels")
    link = path.with_suffix(".link")
    link.hardlink_to(path)
    run(engine, LARGE, SMALL)
    assert len(card.rtx.compiled) == 3
    assert path.samefile(link), "it was written again with the same kernels"
    assert list(cache.glob("*.kernels")) == [path]


@pytest.mark.parametrize("change", ["card", "driver", "engine"])
def test_another_card_driver_or_engine_has_kernels_of_its_own(
    change: str, card: Machine, engine: Path, cache: Path
) -> None:
    run(engine, SMALL)
    (first,) = cache.glob("*.kernels")
    before = first.read_bytes()
    if change == "card":
        card.gpu.name = "Another RTX"
    elif change == "driver":
        card.cuda = 13010
    else:
        plan, info = read_engine(engine)
        write_engine(engine, plan + b" ", replace(info, plan_sha256=sha256(plan + b" ")))
    run(engine, SMALL)
    assert len(list(cache.glob("*.kernels"))) == 2
    assert first.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"no kernels", b'["another environment", []]'])
def test_kernels_that_are_corrupt_or_foreign_are_ignored_and_replaced(
    content: bytes, card: Machine, engine: Path, cache: Path
) -> None:
    run(engine, SMALL)
    (path,) = cache.glob("*.kernels")
    good = path.read_bytes()
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(engine, SMALL)
    assert path.read_bytes() == good


def test_a_process_that_is_killed_keeps_what_it_compiled(
    card: Machine, engine: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime_cache, "SETTLED_SECONDS", 0.0)
    backend = open_engine(engine)
    (path,) = cache.glob("*.kernels")  # those of all shapes, as soon as it is open
    assert b"[1, 3, 16, 16]" not in path.read_bytes()
    first, second = batches("float32", SMALL, SMALL)
    infer(backend, first)
    infer(backend, second)
    assert b"[1, 3, 16, 16]" in path.read_bytes()
    backend.close()


def test_kernels_of_a_shape_are_saved_once_they_had_time_to_be_compiled(tmp_path: Path) -> None:
    clock, saved = [0.0], []

    class Config:
        class Cache:
            def serialize(self) -> bytes:
                saved.append(clock[0])
                return b"kernels %d" % len(saved)

            def deserialize(self, blob: bytes) -> bool:
                return True

        create_runtime_cache = staticmethod(Cache)

        def set_runtime_cache(self, cache: Cache) -> None: ...

    kernels = runtime_cache.RuntimeCache(tmp_path / "a.kernels", now=lambda: clock[0])
    kernels.attach(Config())
    for clock[0], shape in (
        (0, "first"),
        (19, "second"),  # does not put off the first
        (20, "first"),
        (38, "first"),
        (39, "first"),
        (90, "second"),
    ):
        kernels.before_batch((len(shape),))
    assert saved == [20, 39]


def test_the_least_recently_used_kernels_are_deleted(
    card: Machine, model: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = []
    for name in ("first", "second", "third"):
        (tmp_path / name).mkdir()
        engines.append(engine_file(model, tmp_path / name))
    run(engines[0], SMALL)
    (first,) = cache.glob("*.kernels")
    size = first.stat().st_size
    monkeypatch.setattr(runtime_cache, "MAX_BYTES", 2 * size)
    time.sleep(0.02)  # times of files are as coarse as this
    run(engines[1], SMALL)
    (second,) = set(cache.glob("*.kernels")) - {first}
    time.sleep(0.02)
    run(engines[0], SMALL)  # used again, and nothing new is compiled
    time.sleep(0.02)
    run(engines[2], SMALL)
    left = set(cache.glob("*.kernels"))
    assert first in left
    assert second not in left
    assert len(left) == 2


def test_an_engine_runs_where_kernels_cannot_be_kept_and_one_warning_says_so(
    card: Machine, engine: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SR_CACHE", str(tmp_path / "file" / "cache"))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        backend = open_engine(engine)
        (batch,) = batches("float32", SMALL)
        np.testing.assert_array_equal(infer(backend, batch), expected(model, batch))
        backend.close()
    assert [str(one.message)[:29] for one in said] == ["compiled kernels are not kept"]
    assert "set SR_CACHE to a folder" in str(said[0].message)
    assert card.gpu.is_clean


def test_a_library_that_gives_no_kernels_leaves_no_file(
    card: Machine, engine: Path, cache: Path
) -> None:
    card.rtx.caches_break = True
    run(engine, SMALL)
    assert not list(cache.glob("*.kernels"))


def test_an_onnx_file_is_built_in_seconds_for_this_card_and_found_again(
    card: Machine, model: Path, cache: Path
) -> None:
    with pytest.warns(RuntimeWarning, match="building an engine of tiny.onnx .* takes seconds"):
        sr_runtime.load(model, backend="tensorrt-rtx").close()
    (engine,) = cache.glob("*.engine")
    assert read_engine(engine)[1].compute_capabilities == ("8.9",)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sr_runtime.load(model).close()  # auto
        card.gpu.name = "Another RTX of the same generation"
        sr_runtime.load(model).close()
    assert card.rtx.builds == 1


def test_an_onnx_file_runs_where_its_engine_cannot_be_kept(
    card: Machine, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SR_CACHE", str(tmp_path / "file" / "cache"))
    image = np.random.default_rng(0).integers(0, 256, (70, 80, 3), np.uint8)
    with pytest.warns(RuntimeWarning) as said:
        upscaler = sr_runtime.load(model)
    with upscaler:
        assert upscaler.backend.name == "tensorrt-rtx"
        assert upscaler.upscale(image).shape == (280, 320, 3)
    words = [str(one.message).partition(" (")[0] for one in said]
    assert any(line == "the engine is not kept" for line in words)
    assert card.gpu.is_clean


def test_an_fp32_file_is_refused_with_the_export_command(
    card: Machine, tiny_onnx: Callable[..., Path]
) -> None:
    with pytest.raises(ModelError, match="sr_export onnx CHECKPOINT --precision fp16"):
        sr_runtime.load(tiny_onnx(), backend="tensorrt-rtx")
    assert card.gpu.is_clean


def test_ctrl_c_while_an_engine_is_built_on_first_use_leaves_nothing(
    card: Machine, model: Path, cache: Path, hears_ctrl_c: None
) -> None:
    card.rtx.at_build = lambda: os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), pytest.warns(RuntimeWarning, match="building"):
        sr_runtime.load(model, backend="tensorrt-rtx")
    assert not list(cache.glob("*.engine*"))
    assert card.gpu.is_clean


def test_without_the_library_the_extra_is_named() -> None:
    with (
        simulated(None),
        pytest.raises(BackendError, match=r'tensorrt_rtx is not installed: .*"sr-toolkit\[rtx\]"'),
    ):
        sr_runtime.load("esrgan", backend="tensorrt-rtx")

"""TensorRT for RTX where it differs from TensorRT: what it says about an engine, and first use.

Engines are built for real; the card is simulated.
"""

import os
import signal
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import sr_runtime
from sr_runtime.backends.tensorrt.engine_file import read_engine, sha256, write_engine
from sr_runtime.errors import BackendError, ModelError, OutOfMemoryError
from tests.runtime.tiny_engine import batches, engine_file, open_engine, same_in_flight
from tests.simulated_tensorrt import Machine, simulated


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


def test_an_engine_for_other_cards_is_to_be_built_for_this_one(
    card: Machine, model: Path, tmp_path: Path
) -> None:
    path = engine_file(model, tmp_path, compute_capabilities=("8.6", "12.0"))
    with pytest.raises(
        ModelError, match=r"8\.6.*12\.0.*, and this is Simulated RTX \(8\.9\).*--sm 89"
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


def test_every_diagnosis_of_the_real_library_has_a_sentence(card: Machine, engine: Path) -> None:
    import tensorrt_rtx

    for diagnosis in map(int, tensorrt_rtx.EngineInvalidityDiagnostics.__members__.values()):
        card.rtx.diagnoses = diagnosis
        with pytest.raises((ModelError, OutOfMemoryError)) as raised:
            open_engine(engine)
        assert "finds it unsuited" not in str(raised.value), diagnosis


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
    card: Machine, model: Path, cache: Path, hears_signals: None
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

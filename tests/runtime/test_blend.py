"""Blends of the embedded models: what they compute, say and refuse."""

import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np
import onnx
import PIL.Image
import pytest

import sr_runtime
from sr_runtime import ArgumentError, ModelError, StorageError
from sr_runtime.__main__ import main
from sr_runtime.backends.base import infer
from sr_runtime.backends.registry import BackendRow
from sr_runtime.blend import blended_file
from sr_runtime.cli.facts import facts_rows
from sr_runtime.embedded import FOLDER
from tests.runtime.every_row import every_fast_row
from tests.runtime.tiny_engine import engine_file, expected, open_engine
from tests.simulated_tensorrt import Machine

# Soft enough that no result leaves [0, 1] and is clamped.
SOFT = np.random.default_rng(0).uniform(0.46, 0.54, (20, 24, 3)).astype(np.float32)


def upscaled(model: str = "esrgan", **options: object) -> np.ndarray:
    with sr_runtime.load(model, **options) as upscaler:
        return upscaler.upscale(SOFT)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@every_fast_row
def test_a_blend_mixes_the_results_of_both_models(row: BackendRow) -> None:
    here = {"backend": row.name, "device": row.kind, "precision": "fp32"}
    psnr, esrgan = (upscaled(name, **here) for name in ("psnr", "esrgan"))
    assert 0 < min(psnr.min(), esrgan.min()) < max(psnr.max(), esrgan.max()) < 1
    assert np.abs(psnr - esrgan).max() > 0.02
    blended = upscaled(blend=0.3, **here)
    np.testing.assert_allclose(blended, 0.7 * psnr + 0.3 * esrgan, atol=1e-4)


@pytest.mark.parametrize(("blend", "name"), [(0, "psnr"), (1, "esrgan")])
def test_the_ends_are_the_models_themselves(blend: float, name: str) -> None:
    np.testing.assert_array_equal(upscaled(blend=blend), upscaled(name))


def test_a_blend_does_not_depend_on_which_of_the_two_is_named() -> None:
    np.testing.assert_array_equal(upscaled("psnr", blend=0.5), upscaled("esrgan", blend=0.5))


def test_a_blend_states_its_facts_in_a_valid_file() -> None:
    with blended_file("esrgan", 0.25) as file:
        onnx.checker.check_model(onnx.load(file), full_check=True)
        with sr_runtime.load(file) as upscaler:
            info = upscaler.info
    with sr_runtime.load("psnr") as psnr, sr_runtime.load("esrgan") as esrgan:
        assert info.blend == 0.25
        assert psnr.info.blend is esrgan.info.blend is info.weights_sha256 is None
        assert info.halo == max(psnr.info.halo, esrgan.info.halo)
        assert info.receptive_radius == esrgan.info.receptive_radius


@pytest.mark.slow
def test_tensorrt_for_rtx_builds_and_runs_a_blend(card: Machine, tmp_path: Path) -> None:
    with blended_file("esrgan", 0.5) as file:
        engine = engine_file(file, tmp_path)
        batch = SOFT.transpose(2, 0, 1)[np.newaxis]
        expected_output = expected(file, batch)
    with closing(open_engine(engine)) as backend:
        assert backend.info.blend == 0.5
        np.testing.assert_allclose(infer(backend, batch), expected_output, atol=0.01)


@pytest.mark.parametrize("model", ["mine.onnx", Path("esrgan")])
def test_only_the_embedded_models_are_blended(model: str | Path) -> None:
    with pytest.raises(ArgumentError, match=rf"esrgan and psnr, and not '{model}'"):
        sr_runtime.load(model, blend=0.5)


@pytest.mark.parametrize("blend", [-0.1, 1.01, float("nan"), "0.5"])
def test_a_blend_out_of_range_is_refused_with_its_limits(blend: object) -> None:
    with pytest.raises(ArgumentError, match=rf"{blend!r}.*from 0 \(psnr\) to 1 \(esrgan\)"):
        sr_runtime.load(blend=blend)


def test_nothing_stays_in_the_folder_for_temporary_files(temporary: Path) -> None:
    sr_runtime.load(blend=0.5).close()
    with pytest.raises(ArgumentError):
        sr_runtime.load(blend=0.5, backend="none")
    assert not [*temporary.iterdir()]


def test_without_a_folder_for_temporary_files_the_remedy_is_said(temporary: Path) -> None:
    temporary.rmdir()
    with pytest.raises(StorageError, match="TMPDIR"):
        sr_runtime.load(blend=0.5)


def test_an_error_names_the_blend_and_not_its_temporary_file() -> None:
    with pytest.raises(ModelError, match=r"^blend 0\.5: wrong$"), blended_file("psnr", 0.5) as file:
        raise ModelError("wrong", path=file)


def test_the_command_line_blends_and_says_so(tmp_path: Path, capsys) -> None:
    source = tmp_path / "photo.png"
    PIL.Image.fromarray(np.rint(SOFT * 255).astype(np.uint8)).save(source)
    assert main(["upscale", str(source), "--blend", "0.6"]) == 0
    target = tmp_path / "photo_blend0.6_x4.png"
    assert f"wrote {target}" in capsys.readouterr().out
    with (
        sr_runtime.load(blend=0.6) as upscaler,
        PIL.Image.open(source) as photo,
        PIL.Image.open(target) as large,
    ):
        np.testing.assert_array_equal(large, upscaler.upscale(photo))


def test_info_shows_the_blend_in_place_of_a_file() -> None:
    with sr_runtime.load(blend=0.6) as upscaler:
        rows = dict(facts_rows(FOLDER / "esrgan.onnx", upscaler.info))
    assert rows["made of"] == "40% psnr and 60% esrgan"
    assert "blend 0.6" in rows["facts stated"]
    assert "file" not in rows

"""Blends of the embedded models: what they compute, say and refuse."""

import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

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
from sr_runtime.embedded import BLENDS, DEFAULT, ends_of, model_file
from sr_runtime.made_with import made_with
from sr_runtime.model_info import ModelInfo
from tests.runtime.every_row import every_fast_row
from tests.runtime.tiny_engine import engine_file, expected, open_engine
from tests.simulated_tensorrt import Machine

# Soft enough that no result leaves [0, 1] and is clamped.
SOFT = np.random.default_rng(0).uniform(0.46, 0.54, (20, 24, 3)).astype(np.float32)


def of_every_pair(test: Any) -> Any:
    return pytest.mark.parametrize(("soft", "crisp"), BLENDS)(test)


def upscaled(model: str, **options: object) -> np.ndarray:
    with sr_runtime.load(model, **options) as upscaler:
        return upscaler.upscale(SOFT)


def facts_of(model: str) -> ModelInfo:
    with sr_runtime.load(model) as upscaler:
        return upscaler.info


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@every_fast_row
@of_every_pair
def test_a_blend_mixes_the_results_of_both_models(row: BackendRow, soft: str, crisp: str) -> None:
    here = {"backend": row.name, "device": row.kind, "precision": "fp32"}
    first, last = (upscaled(name, **here) for name in (soft, crisp))
    assert 0 < min(first.min(), last.min()) < max(first.max(), last.max()) < 1
    assert np.abs(first - last).max() > 0.003
    blended = upscaled(crisp, blend=0.3, **here)
    np.testing.assert_allclose(blended, 0.7 * first + 0.3 * last, atol=1e-4)


@of_every_pair
def test_the_ends_are_the_models_themselves(soft: str, crisp: str) -> None:
    np.testing.assert_array_equal(upscaled(crisp, blend=0), upscaled(soft))
    np.testing.assert_array_equal(upscaled(soft, blend=1), upscaled(crisp))


def test_without_a_name_the_default_is_blended() -> None:
    soft, crisp = ends_of(DEFAULT)
    with sr_runtime.load(blend=0.5) as upscaler:
        assert upscaler.info.blend == f"0.5 from {soft} to {crisp}"


@of_every_pair
def test_a_blend_does_not_depend_on_which_of_the_two_is_named(soft: str, crisp: str) -> None:
    with blended_file(soft, 0.5) as one, blended_file(crisp, 0.5) as other:
        assert one.read_bytes() == other.read_bytes()


@of_every_pair
def test_a_blend_states_its_facts_in_a_valid_file(soft: str, crisp: str) -> None:
    with blended_file(crisp, 0.25) as file:
        onnx.checker.check_model(onnx.load(file), full_check=True)
        with sr_runtime.load(file) as upscaler:
            info = upscaler.info
    ends = [facts_of(name) for name in (soft, crisp)]
    assert info.blend == f"0.25 from {soft} to {crisp}"
    assert info.weights_sha256 is None
    assert {*info.arch.split(" + ")} == {end.arch for end in ends}
    for fact in ("halo", "receptive_radius"):
        assert getattr(info, fact) == max(getattr(end, fact) for end in ends)


@of_every_pair
def test_partners_agree_in_what_a_blend_takes_from_one_of_them(soft: str, crisp: str) -> None:
    first, last = (onnx.load(model_file(name)) for name in (soft, crisp))
    assert first.opset_import == last.opset_import
    own = dict.fromkeys(("arch", "halo", "receptive_radius", "min_side", "tile_error", "assumed"))
    first, last = (replace(facts_of(name), weights_sha256=None, **own) for name in (soft, crisp))
    assert first == last


@pytest.mark.slow
def test_tensorrt_for_rtx_builds_and_runs_a_blend(card: Machine, tmp_path: Path) -> None:
    with blended_file("esrgan", 0.5) as file:
        engine = engine_file(file, tmp_path)
        batch = SOFT.transpose(2, 0, 1)[np.newaxis]
        expected_output = expected(file, batch)
    with closing(open_engine(engine)) as backend:
        assert backend.info.blend == "0.5 from psnr to esrgan"
        np.testing.assert_allclose(infer(backend, batch), expected_output, atol=0.01)


@pytest.mark.parametrize("model", ["mine.onnx", Path("esrgan")])
def test_only_the_embedded_models_are_blended(model: str | Path) -> None:
    with pytest.raises(ArgumentError, match=rf"psnr and esrgan, and '{model}' is none"):
        sr_runtime.load(model, blend=0.5)


@pytest.mark.parametrize("blend", [-0.1, 1.01, float("nan"), "0.5"])
def test_a_blend_out_of_range_is_refused_with_its_limits(blend: object) -> None:
    with pytest.raises(ArgumentError, match=rf"{blend!r}.*from 0 \(psnr\) to 1 \(esrgan\)"):
        sr_runtime.load("esrgan", blend=blend)


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
    called = pytest.raises(ModelError, match=r"^blend 0\.5 from psnr to esrgan: wrong$")
    with called, blended_file("psnr", 0.5) as file:
        raise ModelError("wrong", path=file)


def test_the_command_line_blends_and_says_so(tmp_path: Path, capsys) -> None:
    source = tmp_path / "photo.png"
    PIL.Image.fromarray(np.rint(SOFT * 255).astype(np.uint8)).save(source)
    assert main(["upscale", str(source), "--blend", "0.6"]) == 0
    target = tmp_path / "photo_blend0.6_x4.png"
    said = capsys.readouterr().out
    assert f"wrote {target}" in said
    assert "by blend 0.6 from {} to {}, ".format(*ends_of(DEFAULT)) in said
    with (
        sr_runtime.load(blend=0.6) as upscaler,
        PIL.Image.open(source) as photo,
        PIL.Image.open(target) as large,
    ):
        np.testing.assert_array_equal(large, upscaler.upscale(photo))


def test_info_shows_the_blend_in_place_of_a_file() -> None:
    with sr_runtime.load("psnr", blend=0.6) as upscaler:
        rows = dict(facts_rows(model_file("esrgan"), upscaler.info))
    assert rows["blend"] == "0.6 from psnr to esrgan"
    assert "blend 0.6 from psnr to esrgan" in rows["facts stated"]
    assert "file" not in rows


def test_work_goes_on_with_the_same_blend_of_the_same_models() -> None:
    blends = [(ends[0], blend) for ends in BLENDS for blend in (0.4, 0.6)]
    made = set()
    for model, blend in blends:
        with sr_runtime.load(model, blend=blend) as upscaler:
            made.add(made_with(upscaler)["model"])
    assert len(made) == len(blends)

"""The facts of a model file: what is stored is read again, and what no model has is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sr_runtime import ArgumentError, ModelError, Upscaler
from sr_runtime.cli.facts import facts_rows
from sr_runtime.model_info import ModelInfo
from tests.runtime.known_network import KnownNetwork

INFO = ModelInfo(
    arch="SwinIR", scale=4, in_channels=3, out_channels=3, io="float32", weights_dtype="float16",
    multiple_of=8, phase=16, halo=24, receptive_radius=300, tile_error=2, layout="NHWC",
    input_range="0..255", output_range="-1..1", output=1, weights_sha256="ab",
)  # fmt: skip


def test_every_stored_fact_is_read_again() -> None:
    assert ModelInfo.from_metadata(INFO.to_metadata()) == INFO
    probed = replace(INFO, measured=("scale",), assumed=("halo",))
    assert ModelInfo.from_metadata(probed.to_metadata()) == INFO


def test_a_file_without_the_newer_facts_has_a_plain_tensor() -> None:
    stated = INFO.to_metadata()
    for name in ("phase", "tile_error", "layout", "input_range", "output_range", "output"):
        del stated[f"sr.{name}"]
    info = ModelInfo.from_metadata(stated)
    assert info is not None
    assert info.is_plain
    assert (info.phase, info.tile_error, info.output) == (1, 1, 0)
    assert set(info.assumed) == {
        "phase", "tile_error", "layout", "input_range", "output_range", "output",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scale", "0"),
        ("scale", "1000"),
        ("scale", "４"),
        ("scale", "4_0"),
        ("multiple_of", "4096"),
        ("phase", "0"),
        ("halo", "100000"),
        ("halo", "-1"),
        ("receptive_radius", "99999999999"),
        ("receptive_radius", "9" * 5000),
        ("in_channels", "0"),
        ("out_channels", "5"),
        ("output", "-1"),
        ("tile_error", "256"),
        ("weights_dtype", "x" * 5000),
        ("io", "float16"),
        ("layout", "CHWN"),
        ("input_range", "0..1023"),
        ("schema", "0"),
    ],
)
def test_a_fact_that_no_model_has_is_refused_in_a_short_sentence(name: str, value: str) -> None:
    with pytest.raises(ModelError, match="metadata") as raised:
        ModelInfo.from_metadata(INFO.to_metadata() | {f"sr.{name}": value})
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize("halo", [10**6, -1, 2.5, True, "wide"])
def test_a_halo_that_no_tile_can_hold_is_refused(halo: object) -> None:
    with pytest.raises(ArgumentError, match="from 0 to 2048"):
        Upscaler(KnownNetwork(radius=1), halo=halo)


def test_a_plan_without_pixels_is_refused() -> None:
    with pytest.raises(ArgumentError, match="whole numbers"):
        Upscaler(KnownNetwork(radius=1)).plan(0, 10)


def test_info_tells_the_default_of_a_fact_from_one_that_is_stated(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").touch()
    stated = INFO.to_metadata()
    del stated["sr.phase"]
    info = ModelInfo.from_metadata(stated)
    assert info is not None
    rows = dict(facts_rows(tmp_path / "model.onnx", info))
    assert "phase 1" in rows["facts by default"]
    assert "scale 4" in rows["facts stated"]
    assert rows["enlarges"] == "4 times in width and in height"


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"tile_error": 1}, "no value of the photos that were tried differs by more than 1/255"),
        ({"tile_error": 2}, "tiles change the result by up to 2/255"),
        ({"tile_error": 1, "assumed": ("halo",)}, "whether that is enough is not known"),
    ],
)
def test_info_promises_of_tiles_what_was_measured_alone(
    facts: dict[str, Any], says: str, tmp_path: Path
) -> None:
    (tmp_path / "model.onnx").touch()
    rows = dict(facts_rows(tmp_path / "model.onnx", replace(INFO, **facts)))
    assert rows["tiles"].startswith(f"overlap by 24 pixels on each side; {says}")

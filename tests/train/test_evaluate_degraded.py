"""`evaluate --degrade`: LR images that are degraded as users' photos are, always the same way."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image

from sr_runtime.errors import ArgumentError, SRError
from sr_runtime.evaluation.pairs import Pair, find_pairs
from sr_runtime.resize import downscale
from sr_train.commands import run
from sr_train.config.degradation import REAL, DegradationName
from sr_train.data.build.prepare import prepare
from sr_train.data.degradation.named import NAMED
from sr_train.data.degraded_pair import DegradedPair
from sr_train.evaluate import evaluate
from tests.train.conftest import PHOTOS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two crops of a photo, whose sides are no multiples of 4."""
    folder = tmp_path_factory.mktemp("crops")
    with Image.open(sorted(PHOTOS.glob("*.png"))[0]) as photo:
        for name, left in {"first": 0, "second": 90}.items():
            photo.convert("RGB").crop((left, 20, left + 90, 101)).save(folder / f"{name}.png")
    return folder


@pytest.fixture(scope="module")
def pairs(folder: Path) -> list[Pair]:
    return find_pairs(folder)


def low(pair: Pair, degradation: DegradationName = "real", seed: int = 0) -> Any:
    return DegradedPair(pair.name, pair, degradation, seed).read(4)[0]


def numbers(folder: Path | str, *, root: Path, **options: Any) -> dict[str, Any]:
    """What evaluate writes of bicubic and `psnr`."""
    stored = root / "scores.json"
    given: dict[str, Any] = {"lpips": False, "device": "cpu"}
    evaluate(["psnr"], [str(folder)], root=root, json=stored, **(given | options))
    loaded: dict[str, Any] = json.loads(stored.read_text("utf-8"))
    return loaded


@pytest.mark.parametrize("degradation", NAMED)
def test_an_image_is_degraded_the_same_way_each_time(
    pairs: list[Pair], degradation: DegradationName
) -> None:
    (image, hr), clean = DegradedPair("first", pairs[0], degradation, 3).read(4), pairs[0].read(4)
    np.testing.assert_array_equal(hr, clean[1])
    assert image.shape == clean[0].shape
    assert image.dtype == np.uint8
    assert not np.array_equal(image, clean[0])
    np.testing.assert_array_equal(image, low(pairs[0], degradation, 3))


def test_the_degradation_depends_on_the_seed_and_on_the_name_of_the_image(
    pairs: list[Pair],
) -> None:
    first = pairs[0]
    for name in ("renamed", "not text: \udcff"):
        assert not np.array_equal(low(first), low(Pair(name, first.hr, first.lr)))
    assert not np.array_equal(low(first), low(first, seed=1))


def test_jpeg30_is_bicubic_and_then_jpeg(pairs: list[Pair]) -> None:
    image, clean = low(pairs[0], "jpeg30"), downscale(pairs[0].read(4)[1], 4)
    error = np.abs(image.astype(int) - clean).mean()
    assert 1 < error < 15


def test_other_images_of_the_set_change_nothing(folder: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "second.png").write_bytes((folder / "second.png").read_bytes())
    of_both = numbers(folder, root=tmp_path, degrade="real")["results"][0]["models"]
    of_one = numbers(alone, root=tmp_path, degrade="real")["results"][0]["models"]
    for name in ("psnr", "bicubic"):
        assert of_one[name]["images"] == of_both[name]["images"][1:]


def test_a_limit_takes_the_first_images_by_name(folder: Path, tmp_path: Path) -> None:
    results = numbers(folder, root=tmp_path, degrade="real", limit=1)["results"]
    assert [row["name"] for row in results[0]["models"]["psnr"]["images"]] == ["first"]
    with pytest.raises(ArgumentError, match=r"--limit is 0: .*1 or more"):
        numbers(folder, root=tmp_path, limit=0)


def test_an_lr_image_that_does_not_fit_is_not_used(pairs: list[Pair]) -> None:
    first = pairs[0]
    with pytest.raises(SRError, match=r"not 4 times"):
        Pair(first.name, first.hr, first.hr).read(4)
    np.testing.assert_array_equal(low(Pair(first.name, first.hr, first.hr)), low(first))


def test_a_prepared_set_is_degraded_as_the_folder_it_was_made_from(
    folder: Path, tmp_path: Path
) -> None:
    prepare(str(folder), root=tmp_path, source=None, scale=4, jobs=1)
    of_folder = numbers(folder, root=tmp_path, degrade="mild")["results"][0]
    of_packed = numbers(folder.name, root=tmp_path, degrade="mild")["results"][0]
    assert of_folder["models"] == of_packed["models"]


def test_the_degradation_is_told_and_recorded(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = numbers(folder, root=tmp_path, degrade="real", seed=7)
    expected = json.loads(json.dumps(asdict(REAL)))
    assert stored["degradation"] == {"name": "real", "seed": 7, "settings": expected}
    assert f"{folder}, ×4, computed in fp32, degraded: real, seed 7\n" in capsys.readouterr().out
    assert "degradation" not in numbers(folder, root=tmp_path)
    numbers(folder, root=tmp_path, degrade="jpeg30")
    assert "degraded: jpeg30, seed 0\n" in capsys.readouterr().out


def test_the_table_fits_into_100_columns(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers(folder, root=tmp_path, degrade="real")
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 100 for line in lines if str(folder) not in line)


def test_a_seed_without_a_degradation_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"--seed is 1, .*--degrade is missing"):
        numbers(folder, root=tmp_path, seed=1)
    with pytest.raises(ArgumentError, match=r"--seed is -1: .*0 or more"):
        numbers(folder, root=tmp_path, degrade="real", seed=-1)


def test_images_that_cannot_be_degraded_are_all_named_before_anything_is_measured(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deep, clear = tmp_path / "deep", tmp_path / "clear"
    deep.mkdir()
    clear.mkdir()
    Image.fromarray(np.zeros((48, 48), np.uint16)).save(deep / "scan.png")
    Image.new("RGBA", (48, 48)).save(clear / "logo.png")
    sets = [str(each) for each in (folder, deep, clear)]
    with pytest.raises(ArgumentError, match=r"deep.scan: .*16 bits.*logo .*transparent"):
        evaluate(["psnr"], sets, root=tmp_path, lpips=False, device="cpu", degrade="mild")
    assert capsys.readouterr().out == ""


def test_the_command_line_offers_every_degradation(tmp_path: Path) -> None:
    assert set(get_args(DegradationName)) == set(NAMED)
    words = ["evaluate", "psnr", "--data", str(tmp_path), "--degrade", "worse"]
    with pytest.raises(SRError, match=r"worse.*mild"):
        run(words)

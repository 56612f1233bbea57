"""Leaving out the images of a folder that cannot be prepared."""

import json
from pathlib import Path

import pytest

from sr_runtime.errors import DataError, ImageError, SRError
from sr_train.__main__ import main
from sr_train.data.build.prepare import prepare
from tests.train.made_images import SIZE, made_image, prepare_own, save, save_folder, tree
from tests.train.test_prepare_bad_data import BAD


def save_bad(folder: Path) -> list[str]:
    """One image of every kind that cannot be prepared; their names."""
    names = []
    for i, (spoil, _, _) in enumerate(BAD):
        spoil(folder / f"bad{i}.png")
        names.append(f"bad{i}.png")
    return names


def save_many(folder: Path) -> None:
    save_folder(folder, *[SIZE] * (len(BAD) + 1))


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_every_image_that_cannot_be_prepared_is_left_out_and_named(
    tmp_path: Path, jobs: int
) -> None:
    save_many(tmp_path / "mine")
    good = prepare_own(tmp_path / "mine", tmp_path / "good")
    bad = save_bad(tmp_path / "mine")
    lines: list[str] = []
    own = prepare_own(
        tmp_path / "mine", tmp_path / "data", jobs=jobs, skip_bad=True, report=lines.append
    )
    own.verify()
    assert own.names == good.names
    for i in range(len(own)):
        assert (own.hr(i) == good.hr(i)).all()
        assert (own.lr(i) == good.lr(i)).all()
    left_out = [line for line in lines if "left out" in line]
    assert sorted(line.partition("mine/")[2].partition(":")[0] for line in left_out) == bad
    assert f"{len(own)} images packed" in lines[-1]


def test_without_the_option_the_message_names_it_and_every_image(tmp_path: Path) -> None:
    save_many(tmp_path / "mine")
    bad = save_bad(tmp_path / "mine")
    with pytest.raises(SRError, match=rf"{len(bad) - 1} other images .*; --skip-bad") as raised:
        prepare_own(tmp_path / "mine", tmp_path / "data")
    assert all(name in str(raised.value) for name in bad)
    assert not (tmp_path / "data").exists()


def test_all_images_that_turn_out_to_be_damaged_are_named_at_once(tmp_path: Path) -> None:
    save_folder(tmp_path / "mine", SIZE)
    truncated = BAD[-1][0]
    for name in "ab":
        truncated(tmp_path / "mine" / f"{name}.png")
    with pytest.raises(ImageError, match=r"a\.png: .*truncated.* unfit too: b\.png .*--skip-bad"):
        prepare_own(tmp_path / "mine", tmp_path / "data")


def test_a_set_with_images_left_out_is_kept_only_as_long_as_that_is_asked_for(
    tmp_path: Path,
) -> None:
    save_folder(tmp_path / "mine", SIZE, SIZE)
    BAD[0][0](tmp_path / "mine" / "bad.png")
    own = prepare_own(tmp_path / "mine", tmp_path / "data", skip_bad=True)
    assert own.index.command.endswith("--skip-bad")
    before = tree(tmp_path / "data")
    lines: list[str] = []
    prepare_own(tmp_path / "mine", tmp_path / "data", skip_bad=True, report=lines.append)
    assert ["already prepared" in line and "2 of 3" in line for line in lines] == [True]
    with pytest.raises(ImageError, match=r"bad\.png: .*alpha"):
        prepare_own(tmp_path / "mine", tmp_path / "data", report=lines.append)
    assert "1 of 3 images were left out of it" in lines[-1]
    assert tree(tmp_path / "data") == before


def test_an_image_too_small_for_one_scale_is_there_for_another(tmp_path: Path) -> None:
    save_folder(tmp_path / "mine", SIZE, SIZE)
    save(made_image(9, 3, 40), tmp_path / "mine" / "small.png")
    for _ in range(2):
        x4 = prepare_own(tmp_path / "mine", tmp_path / "data", skip_bad=True)
        x2 = prepare_own(tmp_path / "mine", tmp_path / "data", skip_bad=True, scale=2)
        assert (len(x4), len(x2)) == (2, 3)
        x4.verify()
        x2.verify()


def test_pairs_without_a_partner_are_left_out_too(tmp_path: Path) -> None:
    for name, height in (("HR/a.png", 32), ("LR/a.png", 8), ("HR/b.png", 32), ("LR/c.png", 8)):
        save(made_image(0, height, height), tmp_path / "mine" / name)
    lines: list[str] = []
    own = prepare_own(tmp_path / "mine", tmp_path / "data", skip_bad=True, report=lines.append)
    assert own.names == ("a",)
    assert ["left out" in line for line in lines] == [True, True, False]


def test_where_nothing_is_left_the_reasons_are_told(tmp_path: Path) -> None:
    for name in "ab":
        BAD[0][0](tmp_path / f"{name}.png")
    with pytest.raises(ImageError, match=r"a\.png: .*alpha.* unfit too: b\.png"):
        prepare_own(tmp_path, tmp_path.with_name("data"), skip_bad=True)


def test_known_sets_are_taken_from_a_folder_without_their_unfit_images(tmp_path: Path) -> None:
    save_folder(tmp_path / "x", *[SIZE] * 4)
    BAD[0][0](tmp_path / "x" / "bad.png")
    lines: list[str] = []
    prepare(
        "set5", root=tmp_path / "data", source=tmp_path / "x", skip_bad=True, report=lines.append
    )
    assert "bad.png: an alpha channel" in lines[0]
    assert "4 images packed" in lines[1]


def test_the_command_line_has_the_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_folder(tmp_path / "mine", SIZE)
    BAD[0][0](tmp_path / "mine" / "bad.png")
    words = ["prepare", str(tmp_path / "mine"), "--root", str(tmp_path / "data"), "--jobs", "1"]
    assert main(words) == 2
    assert "--skip-bad" in capsys.readouterr().err
    assert main([*words, "--skip-bad"]) == 0
    assert "left out" in capsys.readouterr().out
    index = json.loads((tmp_path / "data/mine/all/x4.json").read_text())
    assert index["names"] == ["0"]


def test_an_lr_image_of_other_channels_than_its_hr_is_unfit(tmp_path: Path) -> None:
    save(made_image(0, 32, 32), tmp_path / "mine/HR/a.png")
    save(made_image(0, 8, 8, 1), tmp_path / "mine/LR/a.png")
    with pytest.raises(DataError, match=r"LR/a\.png: gray pixels, .* RGB"):
        prepare_own(tmp_path / "mine", tmp_path / "data")

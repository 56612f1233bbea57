"""No result replaces an input or another result."""

import functools
from pathlib import Path

import pytest

from sr_runtime.batch.ledger import Ledger
from sr_runtime.cli import folders as folders_module
from sr_runtime.errors import ArgumentError
from sr_runtime.storage.atomic import atomic_path
from tests.runtime.test_plan import picture, plan, targets


def test_results_of_equal_names_get_distinct_names(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.jpg")
    picture(tmp_path / "in/a.png")
    assert targets([tmp_path / "in"], tmp_path / "out") == {
        "in/a.jpg": "out/a.jpg.png",
        "in/a.png": "out/a.png.png",
    }


def test_images_that_would_share_a_result_fail_and_the_others_are_done(tmp_path: Path) -> None:
    folders = [picture(tmp_path / f"{name}/a.jpg").parent for name in "xy"]
    picture(folders[0] / "b.jpg")
    made = plan(folders, tmp_path / "out")
    assert [job.target for job in made.jobs] == [tmp_path / "out/b.png"]
    said = [str(failure) for failure in made.failures]
    assert len(said) == 2
    assert "x/a.jpg: " in said[0]
    assert "y/a.jpg would be written to" in said[0]
    assert "y/a.jpg: " in said[1]
    with pytest.raises(ArgumentError, match="same name: use"):
        plan(folders, tmp_path / "out", template="x")


def test_an_input_is_never_a_target(tmp_path: Path) -> None:
    photo = picture(tmp_path / "photo.png")
    (tmp_path / "sub").mkdir()
    for output in (photo, tmp_path / "sub/.." / "photo.png"):
        with pytest.raises(ArgumentError, match="would overwrite the input"):
            plan([photo], output)
    link = tmp_path / "link.png"
    link.symlink_to(photo)
    with pytest.raises(ArgumentError, match="would overwrite the input"):
        plan([photo], link)
    hard = tmp_path / "hard.png"
    hard.hardlink_to(photo)
    with pytest.raises(ArgumentError, match="would overwrite the input"):
        plan([photo], hard)


def test_names_that_differ_only_in_case_are_two_where_the_disk_says_so(tmp_path: Path) -> None:
    (tmp_path / "probe").touch()
    if (tmp_path / "PROBE").exists():
        pytest.skip("this disk does not distinguish upper case from lower case")
    for name in ("A.PNG", "a.png", "b.jpg", "B_x4.png"):
        picture(tmp_path / "in" / name)
    expected = {"in/A.PNG": "in/A_x4.png", "in/a.png": "in/a_x4.png", "in/b.jpg": "in/b_x4.png"}
    expected |= {"in/B_x4.png": "in/B_x4_x4.png"}
    assert targets([tmp_path / "in"], tmp_path / "in", skip_existing=True) == expected


def test_names_that_lead_to_one_file_on_the_disk_are_made_distinct(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Disks of Windows and macOS ignore case; a replaced check lets any disk behave like them."""
    asked = functools.lru_cache(lambda folder: True)
    monkeypatch.setattr(folders_module, "_ignores_case", asked)
    names = ("p/Photo.jpg", "q/photo.png", "p/\u00e9.jpg", "q/e\u0301.png", "p/b.png", "q/B.PNG")
    made = plan([picture(tmp_path / name) for name in names], tmp_path / "out")
    assert [job.target.name for job in made.jobs] == [
        "Photo.jpg.png", "photo.png.png", "\u00e9.jpg.png", "e\u0301.png.png"
    ]  # fmt: skip
    assert [failure.source.name for failure in made.failures] == ["b.png", "B.PNG"]


def test_results_of_equal_names_beside_their_inputs_keep_their_label(tmp_path: Path) -> None:
    photos = [picture(tmp_path / name) for name in ("a.jpg", "a.png")]
    assert targets(photos) == {"a.jpg": "a.jpg_x4.png", "a.png": "a.png_x4.png"}


def test_results_beside_their_inputs_are_not_upscaled_again(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for name in ("a.jpg", "b.png", "c.jpg", "c.png", "sub/d.png"):
        picture(folder / name)
    first = plan([folder], folder, skip_existing=True)
    assert {job.target.name for job in first.jobs} == {
        "a_x4.png", "b_x4.png", "c.jpg_x4.png", "c.png_x4.png", "d_x4.png"
    }  # fmt: skip
    for job in first.jobs:
        picture(job.target)
    for inputs, output in (([folder], folder), ([folder / "*.*", folder / "sub/*.*"], None)):
        again = plan(inputs, output, skip_existing=True)
        assert (again.jobs, len(again.kept)) == ([], 5)
        assert again.left_out == "5 images that are named as results"
    # Whether these are results or photos of the user's is not known without --skip-existing.
    with pytest.raises(ArgumentError, match="would overwrite the input"):
        plan([folder], folder)


def test_resuming_replaces_what_such_a_run_has_made_and_no_other_input(tmp_path: Path) -> None:
    ledger, folder = Ledger({"model": "a"}), tmp_path / "in"
    for name in ("a.jpg", "a_x4.png"):
        picture(folder / name)
    with pytest.raises(ArgumentError, match=r"overwrite the input .*a_x4.png: .*--skip-existing"):
        plan([folder], folder, ledger=ledger)
    (folder / "a_x4.png").unlink()
    (job,) = plan([folder], folder, ledger=ledger).jobs
    claim = ledger.claim(job)
    assert claim is not None
    with claim.noting(), atomic_path(job.target) as temporary:
        picture(temporary)
    assert plan([folder], folder, ledger=Ledger({"model": "b"})).jobs == [job]
    claim.release()
    assert plan([folder], folder, ledger=ledger).kept == [job]
    picture(folder / "a.jpg", frames=1).write_bytes(b"another photo")
    assert plan([folder], folder, ledger=ledger).jobs == [job]
    picture(job.target).write_bytes(b"a photo of the user's in its place")
    with pytest.raises(ArgumentError, match=r"overwrite the input .*a_x4.png"):
        plan([folder], folder, ledger=ledger)


def test_an_input_whose_own_result_has_no_name_is_not_replaced_either(tmp_path: Path) -> None:
    picture(tmp_path / "b.png")
    (tmp_path / "b_16.png").write_bytes(b"no picture")
    with pytest.raises(ArgumentError, match=r"overwrite the input .*b_16.png"):
        plan([tmp_path], tmp_path, template="{stem}_{width}")


def test_an_input_of_the_same_name_but_for_case_is_not_replaced(tmp_path: Path) -> None:
    photo, other = picture(tmp_path / "a/photo.jpg"), picture(tmp_path / "b/PHOTO.png")
    if not (tmp_path / "b/photo.png").exists():
        (tmp_path / "b/photo.png").hardlink_to(other)  # the one file under both names
    with pytest.raises(ArgumentError, match="would overwrite the input"):
        plan([photo, other], tmp_path / "b")


def test_an_input_that_has_a_result_as_a_hard_link_of_another_name_stays_as_it_is(
    tmp_path: Path,
) -> None:
    for name in ("a.jpg", "b.png"):
        picture(tmp_path / "in" / name)
    (tmp_path / "out").mkdir()
    for link in ("in/a_x4.png", "out/a.png"):
        (tmp_path / link).hardlink_to(tmp_path / "in/b.png")
    assert len(plan([tmp_path / "in"], tmp_path / "in", skip_existing=True).kept) == 1
    assert len(plan([tmp_path / "in"], tmp_path / "out").jobs) == 3


def test_links_among_the_inputs_and_among_the_results_are_followed(tmp_path: Path) -> None:
    photo = picture(tmp_path / "kept/photo.png")
    for folder in ("in", "out"):
        (tmp_path / folder).mkdir()
    (tmp_path / "in/b.png").symlink_to(photo)
    (tmp_path / "out/a.png").symlink_to(photo)
    other = picture(tmp_path / "a.jpg")
    assert plan([other], tmp_path / "out").jobs
    with pytest.raises(ArgumentError, match=r"would overwrite the input .*out/a.png"):
        plan([other, tmp_path / "in/b.png"], tmp_path / "out")


def test_results_do_not_change_the_names_of_the_next_run(tmp_path: Path) -> None:
    # The result of a_x4.png, if that were an input, would have the name of a_x4.jpg's.
    for name in ("a.jpg", "a_x4.jpg"):
        picture(tmp_path / "in" / name)
    for job in plan([tmp_path / "in"], tmp_path / "in", skip_existing=True).jobs:
        picture(job.target)
    again = plan([tmp_path / "in"], tmp_path / "in", skip_existing=True)
    assert (again.jobs, len(again.kept)) == ([], 2)


def test_an_image_of_another_folder_is_not_taken_for_a_result(tmp_path: Path) -> None:
    folders = [picture(tmp_path / name).parent for name in ("x/a.jpg", "y/a.png")]
    with pytest.raises(ArgumentError, match="would overwrite the input"):
        plan([folders[0], folders[1] / "a.png"], folders[1], skip_existing=True)

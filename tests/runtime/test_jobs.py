"""What is read, where results go, and that no result replaces an input or another result."""

import os
from pathlib import Path

import PIL.Image
import pytest

from sr_runtime.cli.jobs import plan_jobs
from sr_runtime.errors import ArgumentError


def picture(path: Path, frames: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [PIL.Image.new("RGB", (4, 4), (80 * i, 0, 0)) for i in range(frames)]
    images[0].save(path, save_all=frames > 1, append_images=images[1:])
    return path


def targets(inputs: list[Path], output: Path | None, format: str | None = None) -> dict[str, str]:
    jobs = plan_jobs(inputs, output, label="x4", format=format)
    root = inputs[0].parent
    return {str(job.source.relative_to(root)): str(job.target.relative_to(root)) for job in jobs}


def test_without_an_output_the_result_stands_beside_the_input(tmp_path: Path) -> None:
    photo = picture(tmp_path / "photo.jpg")
    assert targets([photo], None) == {"photo.jpg": "photo_x4.png"}
    assert targets([photo], None, "webp") == {"photo.jpg": "photo_x4.webp"}


def test_animations_keep_their_format_and_stills_become_png(tmp_path: Path) -> None:
    picture(tmp_path / "in/moving.gif", frames=3)
    picture(tmp_path / "in/still.gif")
    picture(tmp_path / "in/moving.webp", frames=2)
    assert targets([tmp_path / "in"], tmp_path / "out") == {
        "in/moving.gif": "out/moving.gif",
        "in/still.gif": "out/still.png",
        "in/moving.webp": "out/moving.webp",
    }


def test_a_folder_keeps_its_tree_and_hidden_and_other_files_are_left_out(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.jpg")
    picture(tmp_path / "in/später/b.PNG")
    picture(tmp_path / "in/._a.jpg")
    picture(tmp_path / "in/.thumbnails/a.jpg")
    (tmp_path / "in/notes.txt").write_text("no image")
    assert targets([tmp_path / "in"], tmp_path / "out") == {
        "in/a.jpg": "out/a.png",
        "in/später/b.PNG": "out/später/b.png",
    }
    assert targets([tmp_path / "in"], None)["in/a.jpg"] == "in_x4/a.png"


def test_earlier_results_inside_the_input_folder_are_not_read_again(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.jpg")
    picture(tmp_path / "in/out/a.png")
    assert targets([tmp_path / "in"], tmp_path / "in/out") == {"in/a.jpg": "in/out/a.png"}


def test_results_of_equal_names_get_distinct_names(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.jpg")
    picture(tmp_path / "in/a.png")
    assert targets([tmp_path / "in"], tmp_path / "out") == {
        "in/a.jpg": "out/a.jpg.png",
        "in/a.png": "out/a.png.png",
    }


def test_two_folders_with_the_same_file_are_refused(tmp_path: Path) -> None:
    folders = [picture(tmp_path / f"{name}/a.jpg").parent for name in "xy"]
    with pytest.raises(ArgumentError, match=r"x/a\.jpg and .*y/a\.jpg would both"):
        plan_jobs(folders, tmp_path / "out", label="x4", format=None)


def test_an_input_is_never_a_target(tmp_path: Path) -> None:
    photo = picture(tmp_path / "photo.png")
    for output in (photo, tmp_path, tmp_path / "sub/.." / "photo.png"):
        (tmp_path / "sub").mkdir(exist_ok=True)
        with pytest.raises(ArgumentError, match="would overwrite the input"):
            plan_jobs([photo], output, label="x4", format=None)
    link = tmp_path / "link.png"
    link.symlink_to(photo)
    with pytest.raises(ArgumentError, match="would overwrite the input"):
        plan_jobs([photo], link, label="x4", format=None)
    hard = tmp_path / "hard.png"
    hard.hardlink_to(photo)
    with pytest.raises(ArgumentError, match="would overwrite the input"):
        plan_jobs([photo], hard, label="x4", format=None)


def test_the_current_folder_can_be_an_input(tmp_path: Path, monkeypatch) -> None:
    picture(tmp_path / "in/a.jpg")
    monkeypatch.chdir(tmp_path / "in")
    (job,) = plan_jobs([Path()], None, label="x4", format=None)
    assert job.target == tmp_path / "in_x4" / "a.png"


def test_results_whose_names_differ_only_in_case_get_distinct_names(tmp_path: Path) -> None:
    photos = [picture(tmp_path / "p/Photo.jpg"), picture(tmp_path / "q/photo.png")]
    jobs = plan_jobs(photos, tmp_path / "out", label="x4", format=None)
    assert [job.target.name for job in jobs] == ["Photo.jpg.png", "photo.png.png"]


def test_results_may_go_into_the_folder_above(tmp_path: Path) -> None:
    picture(tmp_path / "all/raw/a.jpg")
    assert targets([tmp_path / "all/raw"], tmp_path / "all") == {"raw/a.jpg": "a.png"}


def test_results_of_equal_names_beside_their_inputs_keep_their_label(tmp_path: Path) -> None:
    photos = [picture(tmp_path / name) for name in ("a.jpg", "a.png")]
    assert targets(photos, None) == {"a.jpg": "a.jpg_x4.png", "a.png": "a.png_x4.png"}


def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.jpg")
    os.mkfifo(tmp_path / "in/b.jpg")
    assert targets([tmp_path / "in"], tmp_path / "out") == {"in/a.jpg": "out/a.png"}


def test_a_slash_at_the_end_means_a_folder(tmp_path: Path) -> None:
    photo = picture(tmp_path / "photo.jpg")
    (job,) = plan_jobs([photo], f"{tmp_path}/new/", label="x4", format=None)
    assert job.target == tmp_path / "new" / "photo.png"


def test_impossible_inputs_and_outputs_are_refused_in_one_sentence(tmp_path: Path) -> None:
    photo, other = picture(tmp_path / "a.png"), picture(tmp_path / "b.png")
    (tmp_path / "empty").mkdir()
    cases = [
        ([tmp_path / "none.png"], None, None, "no such file or folder"),
        ([tmp_path / "empty"], None, None, "no images"),
        ([photo], tmp_path / "no/where.png", None, "does not exist"),
        ([photo], tmp_path / "c.jpg", "png", "contradicts"),
        ([photo, other], other, None, "is a file"),
    ]
    for inputs, output, format, says in cases:
        with pytest.raises(ArgumentError, match=says):
            plan_jobs(inputs, output, label="x4", format=format)

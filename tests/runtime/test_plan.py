"""What is read, and where results go."""

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from sr_runtime.cli.names import Naming
from sr_runtime.cli.pipes import Pipes
from sr_runtime.cli.plan import Plan, plan_jobs
from sr_runtime.embedded import DEFAULT
from sr_runtime.errors import ArgumentError
from sr_runtime.output_size import OutputSize
from sr_runtime.storage.atomic import create_folder


def picture(path: Path, frames: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [PIL.Image.new("RGB", (4, 4), (80 * i, 0, 0)) for i in range(frames)]
    images[0].save(path, save_all=frames > 1, append_images=images[1:])
    return path


def plan(inputs: Sequence[Path | str], output: Path | str | None = None, **options: object) -> Plan:
    """The plan for a ×4 model, the default one unless `options` say otherwise."""
    skip = bool(options.pop("skip_existing", False))
    ledger: Any = options.pop("ledger", None)
    naming = Naming(**{"model": DEFAULT, "scale": 4, "size": OutputSize()} | options)
    words = [str(path) for path in inputs]
    output = None if output is None else str(output)
    with Pipes() as pipes:
        return plan_jobs(words, output, naming, pipes, skip_existing=skip, ledger=ledger)


def targets(
    inputs: Sequence[Path | str], output: Path | str | None = None, **options: object
) -> dict[str, str]:
    """The target of each source, below the folder of the first input."""
    root = Path(inputs[0]).parent
    jobs = plan(inputs, output, **options).jobs
    return {str(job.source.relative_to(root)): str(job.target.relative_to(root)) for job in jobs}


def test_without_an_output_the_result_stands_beside_the_input(tmp_path: Path) -> None:
    photo = picture(tmp_path / "photo.jpg")
    assert targets([photo]) == {"photo.jpg": "photo_x4.png"}
    assert targets([photo], format="webp") == {"photo.jpg": "photo_x4.webp"}


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
    assert targets([tmp_path / "in"])["in/a.jpg"] == "in_x4/a.png"


def test_earlier_results_inside_the_input_folder_are_not_read_again(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.jpg")
    picture(tmp_path / "in/out/a.png")
    assert targets([tmp_path / "in"], tmp_path / "in/out") == {"in/a.jpg": "in/out/a.png"}


def test_the_current_folder_can_be_an_input(tmp_path: Path, monkeypatch) -> None:
    picture(tmp_path / "in/a.jpg")
    monkeypatch.chdir(tmp_path / "in")
    (job,) = plan(["."]).jobs
    assert job.target == tmp_path / "in_x4" / "a.png"


def test_results_may_go_into_the_folder_above(tmp_path: Path) -> None:
    picture(tmp_path / "all/raw/a.jpg")
    assert targets([tmp_path / "all/raw"], tmp_path / "all") == {"raw/a.jpg": "a.png"}


def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.jpg")
    os.mkfifo(tmp_path / "in/b.jpg")
    assert targets([tmp_path / "in"], tmp_path / "out") == {"in/a.jpg": "out/a.png"}


def test_a_pipe_that_a_pattern_finds_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "a.png")
    os.mkfifo(tmp_path / "b.png")
    monkeypatch.chdir(tmp_path)
    made = plan(["?.png"])
    assert [job.source.name for job in made.jobs] == ["a.png"]
    assert made.left_out == "1 pipe or device"
    (failure,) = plan(["b*"]).failures
    assert "name one itself" in str(failure)


def test_a_pipe_that_has_the_name_of_a_result_is_not_waited_for(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.png")
    picture(tmp_path / "in/b.png")
    (tmp_path / "out").mkdir()
    os.mkfifo(tmp_path / "out/b.png")
    made = plan([tmp_path / "in"], tmp_path / "out", skip_existing=True)
    assert [job.source.name for job in made.jobs] == ["a.png"]
    assert "is a pipe or a device" in str(made.failures[0])


def test_a_slash_at_the_end_or_no_suffix_means_a_folder(tmp_path: Path) -> None:
    photo = picture(tmp_path / "photo.jpg")
    assert targets([photo], tmp_path / "new") == {"photo.jpg": "new/photo.png"}
    assert targets([photo], f"{tmp_path}/new/") == {"photo.jpg": "new/photo.png"}
    assert targets([photo], f"{tmp_path}/holiday.png/") == {"photo.jpg": "holiday.png/photo.png"}


def test_impossible_outputs_are_refused_in_one_sentence(tmp_path: Path) -> None:
    photo, other = picture(tmp_path / "in/a.png"), picture(tmp_path / "in/b.png")
    for inputs, output, options, says in [
        ([photo], tmp_path / "no/where.png", {}, "does not exist"),
        ([photo], tmp_path / "c.jpg", {"format": "png"}, "--format png contradicts"),
        ([photo], tmp_path / "c.jpg", {"keep_format": True}, "--keep-format contradicts"),
        ([photo], tmp_path / "c.jpg", {"template": "{stem}"}, "-o names the result already"),
        ([photo], ".webp", {}, "suffix without a name"),
        ([photo, other], other, {}, "names one file"),
        ([tmp_path / "in"], tmp_path / "onefile.png", {}, "names one file"),
        ([photo, other], tmp_path / "onefile.webp", {}, "names one file"),
        ([tmp_path / "in/*.png"], tmp_path / "onefile.png", {}, "2 images match"),
        ([photo, other], "-", {}, "takes one image"),
    ]:
        with pytest.raises(ArgumentError, match=says):
            plan(inputs, output, **options)


def test_an_image_that_is_named_twice_is_done_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = picture(tmp_path / "a.png")
    picture(tmp_path / "other/a.png")
    (tmp_path / "again").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    words = ["a.png", "a.png", "./a.png", "other/../a.png", "again/a.png", photo, "a*.png"]
    assert [job.source for job in plan(words).jobs] == [Path("a.png")]
    # Another name is another result, even if it leads to the same pixels.
    (tmp_path / "link.png").symlink_to(photo)
    assert targets(["a.png", "link.png", "other/a.png"]) == {
        "a.png": "a_x4.png",
        "link.png": "link_x4.png",
        "other/a.png": "other/a_x4.png",
    }


def test_an_input_that_cannot_be_done_does_not_stop_the_others(tmp_path: Path) -> None:
    good = picture(tmp_path / "in/good.png")
    long = picture(tmp_path / f"in/{'n' * 251}.jpg")
    loop = tmp_path / "in/loop.png"
    loop.symlink_to(loop)
    (tmp_path / "empty").mkdir()
    words = [good, long, tmp_path / "in" / ("n" * 300), tmp_path / "missing.png", loop]
    made = plan([*words, tmp_path / "empty", tmp_path / "*.none"])
    assert [job.source for job in made.jobs] == [good, loop]  # `loop` fails when it is read
    said = {failure.source.name[:20]: str(failure) for failure in made.failures}
    assert "File name too long" in said["n" * 20]
    assert "no such file or folder" in said["missing.png"]
    assert "no images in this folder" in said["empty"]
    assert "matches this pattern" in said["*.none"]
    assert "download it first" in str(plan(["https://example.org/a.png"]).failures[0])
    assert len(made.failures) == 5
    in_a_folder = plan([tmp_path / "in"], tmp_path / "out", format="webp")
    assert {job.source for job in in_a_folder.jobs} == {good, loop}
    assert [failure.source for failure in in_a_folder.failures] == [long]


def test_a_name_that_is_no_text_is_an_image_like_any_other(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    picture(tmp_path / "a.png").rename(tmp_path / name)
    assert targets([tmp_path / name]) == {name: os.fsdecode(b"caf\xe9_x4.png")}


def test_a_pattern_is_expanded_unless_a_file_has_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a1.png", "a2.png", "b.png", "c[1].png", "c1.png"):
        picture(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert list(targets(["a*.png"])) == ["a1.png", "a2.png"]
    assert list(targets(["[!a]?.png"])) == ["c1.png"]
    assert list(targets(["c[1].png"])) == ["c[1].png"]


def test_what_a_folder_leaves_out_is_told_with_advice(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    picture(folder / "a.png")
    for name in ("1.PSD", "2.psd", "3.dng", "README", ".hidden.psd", "out/4.psd", ".git/x"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"")
    os.mkfifo(folder / "pipe.png")
    (folder / "link").symlink_to(tmp_path)
    said = plan([folder], folder / "out").left_out
    for part in ("2 .psd", "1 .dng", "1 without a suffix", "1 pipe or device", "1 linked folder"):
        assert part in said
    assert "develop it first" in said
    assert "hidden" not in said
    assert plan([folder / "a.png"]).left_out == ""
    (folder / "a.png").unlink()
    with pytest.raises(ArgumentError, match=r"no images.*left out: .*2 \.psd"):
        raise plan([folder], folder / "out").failures[0].error


@pytest.mark.skipif(os.name == "nt", reason="paths are short there")
def test_no_folder_is_too_deep_for_python(tmp_path: Path) -> None:
    place = tmp_path / "in"
    for _ in range(300):
        place.mkdir()
        place /= "d"
    picture(place.with_name("a.png"))
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(traceback.extract_stack()) + 150)
    try:
        (job,) = plan([tmp_path / "in"], tmp_path / "out").jobs
        create_folder(job.target.parent)
    finally:
        sys.setrecursionlimit(limit)
    assert len(job.target.parent.relative_to(tmp_path / "out").parts) == 299


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_does_not_stop_the_others(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.png")
    (tmp_path / "in/locked").mkdir(mode=0)
    made = plan([tmp_path / "in"], tmp_path / "out")
    assert [job.source.name for job in made.jobs] == ["a.png"]
    assert "locked: this folder cannot be read" in str(made.failures[0])

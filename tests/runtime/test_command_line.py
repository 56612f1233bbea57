"""`python -m sr_runtime` as a user meets it: files out, exit codes, one sentence per mistake."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from sr_runtime.__main__ import main


@pytest.fixture
def model(tiny_onnx) -> str:
    return str(tiny_onnx())


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "photo.png", dpi=(300, 300))
    return tmp_path / "photo.png"


def size(path: Path) -> tuple[int, int]:
    with PIL.Image.open(path) as image:
        image.load()
        return image.size


def test_one_photo_is_upscaled_beside_itself(photo, model, capsys) -> None:
    assert main(["upscale", str(photo), "-m", model]) == 0
    assert size(photo.with_name("photo_tiny_x4.png")) == (160, 120)
    assert "photo_tiny_x4.png" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "name", "expected"),
    [
        (["--scale", "2"], "photo_tiny_x2.png", (80, 60)),
        (["--scale", "1.5"], "photo_tiny_x1.5.png", (60, 45)),
        (["--width", "100"], "photo_tiny_w100.png", (100, 75)),
        (["--height", "90", "--format", "jpg", "--quality", "80"], "photo_tiny_h90.jpg", (120, 90)),
        (["-t", "36", "--halo", "8", "--tta"], "photo_tiny_x4.png", (160, 120)),
        (["--halo", "exact", "--backend", "onnxruntime"], "photo_tiny_x4.png", (160, 120)),
    ],
)
def test_options_do_what_they_say(options, name, expected, photo, model) -> None:
    assert main(["upscale", str(photo), "-m", model, "-q", *options]) == 0
    assert size(photo.with_name(name)) == expected


@pytest.mark.skipif(sys.platform == "win32", reason="paths are short there")
def test_a_path_is_as_long_as_the_system_takes_it(photo, model) -> None:
    deep = photo.parent.joinpath(*["d" * 200] * 8)
    deep.mkdir(parents=True)
    source = photo.rename(deep / photo.name)
    assert main(["upscale", str(source), "-m", model, "-q"]) == 0
    assert size(source.with_name("photo_tiny_x4.png")) == (160, 120)


def test_an_output_is_overwritten_and_nothing_else_is_left_beside_it(photo, model) -> None:
    target = photo.with_name("out.webp")
    target.write_text("an older result")
    assert main(["upscale", str(photo), "-m", model, "-o", str(target)]) == 0
    assert size(target) == (160, 120)
    assert sorted(path.name for path in photo.parent.iterdir()) == ["out.webp", "photo.png"]


def test_a_folder_with_a_bad_file_does_the_others_and_lists_it(photo, model, capsys) -> None:
    folder = photo.parent
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff not a photo")
    (folder / "cut.png").write_bytes(photo.read_bytes()[:900])
    assert main(["upscale", str(folder), "-m", model, "-o", str(folder / "out")]) == 1
    assert [path.name for path in (folder / "out").iterdir()] == ["photo.png"]
    said = capsys.readouterr().err
    assert "2 failed" in said
    assert len(said.strip().splitlines()[-3:]) == 3
    assert "broken.jpg" in said
    assert "cut.png" in said
    assert "Traceback" not in said


def test_tta_and_the_engine_are_really_chosen(photo, model) -> None:
    def pixels(name: str, *options: str) -> np.ndarray:
        target = photo.with_name(name)
        assert main(["upscale", str(photo), "-m", model, "-q", "-o", str(target), *options]) == 0
        with PIL.Image.open(target) as image:
            return np.asarray(image).astype(int)

    plain = pixels("plain.png", "--precision", "fp32")
    other = pixels(
        "other.png", "--backend", "onnxruntime", "-t", "60", "--halo", "exact", "-t", "60"
    )
    assert np.abs(other - plain).max() <= 1
    assert np.abs(pixels("tta.png", "--precision", "fp32", "--tta") - plain).max() > 1


@pytest.mark.slow
def test_a_folder_names_every_file_that_failed(photo, tiny_onnx, capsys) -> None:
    deep = photo.with_name("deep.png")
    PIL.Image.fromarray(np.zeros((8, 8), np.uint16)).save(deep)
    command = ["upscale", str(photo), str(deep), "-m", str(tiny_onnx(io="uint8")), "-q"]
    assert main([*command, "-o", str(photo.parent / "out")]) == 1
    assert "deep.png: the image is uint16" in capsys.readouterr().err


def test_quality_for_a_format_without_it_is_refused_once(photo, model, capsys) -> None:
    command = ["upscale", str(photo.parent), "-m", model, "-o", str(photo.parent / "out")]
    assert main([*command, "--quality", "80"]) == 2
    assert "quality is for jpg, webp" in capsys.readouterr().err
    assert not (photo.parent / "out").exists()


def test_a_run_that_was_stopped_goes_on_with_skip_existing(photo, model, capsys) -> None:
    target = photo.with_name("out.png")
    target.write_text("finished before")
    assert main(["upscale", str(photo), "-m", model, "-o", str(target), "--skip-existing"]) == 0
    assert target.read_text() == "finished before"
    assert capsys.readouterr().out == f"nothing to do: {target} exists already\n"


def test_results_that_are_skipped_are_named_and_the_rest_of_many_counted(
    photo, model, capsys
) -> None:
    folder, out = photo.parent / "in", photo.parent / "out"
    folder.mkdir()
    out.mkdir()
    for number in range(7):
        (folder / f"{number}.png").write_bytes(photo.read_bytes())
        (out / f"{number}.png").touch()
    words = ["upscale", str(folder), "-m", model, "-o", str(out), "--skip-existing"]
    assert main(words) == 0
    named = ", ".join(str(out / f"{number}.png") for number in range(5))
    said = f"7 results exist already: {named} and 2 more\n"
    assert capsys.readouterr().out == f"nothing to do: {said}"
    assert main([*words[:2], str(photo), *words[2:]]) == 0
    assert capsys.readouterr().out.endswith(f"; {said}")


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_is_told_that_the_model_is_loading_and_a_pipe_is_not(
    terminal, photo, model, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(sys, "stderr", shown := io.StringIO())
    monkeypatch.setattr(shown, "isatty", lambda: terminal)
    assert main(["upscale", str(photo), "-m", model]) == 0
    assert shown.getvalue().startswith("loading tiny.onnx …\n") == terminal
    assert ("loading" in shown.getvalue()) == terminal
    assert "loading" not in capsys.readouterr().out
    shown.truncate(0)
    assert main(["upscale", str(photo), "-m", model, "-q"]) == 0
    assert not shown.getvalue()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{photo}.nowhere", "-m", "{model}"], "no such file"),
        (
            ["{photo}", "large.png", "-m", "{model}"],
            "large.png: there is no such file or folder: if",
        ),
        (["{photo}", "large.png", "-m", "{model}"], "write -o large.png"),
        (["{photo}", "-m", "{photo}"], "is an image"),
        (["{folder}/Photo.jpg", "-m", "{model}"], "photo.png?"),
        (["~/x.png", "-m", "{model}"], "a shell knows ~ only where it is not in quotes"),
        (["{photo}", "-m", "{model}.onnx"], "did you mean {model}?"),
        (["{photo}", "-m", "{model}", "--backend", "cuda"], "plugin:NAME: that is a device"),
        (["{photo}", "-m", "{model}", "--backend", "opnvino"], "did you mean openvino?"),
        (["{photo}", "-m", "{model}", "--device", "openvino"], "that is a backend"),
        (["{photo}", "-m", "nowhere.onnx"], "nowhere.onnx: there is no such model"),
        (["{photo}", "-m", "{model}", "-o", "{photo}"], "overwrite the input"),
        (["{photo}", "-m", "{model}", "-o", "{folder}/no/out.png"], "does not exist"),
        (["{photo}", "-m", "{model}", "-o", "{folder}/out.xyz"], "xyz"),
        (["{photo}", "-m", "{model}", "-t", "12"], "at least 33"),
        (["{photo}", "-m", "{model}", "--halo", "500", "-t", "64"], "halo of 500"),
        (["{photo}", "-m", "{model}", "--device", "cuda"], "cuda"),
        (["{photo}", "-m", "{model}", "--precision", "fp16"], "fp16"),
        (["{photo}", "-m", "{model}", "--scale", "-1"], "scale -1"),
        (["{photo}", "-m", "{model}", "--width", "100000000"], "64 is the most"),
        (["{photo}", "-m", "{model}", "-o", "/dev/null/out/"], "/dev/null"),
        (["{photo}", "-m", "{model}", "--quality", "80"], "quality"),
        (["{photo}", "-m", "{model}", "--format", "jpg", "--quality", "101"], "101"),
        (["{photo}", "-m", "{model}", "--max-pixels", "1000"], "--max-pixels"),
        (["{photo}", "-m", "{model}", "--max-pixels", "10"], "more than the limit of 10: raise it"),
        (["{model}", "-m", "{model}"], "tiny.onnx"),
        (["/dev/null", "-m", "{model}", "-o", "{folder}/out.png"], "/dev/null"),
    ],
)
def test_a_user_error_is_one_sentence_and_exit_code_2(
    arguments, says, photo, model, capsys
) -> None:
    names = {"photo": str(photo), "model": model, "folder": str(photo.parent)}
    before = sorted(photo.parent.iterdir())
    assert main(["upscale", "-q", *(text.format(**names) for text in arguments)]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("error: ")
    assert says.format(**names) in said
    assert "\n" not in said
    assert sorted(photo.parent.iterdir()) == before


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_names_that_are_no_text_or_no_line_work(backend, photo, model, capsys) -> None:
    odd = photo.parent / os.fsdecode(b"caf\xe9\n\x1b[31m")
    odd.mkdir()
    for name, source in (("in.png", photo), ("net.onnx", Path(model))):
        (odd / name).write_bytes(source.read_bytes())
    files = [str(odd / "in.png"), "-m", str(odd / "net.onnx")]
    assert main(["upscale", *files, "--backend", backend]) == 0
    assert size(odd / "in_net_x4.png") == (160, 120)
    assert main(["info", files[-1], "--backend", backend]) == 0
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert r"caf\xe9\n\x1b[31m" in said.out


def test_a_value_may_look_like_a_field_without_dashes(photo, model) -> None:
    target = photo.with_name("scale=2.png")
    for words in ([str(photo), "-o", str(target)], [str(target), "-o", str(photo) + ".png"]):
        assert main(["upscale", *words, "-m", model, "-q"]) == 0


def test_a_file_whose_name_begins_with_a_dash_gets_advice(
    photo, model, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(photo.parent)
    photo.rename("-photo.png")
    assert main(["upscale", "-photo.png", "-m", model]) == 2
    assert "write ./-photo.png" in capsys.readouterr().err
    for words in (["./-photo.png"], ["-q", "--", "-photo.png"]):
        assert main(["upscale", "-m", model, *words]) == 0


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_named(photo, model, capsys) -> None:
    locked = photo.parent / "locked"
    locked.mkdir(mode=0o500)
    assert main(["upscale", str(photo), "-m", model, "-o", str(locked / "out.png")]) == 2
    assert "locked" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["upscale", "info"])
@pytest.mark.parametrize(
    ("typed", "program"),
    [("/env/bin/sr-upscale", "sr-upscale"), ("/x/__main__.py", "python -m sr_runtime")],
)
def test_help_shows_examples_as_the_user_types_them(
    command, typed, program, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(sys, "argv", [typed])
    assert main([command, "--help"]) == 0
    said = capsys.readouterr().out
    assert f"usage: {program} {command}" in said
    assert f"examples:\n  {program} {command} " in said


def test_the_example_program_runs(photo, model) -> None:
    program = [sys.executable, "-m", "sr_runtime.examples.embed", model, str(photo), "nowhere.png"]
    done = subprocess.run(program, capture_output=True, text=True)
    assert done.returncode == 1
    assert "photo.png: 40×30 became 160×120" in done.stdout
    assert "nowhere.png failed" in done.stdout


def test_the_summary_counts_what_was_named_kept_and_left_out(photo, model, capsys) -> None:
    folder = photo.parent
    (folder / "drawing.psd").write_bytes(b"8BPS")
    words = ["upscale", str(folder), str(folder / "missing.png"), "-m", model]
    assert main([*words, "-o", str(folder / "out")]) == 1
    said = capsys.readouterr()
    assert said.out.startswith("wrote 1 of 2 images in ")
    assert "left out: 1 .psd" in said.out
    assert said.err.splitlines()[-2:] == [
        "1 failed:",
        f"  {folder / 'missing.png'}: there is no such file or folder",
    ]
    assert main([*words, "-o", str(folder / "out"), "--skip-existing"]) == 1
    assert capsys.readouterr().out.startswith(
        f"nothing to do: {folder / 'out/photo.png'} exists already\n"
    )

"""`upscale` of folders that are gone on with, told in JSON, and watched."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from sr_runtime.__main__ import main
from sr_runtime.cli import watch
from sr_runtime.cli.plan import Plan
from tests.runtime.test_batch import TOO_LONG, photo
from tests.runtime.test_plan import picture, plan

Upscale = Callable[..., int]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two photos, and a file that is none."""
    made = tmp_path / "in"
    made.mkdir()
    for number in range(2):
        PIL.Image.fromarray(photo(number)).save(made / f"{number}.png")
    (made / "broken.jpg").write_bytes(b"no photo")
    return made


@pytest.fixture
def upscale(folder: Path, tiny_onnx: Callable[..., Path]) -> Upscale:
    """The command, of that folder."""
    words = ["upscale", str(folder), "-o", str(folder.with_name("out")), "-m", str(tiny_onnx())]
    return lambda *options: main([*words, *options])


def json_lines(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The lines of images by the source's name, and the summary."""
    *images, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert {line["event"] for line in images} == {"image"}
    assert summary["event"] == "summary"
    return {Path(line["source"]).name: line for line in images}, summary


def test_json_has_a_line_for_each_image_and_one_for_the_sums(folder, upscale, capsys) -> None:
    assert upscale("--json") == 1
    images, summary = json_lines(capsys)
    assert sorted(images) == ["0.png", "1.png", "broken.jpg"]
    good, bad, target = images["1.png"], images["broken.jpg"], folder.with_name("out") / "1.png"
    assert (good["status"], good["target"], good["error"]) == ("written", str(target), None)
    assert (good["width"], good["height"]) == (21, 24)
    assert (good["result_width"], good["result_height"]) == (84, 96)
    assert good["bytes"] == target.stat().st_size
    assert good["seconds"] > 0
    assert bad["status"] == "failed"
    assert "broken.jpg" in bad["error"]
    assert {key: summary[key] for key in ("written", "failed", "done", "existing")} == {
        "written": 2, "failed": 1, "done": 0, "existing": 0,
    }  # fmt: skip
    assert summary["megapixels"] == pytest.approx((20 + 21) * 24 / 1e6)
    assert summary["bytes"] == images["0.png"]["bytes"] + good["bytes"]


@pytest.mark.parametrize(
    ("option", "status"), [("--resume", "done"), ("--skip-existing", "existing")]
)
def test_json_tells_what_is_not_made_again(option, status, folder, upscale, capsys) -> None:
    assert upscale("--resume", "-q") == 1
    capsys.readouterr()
    assert upscale(option, "--json") == 1
    images, summary = json_lines(capsys)
    assert images["0.png"]["status"] == images["1.png"]["status"] == status
    assert (summary[status], summary["written"], summary["failed"]) == (2, 0, 1)


def test_json_and_an_image_cannot_both_go_to_standard_output(folder, tiny_onnx, capsys) -> None:
    words = ["upscale", str(folder / "0.png"), "-m", str(tiny_onnx()), "--json", "-o", "-"]
    assert main(words) == 2
    assert "--json prints on standard output" in capsys.readouterr().err


def test_resume_does_again_what_changed_and_with_other_options_all(folder, upscale, capsys) -> None:
    assert upscale("--resume") == 1
    said = capsys.readouterr().out
    assert said.startswith("wrote 2 of 3 images in ")
    assert " MP/s to " in said
    PIL.Image.fromarray(photo(5)).save(folder / "1.png")
    assert upscale("--resume") == 1
    said = capsys.readouterr().out
    assert said.startswith("wrote 1 of 2 images in ")
    assert "out/0.png is done already" in said
    assert upscale("--resume", "--scale", "2") == 1
    assert capsys.readouterr().out.startswith("wrote 2 of 3 images in ")


def test_results_beside_their_inputs_are_no_inputs_of_the_next_run(tmp_path, tiny_onnx) -> None:
    picture(tmp_path / "a.jpg")
    words = ["upscale", f"{tmp_path}/*.*", "-m", str(tiny_onnx()), "-q", "--resume"]
    for _ in range(2):
        assert main(words) == 0
        assert {path.name for path in tmp_path.glob("[!.]*")} == {"a.jpg", "a_tiny_x4.png"}


def test_a_file_that_grows_is_taken_when_it_has_come_to_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "SECONDS", 0)
    monkeypatch.setattr(watch, "SHARE", 0)
    arriving = picture(tmp_path / "in/a.png")
    content, looks = arriving.read_bytes(), 0

    def look() -> Plan:
        nonlocal looks
        looks += 1
        if looks <= 3:
            arriving.write_bytes(content[: looks * 20])
        if looks == 7:  # it failed, and is repaired
            arriving.write_bytes(content)
        return plan([tmp_path / "in"], tmp_path / "out")

    plans = watch.watched(look)
    assert next(plans).jobs == []
    assert [job.name for job in next(plans).jobs] == ["a.png"]
    assert looks == 4
    assert [job.name for job in next(plans).jobs] == ["a.png"]
    assert looks == 8


@pytest.mark.slow
@pytest.mark.usefixtures("hears_signals")
def test_a_watched_folder_is_gone_on_with_until_ctrl_c(
    folder, upscale, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "SECONDS", 0.02)
    out, ended = folder.with_name("out"), time.monotonic() + TOO_LONG

    def wait_for(*names: str) -> None:
        while not all((out / name).exists() for name in names) and time.monotonic() < ended:
            time.sleep(0.01)

    def somebody() -> None:
        wait_for("0.png", "1.png")
        (folder / "later").mkdir()
        PIL.Image.fromarray(photo(2)).save(folder / "later/2.png")
        wait_for("later/2.png")
        time.sleep(0.2)  # nothing more is to be done
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=somebody)
    thread.start()
    assert upscale("--watch", "--json") == 128 + signal.SIGINT
    thread.join()
    images, summary = json_lines(capsys)
    assert sorted(images) == ["0.png", "1.png", "2.png", "broken.jpg"]
    assert (summary["written"], summary["failed"], summary["done"]) == (3, 1, 0)
    with PIL.Image.open(out / "later/2.png") as result:
        assert np.asarray(result).shape == (96, 88, 3)


def test_watch_refuses_pipes(tiny_onnx, capsys) -> None:
    assert main(["upscale", "-", "-o", "out/", "--watch", "-m", str(tiny_onnx())]) == 2
    assert "no pipes" in capsys.readouterr().err

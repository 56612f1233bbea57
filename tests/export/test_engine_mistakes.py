"""`sr_export engine`: what is refused before any work."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sr_export.__main__ import main
from sr_export.to_onnx import onnx_from_generator
from sr_train.checkpoint import save_generator
from tests.conftest import tiny_generator


def fixed_size_onnx(folder: Path) -> Path:
    """As `--tile-size 96 --precision fp16` makes it."""
    model = onnx_from_generator(tiny_generator(), precision="fp16", halo=16, tile_size=96)
    (folder / "fixed.onnx").write_bytes(model.SerializeToString())
    return folder / "fixed.onnx"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{fp32}"], "tiny.onnx: its weights are float32, and an engine computes in FP16"),
        (["{fp16}", "--io", "uint8"], "leave --io, --scale and --activation out"),
        (["{fp16}", "--scale", "4"], "leave --io, --scale and --activation out"),
        (
            ["{fp16}", "--min", "0x64x64"],
            "'0x64x64' is not BATCHxHEIGHTxWIDTH with numbers from 1 to",
        ),
        (["{fp16}", "--opt", "64x64"], "'64x64' is not BATCHxHEIGHTxWIDTH"),
        (["{fp16}", "--min", "4x64x64", "--opt", "2x64x64"], "--min 4x64x64 --opt 2x64x64 --max"),
        (["{fp16}", "--opt", "1x640x640"], "--opt 1x640x640 --max 4x512x512 is not in order"),
        (
            ["{fp16}", "--min", "1x16x16", "--opt", "1x32x32", "--max", "1x32x32"],
            "--max 1x32x32 leaves no room for the model's halo of 16 on both sides: its tiles must "
            "be 33x33",
        ),
        (
            ["{unshuffled}", "--min", "1x63x64"],
            "--min 1x63x64: the model takes heights and widths that are multiples of 2",
        ),
        (["{fp16}", "--level", "6"], "level 6 is outside 0 to 5"),
        (["{fp16}", "--workspace", "4 G"], "--workspace '4 G' is not a size: give 512M"),
        (["{fp16}", "--workspace", "12"], "12 bytes is outside 1 MB to 1 TB"),
        (["{fp16}", "--workspace", "9" * 15 + "T"], "outside 1 MB to 1 TB"),
        (["{fp16}", "--max", f"{10**20}x512x512"], f"'{10**20}x512x512' is not BATCHxHEIGHTxWIDTH"),
        (
            ["{fp16}", "-o", "{folder}/m.trt"],
            "m.trt: the name of an engine ends in .engine or .plan",
        ),
        (["{fp16}", "-o", "{folder}/no/m.engine"], "no does not exist: create it"),
        (["{fp16}", "--timing-cache", "{folder}"], "this is a folder"),
        (
            ["{fp16}", "--timing-cache", "{folder}/m.engine"],
            "/m.engine: the timing cache would overwrite",
        ),
        (
            ["{fp16}", "--timing-cache", "{folder}/m.engine.json"],
            "m.engine.json: the timing cache would",
        ),
        (["{fp16}", "--max", "64x4096x4096"], "a tensor has at most 2,147,483,647"),
        (
            ["{fixed}"],
            "fixed.onnx: the model does not take --min 1x64x64 --opt 4x256x256 --max 4x512x512: "
            "give --min 1x96x96 --opt 1x96x96 --max 1x96x96, or export it without --tile-size",
        ),
        (["{cut}"], "cut.onnx: not a readable ONNX model"),
        (["{folder}/nowhere.onnx"], "nowhere.onnx: there is no such model file; the package"),
        (["{folder}/nowhere.pth"], "nowhere.pth: there is no such model file; the package"),
        (["esrgan", "--io", "uint8"], "leave --io, --scale and --activation out"),
    ],
)
def test_a_mistake_is_one_sentence_before_any_work(
    arguments: list[str], says: str, tiny_onnx: Callable[..., Path], tmp_path, capsys
) -> None:
    """TensorRT is not there: all of these are noticed without it."""
    names = {"folder": str(tmp_path), "cut": str(tmp_path / "cut.onnx")}
    for precision in ("fp32", "fp16"):
        names[precision] = str(tiny_onnx(precision=precision))
    Path(names["cut"]).write_bytes(Path(names["fp16"]).read_bytes()[:5000])
    if arguments[0] == "{fixed}":
        names["fixed"] = str(fixed_size_onnx(tmp_path))
    if arguments[0] == "{unshuffled}":
        save_generator(tiny_generator(scale_factor=2, unshuffle=2), tmp_path / "u.safetensors")
        names["unshuffled"] = str(tmp_path / "u.safetensors")
    command = ["engine", *(text.format(**names) for text in arguments)]
    if "-o" not in command:
        command += ["-o", str(tmp_path / "m.engine")]
    assert main(command) == 2
    said = capsys.readouterr().err.strip()
    assert says in said
    assert "\n" not in said
    assert not list(tmp_path.glob("*.engine"))

"""Export: faithful and deterministic files without traces; one that is not faithful is not kept."""

import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
import torch

import sr_export
import sr_runtime
from sr_export import export_onnx
from sr_export.__main__ import main
from sr_export.fp16_check import half_precision_checks
from sr_export.parity import compare, require
from sr_export.photos import calibration_images, tensor_from_crop
from sr_export.to_onnx import model_info, onnx_from_generator, require_exportable
from sr_runtime.errors import ArgumentError, ModelError
from sr_runtime.model_info import ModelInfo
from sr_train.checkpoint import save_generator, weights_sha256
from sr_train.models.compact import SRVGGNetCompact
from tests.conftest import tiny_generator


def test_importing_the_package_imports_neither_torch_nor_onnx() -> None:
    program = "import sys, sr_export, sr_export.__main__; print({'torch', 'onnx'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("set()", "")


def test_every_public_name_is_listed_in_order_and_documented() -> None:
    assert sr_export.__all__ == sorted(sr_export.__all__)
    public = [getattr(sr_export, name) for name in sr_export.__all__ if name != "Progress"]
    assert all(each.__doc__ for each in public)


@pytest.mark.slow
def test_an_export_reports_its_stages_and_what_it_found(checkpoint, tmp_path) -> None:
    shares: dict[str, list[float]] = {}
    report = export_onnx(
        str(checkpoint),
        str(tmp_path / "m.onnx"),
        progress=lambda stage, share: shares.setdefault(stage, []).append(share),
    )
    assert list(shares) == list(report.seconds)
    assert all(done == sorted(done) for done in shares.values())
    assert {(done[0], done[-1]) for done in shares.values()} == {(0.0, 1.0)}
    generator = tiny_generator()
    assert report.output == tmp_path / "m.onnx"
    assert report.bytes == report.output.stat().st_size
    assert (report.arch, report.scale) == ("RRDBNet", 4)
    assert report.parameters == sum(weights.numel() for weights in generator.parameters())
    assert report.receptive_radius == generator.receptive_radius
    assert all(check.passed for check in report.checks)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no FIFOs")
def test_a_pipe_gets_the_whole_model(tmp_path) -> None:
    checkpoint, pipe = tmp_path / "m.safetensors", tmp_path / "m.onnx"
    save_generator(SRVGGNetCompact(num_features=1, num_convolutions=0), checkpoint)
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    report = export_onnx(checkpoint, pipe)
    content = os.read(reader, 1 << 16)
    os.close(reader)
    assert report.bytes == len(content)
    onnx.checker.check_model(content)


@pytest.mark.slow
@pytest.mark.parametrize("when", [0.0, 1.0])
def test_an_export_that_its_callback_ends_leaves_nothing(when, checkpoint, tmp_path) -> None:
    def stop(stage: str, share: float) -> None:
        if (stage, share) == ("verifying the file", when):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_onnx(checkpoint, tmp_path / "m.onnx", progress=stop)
    assert list(tmp_path.iterdir()) == [checkpoint]


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("io", ["float32", "uint8"])
def test_the_command_writes_a_verified_model_with_its_facts(
    precision, io, checkpoint, tmp_path, capsys
) -> None:
    target = tmp_path / "model.onnx"
    arguments = ["onnx", str(checkpoint), "-o", str(target), "--precision", precision, "--io", io]
    assert main(arguments) == 0
    assert "FAILED" not in capsys.readouterr().out
    model = onnx.load(target)
    info = ModelInfo.from_metadata({prop.key: prop.value for prop in model.metadata_props})
    generator = tiny_generator()
    assert info == ModelInfo(
        arch="RRDBNet",
        scale=4,
        in_channels=3,
        out_channels=3,
        io=io,
        weights_dtype="float32" if precision == "fp32" else "float16",
        halo=info.halo,
        receptive_radius=generator.receptive_radius,
        weights_sha256=weights_sha256(generator),
    )
    assert info.halo in (8, 16, 24)
    assert main(["verify", str(checkpoint), str(target)]) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"scale_factor": 1, "unshuffle": 4},
        {"scale_factor": 2, "unshuffle": 2},
        {"scale_factor": 3},
        {"scale_factor": 8},
        {"scale_factor": 4, "use_subpixel_conv": True},
        {"scale_factor": 2, "img_channels": 1},
        {"scale_factor": 2, "plus": True, "num_basic_blocks": 2},
        {"img_channels": 3, "out_channels": 1},
        {"img_channels": 1, "out_channels": 3},
        {"img_channels": 4},
    ],
)
def test_every_kind_of_network_is_exported_faithfully(options, tmp_path) -> None:
    generator = tiny_generator(**options)
    path = tmp_path / "m.onnx"
    path.write_bytes(onnx_from_generator(generator, halo=8).SerializeToString())
    require(compare(generator, path))


@pytest.mark.parametrize(("inputs", "outputs"), [(3, 1), (1, 3), (4, 4)])
def test_a_model_of_other_channels_is_refused_by_the_runtime(inputs, outputs, tiny_onnx) -> None:
    model = tiny_onnx(img_channels=inputs, out_channels=outputs)
    with pytest.raises(ModelError, match=rf"takes {inputs} channel\(s\) and gives {outputs}"):
        sr_runtime.load(model, device="cpu")


def test_fp16_has_no_cast_between_the_first_and_the_last_layer(tiny_onnx) -> None:
    model = onnx.load(tiny_onnx(precision="fp16"))
    operators = [node.op_type for node in model.graph.node]
    assert operators[0] == operators[-1] == "Cast"
    assert operators.count("Cast") == 2
    weights = {tensor.data_type for tensor in model.graph.initializer if ".weight" in tensor.name}
    assert weights == {onnx.TensorProto.FLOAT16}


@pytest.mark.slow
def test_only_casts_touch_uint8_as_tensorrt_demands(tiny_onnx) -> None:
    graph = onnx.load(tiny_onnx(precision="fp16", io="uint8")).graph
    readers = [node.op_type for node in graph.node if "input" in node.input]
    writers = [node.op_type for node in graph.node if "output" in node.output]
    assert readers == writers == ["Cast"]
    between = [a.i for node in graph.node for a in node.attribute if node.op_type == "Cast"]
    assert between.count(onnx.TensorProto.UINT8) == 1


@pytest.mark.slow
def test_batch_height_and_width_are_dynamic(tiny_onnx) -> None:
    for io, places in (("float32", (0, 2, 3)), ("uint8", (0, 1, 2))):
        shape = onnx.load(tiny_onnx(io=io)).graph.input[0].type.tensor_type.shape.dim
        assert all(shape[place].dim_param for place in places)


def test_the_file_tells_nothing_of_the_machine_it_was_made_on(tiny_onnx) -> None:
    content = tiny_onnx().read_bytes()
    for trace in (
        str(Path.cwd()),
        sys.prefix,
        "site-packages",
        ".py",
        "stack_trace",
        os.sep + "home",
    ):
        assert trace.encode() not in content
    names = {tensor.name for tensor in onnx.load(tiny_onnx()).graph.initializer}
    assert "body.0.rdb1.conv1.weight" in names


@pytest.mark.slow
def test_the_same_checkpoint_gives_the_same_bytes_in_another_process(checkpoint, tmp_path) -> None:
    here, there = tmp_path / "here.onnx", tmp_path / "there.onnx"
    assert main(["onnx", str(checkpoint), "-o", str(here)]) == 0
    # Sets and dictionaries of strings are in another order there.
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    subprocess.run(
        [sys.executable, "-m", "sr_export", "onnx", str(checkpoint), "-o", str(there)],
        env=os.environ | {"PYTHONHASHSEED": seed},
        check=True,
        capture_output=True,
    )
    assert here.read_bytes() == there.read_bytes()


def test_a_receptive_radius_that_no_tile_holds_is_not_stated() -> None:
    generator = tiny_generator()
    for radius, stated in ((2048, 2048), (2049, None), (None, None)):
        generator.receptive_radius = radius
        facts = model_info(generator, dtype=torch.float16, io="float32", halo=8).to_metadata()
        read = ModelInfo.from_metadata(facts)
        assert read is not None
        assert (read.receptive_radius, read.weights_dtype) == (stated, "float16")


def test_a_network_that_no_onnx_file_holds_is_refused_before_the_work() -> None:
    with torch.device("meta"):
        network = SRVGGNetCompact(num_features=4096, num_convolutions=4)
    require_exportable(network, "fp16")
    with pytest.raises(ArgumentError, match=r"2,[0-9,]+ bytes .* 2,147,483,647.*fp16"):
        require_exportable(network, "fp32")


@pytest.mark.slow
def test_half_that_overflows_fails_names_the_layer_and_leaves_no_file(
    hot_checkpoint, tmp_path, capsys, monkeypatch
) -> None:
    arguments = ["onnx", str(hot_checkpoint), "-o", str(tmp_path / "hot.onnx")]
    with monkeypatch.context() as patch:  # it is known before minutes of work
        patch.setattr("sr_export.tile_facts.measure_tiles", pytest.fail)
        assert main([*arguments, "--precision", "fp16"]) == 2
    said = capsys.readouterr().err
    assert "it is in conv_hr: export with --precision fp32" in said
    assert "\n" not in said.strip()
    assert list(tmp_path.iterdir()) == [hot_checkpoint]
    assert main(arguments) == 0  # fp32 holds it


def test_the_largest_activation_is_measured_with_its_layer() -> None:
    generator = tiny_generator()
    with torch.no_grad():
        generator.conv_first.bias[0] = 20_000
    crop = calibration_images()[0][:32, :32]
    activation = half_precision_checks(generator, tensor_from_crop(crop))[0]
    assert activation.value >= 20_000
    assert not activation.passed
    assert activation.hint


@pytest.mark.slow
def test_a_failed_export_keeps_the_file_that_was_there(tmp_path) -> None:
    generator = tiny_generator()
    with torch.no_grad():
        generator.conv_first.bias[0] = 1e6
    save_generator(generator, tmp_path / "hot.safetensors")
    target = tmp_path / "model.onnx"
    target.write_text("the model of yesterday")
    arguments = ["onnx", str(tmp_path / "hot.safetensors"), "-o", str(target)]
    assert main([*arguments, "--precision", "fp16"]) == 2
    assert target.read_text() == "the model of yesterday"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere.pth", "-o", "m.onnx"], "nowhere.pth: there is no such file"),
        (["{checkpoint}", "-o", "{checkpoint}"], "never overwritten"),
        (["{checkpoint}", "-o", "{folder}/no/m.onnx"], "no does not exist: create it"),
        (
            ["{checkpoint}", "-o", "{folder}/m.engine"],
            "m.engine: the name of an ONNX file ends in .onnx",
        ),
        (["{checkpoint}", "-o", "{folder}/m.onnx", "--opset", "5"], "opset 5 is not one of 18"),
        (["{checkpoint}", "-o", "{folder}/m.onnx", "--calibrate", "{folder}"], "no images"),
        (
            ["{checkpoint}", "-o", "{folder}/m.onnx", "--calibrate", "{folder}/no"],
            "no: no folder of images",
        ),
        (["{checkpoint}", "-o", "{folder}/m.onnx", "--scale", "2"], "is for scale 4"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(arguments, says, checkpoint, capsys) -> None:
    names = {"checkpoint": str(checkpoint), "folder": str(checkpoint.parent)}
    assert main(["onnx", *(text.format(**names) for text in arguments)]) == 2
    said = capsys.readouterr().err.strip()
    assert says in said
    assert "\n" not in said
    assert list(checkpoint.parent.glob("*.onnx")) == []


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ({"precision": "bf16"}, "precision bf16 is not one of fp32, fp16"),
        ({"io": "uint16"}, "io uint16 is not one of float32, uint8"),
        ({"opset": 26}, "opset 26 is not one of 18, .*, 25"),
    ],
)
def test_what_export_cannot_write_is_refused_before_the_work(
    option, says, checkpoint, tmp_path
) -> None:
    with pytest.raises(ArgumentError, match=says):
        export_onnx(checkpoint, tmp_path / "m.onnx", progress=pytest.fail, **option)

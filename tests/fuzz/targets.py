"""What is fuzzed. A target reads any bytes; it may raise nothing but the project's own errors."""

import contextlib
import io
import tempfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from PIL import Image

import sr_export.commands as export_command
import sr_runtime.cli.commands as runtime_command
from sr_runtime import image
from sr_runtime.backends.onnx_fp32 import fp32_from_fp16
from sr_runtime.backends.onnx_header import read_header
from sr_runtime.backends.onnx_metadata import read_fp16_onnx
from sr_runtime.backends.onnxruntime.wrong_convolutions import wrong_convolution
from sr_runtime.backends.tensorrt.engine_file import facts_path, read_engine
from sr_runtime.backends.tensorrt.options import Profile, parse_sm
from sr_runtime.cli.names import Naming
from sr_runtime.cli.pipes import Pipes
from sr_runtime.cli.plan import plan_jobs
from sr_runtime.errors import SRError
from sr_runtime.output_size import OutputSize
from sr_runtime.video.color import RgbFromFrame
from sr_runtime.video.decode import decoded
from sr_runtime.video.facts import read_facts
from sr_train.checkpoint import load_generator
from sr_train.config.file import fit_arguments, read_config
from sr_train.data.build.archives import unpacked
from sr_train.data.catalogue import Archive
from sr_train.data.packed_dataset import PackedImages
from sr_train.data.packed_index import index_path
from sr_train.state_file import load_state
from tests.fuzz.seeds import PLAN, packed

__all__ = ["TARGETS", "accepts"]

FAST = Path("/dev/shm")  # in memory, where there is one

MAX_PIXELS = 1 << 14
"""Larger pictures only take time."""

Target = Callable[[Path, bytes], None]


def accepts(target: Target, data: bytes) -> bool:
    """Whether a target takes `data`; an error that is not one of ours is raised."""
    with tempfile.TemporaryDirectory(dir=FAST if FAST.is_dir() else None) as folder:
        try:
            target(Path(folder), data)
        except SRError:
            return False
        except SystemExit as end:  # argparse, after its sentence
            return end.code == 0
    return True


def read_image(folder: Path, data: bytes) -> None:
    """Header, pixels, and the same picture written in every format that can hold it."""
    path = _file(folder, "input.png", data)
    image.read_header(path)
    picture = image.read(path, max_pixels=MAX_PIXELS)
    height, width = picture.frames[0].shape[:2]
    for suffix in (".png", ".jpg", ".webp", ".tiff", ".gif", ".avif", ".jxl"):
        output = image.Output(folder / f"output{suffix}")
        try:
            output.check(picture, height=height, width=width)
        except SRError:
            continue
        output.write(picture)  # what `check` lets through can be written
        image.read_header(output.path)
    if len(picture.frames) == 1 and not picture.pages:
        again = image.read(folder / "output.png").frames[0]
        assert again.shape[:2] == (height, width)


def read_video(folder: Path, data: bytes) -> None:
    """Facts, and the first frames with their colours."""
    path = _file(folder, "input.mkv", data)
    facts = read_facts(path, max_pixels=MAX_PIXELS)
    rgb_from_frame = RgbFromFrame(facts)
    for timed in islice(decoded(path, facts, deinterlace=facts.interlaced), 8):
        rgb_from_frame(timed.frame)


def read_model(folder: Path, data: bytes) -> None:
    model, _ = read_fp16_onnx(_file(folder, "model.onnx", data))
    fp32_from_fp16(model)


def read_model_header(folder: Path, data: bytes) -> None:
    wrong_convolution(data)
    read_header(_file(folder, "model.onnx", data))


def read_engine_facts(folder: Path, data: bytes) -> None:
    engine = _file(folder, "model.engine", PLAN)
    facts_path(engine).write_bytes(data)
    read_engine(engine)


def read_pytorch(folder: Path, data: bytes) -> None:
    load_generator(_file(folder, "weights.pth", data))


def read_safetensors(folder: Path, data: bytes) -> None:
    load_generator(_file(folder, "weights.safetensors", data))


def read_state(folder: Path, data: bytes) -> None:
    load_state(_file(folder, "state.pt", data))


def read_configuration(folder: Path, data: bytes) -> None:
    read_config(_file(folder, "config.yaml", data))


def read_index(folder: Path, data: bytes) -> None:
    """A split whose index is damaged, and every crop's image in it."""
    for name, content in packed().items():
        _file(folder, name, content)
    index_path(folder, 4).write_bytes(data)
    images = PackedImages(folder, 4)
    for i in range(len(images)):
        images.hr(i), images.lr(i)


def unpack_archive(folder: Path, data: bytes) -> None:
    """A tar or zip file, by the first byte."""
    name = ("a.zip", "a.tar.gz", "a.tar")[data[0] % 3 if data else 0]
    (folder / "downloads").mkdir()
    _file(folder / "downloads", name, data[1:])
    outside = set(folder.iterdir())
    with unpacked(Archive("https://example.org/a", name), folder, ("images",), str):
        assert set(folder.iterdir()) == outside


def parse_arguments(folder: Path, data: bytes) -> None:
    """Words separated by NUL; the first one names the program.

    Only what is named within `folder` is looked for: a word such as / takes minutes.
    """
    program, *words = data.decode("utf-8", "surrogateescape").split("\0")
    Image.new("RGB", (7, 5)).save(folder / "photo.png")
    folder = folder.resolve()

    def is_within(word: str) -> bool:
        return Path(word).resolve().is_relative_to(folder)

    unread = io.StringIO()
    with (
        contextlib.redirect_stdout(unread),
        contextlib.redirect_stderr(unread),
        contextlib.chdir(folder),
    ):
        if program == "fit":
            fit_arguments(words)
        elif program == "upscale":
            options = runtime_command.parser().parse_args(["upscale", *words])
            naming = Naming(
                model=options.model,
                scale=4,
                size=OutputSize(scale=options.scale, width=options.width, height=options.height),
                format=options.format,
                keep_format=options.keep_format,
                template=options.name,
            )
            with Pipes() as pipes:  # without a standard input
                inputs = [word for word in options.inputs if is_within(word)]
                output = options.output if is_within(str(options.output or "")) else None
                plan_jobs(inputs or ["."], output, naming, pipes)
        elif program == "engine":
            options = export_command.parser().parse_args(["engine", *words])
            Profile.parse(options.min, options.opt, options.max)
            parse_sm(options.sm or "all")


def _file(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


TARGETS: dict[str, Target] = {
    "image": read_image,
    "video": read_video,
    "model": read_model,
    "header": read_model_header,
    "engine": read_engine_facts,
    "pytorch": read_pytorch,
    "safetensors": read_safetensors,
    "state": read_state,
    "configuration": read_configuration,
    "index": read_index,
    "archive": unpack_archive,
    "arguments": parse_arguments,
}

"""The options of `prepare`, `evaluate`, `interpolate`, `average` and `convert`.

They are the arguments of the function that does the command's work. `fit` has the fields of the
configuration: `sr_train.config.options`.
"""

import os
from pathlib import Path
from typing import get_args

from sr_runtime.cli.completion import suggest, suggest_models
from sr_runtime.cli.parser import Parser, nonempty, number, path, whole_number
from sr_runtime.embedded import EMBEDDED
from sr_train.config.degradation import DegradationName
from sr_train.data.catalogue import DATASETS

__all__ = [
    "WEIGHTS",
    "add_average_options",
    "add_convert_options",
    "add_evaluate_options",
    "add_interpolate_options",
    "add_network_options",
    "add_prepare_options",
]

FILE = "a .pth or .safetensors file"

# The names in `sr_train.pretrained`, which needs torch.
WEIGHTS = ("vgg11", "vgg13", "vgg16", "vgg19", "squeezenet1_1", "lpips_squeeze")
# Those in `sr_train.judges`.
JUDGES = ("auto", "none", "st_lpips", "vgg19")


def add_prepare_options(prepare: Parser) -> None:
    """Add what `prepare` takes."""
    items = prepare.add_argument(
        "items", nargs="+", type=nonempty, metavar="ITEM",
        help=f"a data set ({', '.join(DATASETS)}), a folder of your own images, or weights "
        f"({', '.join(WEIGHTS)})",
    )  # fmt: skip
    suggest(items, *DATASETS, *WEIGHTS, files=True)
    _add_root(prepare)
    prepare.add_argument(
        "--from", dest="source", type=path, metavar="FOLDER",
        help="folder with the data set, the packages that it is cut from, or the weights (default: "
        "download them)",
    )  # fmt: skip
    prepare.add_argument(
        "--scale", type=whole_number, default=4, metavar="S",
        help="how many times the trained model will enlarge; what it learns to enlarge is made by "
        "shrinking the images that much (default: %(default)s)",
    )  # fmt: skip
    prepare.add_argument(
        "--jobs", type=whole_number, default=os.cpu_count() or 1, metavar="N",
        help="processes that decode images (default: %(default)s, one per processor)",
    )  # fmt: skip
    prepare.add_argument(
        "--skip-bad", action="store_true",
        help="leave out images of a folder that cannot be prepared, and say which and why",
    )  # fmt: skip
    prepare.add_argument(
        "--hold-out", type=number, default=0, metavar="SHARE",
        help="share of a folder's images to validate with and not to train on, such as 0.2: they "
        "are NAME:val, and the others NAME:train (default: 0)",
    )  # fmt: skip


def add_evaluate_options(evaluate: Parser) -> None:
    """Add what `evaluate` takes."""
    models = evaluate.add_argument(
        "models", nargs="+", type=nonempty, metavar="MODEL",
        help=f"a .safetensors, .pth or .onnx file, or a model's name: {', '.join(EMBEDDED)} or one "
        "of your own",
    )  # fmt: skip
    suggest_models(models)
    data = evaluate.add_argument(
        "--data", nargs="+", type=nonempty, required=True, metavar="DATA",
        help="prepared data sets, such as set5 or bsds500:val, or folders of images",
    )  # fmt: skip
    suggest(data, *DATASETS, files=True)
    evaluate.add_argument(
        "--degrade", choices=get_args(DegradationName),
        help="make the LR images from HR anew, as users' photos are: `mild` (some blur and noise, "
        "JPEG from quality 75), `real` (the ranges of Real-ESRGAN: more of all, JPEG from quality "
        "30) or `jpeg30` (bicubic, then JPEG of quality 30)",
    )  # fmt: skip
    evaluate.add_argument(
        "--seed", type=whole_number, metavar="N",
        help="of --degrade: what happens to an image depends on it and on the image's name alone "
        "(default: 0)",
    )  # fmt: skip
    evaluate.add_argument(
        "--judge", choices=JUDGES, default="auto",
        help="a distance by a network that took no part in training: st_lpips (the extra "
        "`judge`), vgg19 (weights in DIR/weights), none, or auto: those that are at hand "
        "(default: %(default)s)",
    )  # fmt: skip
    _add_root(evaluate)
    evaluate.add_argument(
        "--limit", type=whole_number, metavar="N",
        help="measure only the first N images of each data set (default: all)",
    )  # fmt: skip
    evaluate.add_argument("--images", action="store_true", help="show each image's numbers too")
    evaluate.add_argument("--json", type=path, metavar="OUT", help="write the numbers here too")
    evaluate.add_argument(
        "--no-lpips", dest="lpips", action="store_false",
        help="leave out LPIPS, and judges that --judge does not name",
    )  # fmt: skip
    device = evaluate.add_argument(
        "--device", type=nonempty, default="auto", metavar="NAME",
        help="cpu, cuda, cuda:N, or auto: a GPU before the CPU (default: auto)",
    )  # fmt: skip
    suggest(device, "auto", "cpu", "cuda")
    evaluate.add_argument(
        "--precision", default="fp32", choices=("fp32", "bf16", "fp16"),
        help="precision in which the networks compute (default: %(default)s)",
    )  # fmt: skip
    _add_scale(evaluate)
    evaluate.add_argument(
        "--result-scale", type=whole_number, metavar="S",
        help="measure at this scale, to which results are shrunk as by `sr_runtime upscale "
        "--scale`: compares networks of x4 with those of x2 (default: the networks')",
    )  # fmt: skip


def add_interpolate_options(interpolate: Parser) -> None:
    """Add what `interpolate` takes."""
    interpolate.add_argument("psnr", type=path, metavar="PSNR", help="result of the PSNR stage")
    interpolate.add_argument("gan", type=path, metavar="GAN", help="result of the GAN stage")
    _add_output(interpolate)
    interpolate.add_argument(
        "--alpha", type=number, default=0.8,
        help="α, the share of GAN, from 0 to 1; more means more texture and more noise (default: "
        "%(default)s)",
    )  # fmt: skip
    _add_scale(interpolate)


def add_average_options(average: Parser) -> None:
    """Add what `average` takes."""
    average.add_argument("checkpoints", nargs="+", type=path, metavar="CHECKPOINT", help=FILE)
    _add_output(average)
    _add_scale(average)


def add_convert_options(convert: Parser) -> None:
    """Add what `convert` takes."""
    convert.add_argument("checkpoint", type=path, metavar="CHECKPOINT", help=FILE)
    _add_output(convert)
    add_network_options(convert)


def add_network_options(command: Parser) -> None:
    """Add what some checkpoints do not tell of their network."""
    _add_scale(command)
    command.add_argument(
        "--activation", choices=("relu", "leakyrelu"),
        help="of an SRVGGNetCompact without PReLU, whose checkpoint does not name it (default: "
        "read from the checkpoint)",
    )  # fmt: skip


def _add_root(command: Parser) -> None:
    command.add_argument(
        "--root", type=path, default=Path("data"), metavar="DIR",
        help="folder of prepared data sets and weights, which fit calls --data_root (default: "
        "%(default)s)",
    )  # fmt: skip


def _add_output(command: Parser) -> None:
    command.add_argument(
        "-o", "--output", type=path, required=True, metavar="OUT",
        help="the file to write: .safetensors, with the architecture as metadata, or .pth, as "
        "BasicSR writes it",
    )  # fmt: skip


def _add_scale(command: Parser) -> None:
    command.add_argument(
        "--scale", type=whole_number, metavar="S",
        help="scale of the network; needed only for x3, whose weights look like those of x2 "
        "(default: read from the checkpoint)",
    )  # fmt: skip

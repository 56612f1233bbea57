"""`sr_train evaluate`: checkpoints and exported models on whole images, in one table."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from json import dumps
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray
from tqdm import tqdm

import sr_runtime
from sr_runtime.cli.console import say
from sr_runtime.embedded import model_file
from sr_runtime.errors import ArgumentError, about
from sr_runtime.evaluation import scoring
from sr_runtime.evaluation.pairs import find_pairs
from sr_runtime.evaluation.scoring import TILE, ImagePair, bicubic, upscale_whole
from sr_runtime.printable import printable
from sr_runtime.storage.atomic import atomic_path, check_target
from sr_train.checkpoint import load_any_generator
from sr_train.config.schema import Validation
from sr_train.data.catalogue import DATASETS
from sr_train.data.packed_dataset import PackedPair
from sr_train.data.prepared import prepared
from sr_train.distributed import init_distributed
from sr_train.inference import upscale_torch
from sr_train.lpips import load_lpips
from sr_train.precision import compute_dtype

__all__ = ["evaluate"]

Image = NDArray[Any]
Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class OpenModel:
    """A checkpoint, an exported model, or interpolation, as a function from image to image."""

    name: str
    scale: int
    upscale: Callable[[Image], Image]
    """(H, W, C) to (scale·H, scale·W, C)."""


def evaluate(
    models: Sequence[str | Path],
    data: Sequence[str],
    *,
    root: Path,
    scale: int | None = None,
    precision: Precision = "fp32",
    device: str = "auto",
    lpips: bool = True,
    images: bool = False,
    json: Path | None = None,
) -> None:
    """Print a table for each data set, with the means of all models and of bicubic.

    16-bit images are measured in 16 bits and compared on the scale of 255. (`prepare` refuses them,
    since training's crops are 8-bit.)

    Args:
        models: Checkpoints of generators, computed by PyTorch; `.onnx` files and names of embedded
            models, computed by the runtime. All of one scale.
        data: Names of data sets prepared under `root`, and folders of images.
        scale: Needed only for checkpoints that leave their scale open.
        device: auto, cpu, cuda or cuda:N, for all models.
        images: Also print a table of single images for each model.
        json: A file for all numbers.

    Raises an SRError before anything is measured if something is missing or does not fit.
    """
    if json is not None:
        check_target(json, inputs=[Path(model) for model in models])
    with contextlib.ExitStack() as stack:
        torch_device = stack.enter_context(init_distributed(device)).device
        # With auto the runtime may lack a GPU that PyTorch has.
        automatic = device == "auto" and torch_device.type == "cuda"
        runtime_device = "auto" if automatic else str(torch_device)
        opened = []
        for model in models:
            # As for `sr_runtime.load`: a Path is a file, and a string may be an embedded model.
            file = model_file(model)
            if file.suffix.lower() == ".onnx":
                upscaler = stack.enter_context(
                    sr_runtime.load(file, device=runtime_device, precision=precision, tile=TILE)
                )
                upscale, factor = partial(upscale_whole, upscaler), upscaler.info.scale
            else:
                generator = load_any_generator(file, scale=scale).to(torch_device)
                dtype = compute_dtype(precision, torch_device)
                upscale = partial(upscale_torch, generator, precision=dtype)
                factor = generator.scale_factor
            opened.append(OpenModel(str(model), factor, upscale))
        _check_scales(opened)
        opened.append(OpenModel("bicubic", factor, partial(bicubic, scale=factor)))
        sets = {item: _pairs(item, root, factor) for item in data}
        distance = load_lpips(Validation(), root).to(torch_device).of_images if lpips else None
        results = []
        for item, pairs in sets.items():
            scores = {
                model.name: [
                    _score(model, pair, item, distance)
                    for pair in tqdm(
                        pairs,
                        desc=printable(f"{model.name} on {item}"),
                        unit="image",
                        leave=False,
                        disable=None,  # no bar without a terminal
                    )
                ]
                for model in opened
            }
            say("", f"{item}, ×{factor}, computed in {precision}")
            if images:
                for name, rows in scores.items():
                    say("")
                    text = f"{printable(name)}: {scoring.table(rows, crop=factor)}"
                    say(*text.split("\n"))
            means = [scoring.mean(rows, name) for name, rows in scores.items()]
            say(*scoring.models_table(means, images=len(pairs), crop=factor).split("\n"))
            facts = {
                name: {"mean": asdict(scoring.mean(rows)), "images": [*map(asdict, rows)]}
                for name, rows in scores.items()
            }
            results.append({"data": item, "scale": factor, "crop": factor, "models": facts})
    if json is not None:
        table = {"precision": precision, "device": str(torch_device), "results": results}
        with atomic_path(json) as temporary:
            temporary.write_text(dumps(table, indent=1) + "\n", encoding="utf-8")


def _check_scales(models: Sequence[OpenModel]) -> None:
    first, *others = models
    for other in others:
        if other.scale != first.scale:
            raise ArgumentError(
                f"{first.name} enlarges ×{first.scale} and {other.name} ×{other.scale}: give "
                "models of one scale"
            )


def _pairs(item: str, root: Path, scale: int) -> Sequence[ImagePair]:
    """The images of a prepared data set, or of a folder."""
    if Path(item).is_file():
        raise ArgumentError("this is a file: name a folder, or a prepared data set", path=item)
    is_path = Path(item).is_dir() or Path(item).name != item
    if item.partition(":")[0] not in DATASETS and is_path:
        return find_pairs(item)
    return [
        PackedPair(name, images, i, images.channels)
        for images in prepared(item, root=root, scale=scale, purpose="val")
        for i, name in enumerate(images.names)
    ]


def _score(
    model: OpenModel, pair: ImagePair, item: str, distance: scoring.Distance | None
) -> scoring.Score:
    """Score one image; errors that are about no file name the model, the image and the set."""
    place = f"{model.name} on {pair.name} of {item}"
    with about(place):
        lr, hr = pair.read(model.scale)
        sr = model.upscale(lr)
    score = scoring.compare(place, sr, hr, crop=model.scale, distance=distance)
    return replace(score, name=pair.name)

"""Measuring on whole images: a generator during training, and any models in one table."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from json import dumps
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import torch
from numpy.typing import NDArray
from tqdm import tqdm

from sr_runtime.atomic import atomic_path, check_target
from sr_runtime.errors import ArgumentError, SRError
from sr_runtime.evaluation import metrics
from sr_runtime.evaluation.metrics import ImagePair
from sr_runtime.evaluation.pairs import find_pairs
from sr_runtime.evaluation.whole import bicubic
from sr_train.config.schema import ContentLoss, PerceptualLoss, Validation
from sr_train.data.catalogue import DATASETS
from sr_train.data.packed_dataset import PackedPair
from sr_train.data.prepared import prepared
from sr_train.distributed import init_distributed
from sr_train.inference import image_from_tensor, super_resolved, tensor_from_image
from sr_train.losses import content_loss, perceptual_loss
from sr_train.lpips import LPIPS, load_lpips
from sr_train.models.features import FeatureNetwork
from sr_train.models.generator import Generator
from sr_train.open_model import OpenModel, open_model
from sr_train.precision import autocast

__all__ = ["Result", "evaluate", "mean", "validate"]

Image = NDArray[Any]
Scores = Mapping[str, Sequence[metrics.Score]]


@dataclass(frozen=True)
class Result:
    """One validation image: losses as in training, and what the literature reports."""

    name: str
    content: float
    perceptual: float | None
    psnr_y: float
    ssim_y: float
    psnr_rgb: float
    ssim_rgb: float
    lpips: float | None


def validate(
    generator: Generator,
    pairs: Iterable[ImagePair],
    *,
    scale: int,
    device: torch.device,
    content: ContentLoss,
    perceptual: tuple[FeatureNetwork, PerceptualLoss] | None,
    lpips: LPIPS | None,
    precision: torch.dtype,
    channels_last: bool,
) -> Iterator[tuple[Result, Image, Image, Image]]:
    """Measure every pair; yields the result, and LR, SR and HR (H, W, C) for pictures.

    The losses are those of the generator's output as it is, in [0, 1] but not clamped; the rest is
    of the rounded image, without `scale` pixels of border. All networks are on `device`, in
    evaluation mode. Raises NonFiniteError for an output with NaN or infinity.
    """
    distance = None if lpips is None else lpips.of_images
    for pair in pairs:
        lr, hr = pair.read(scale)
        output = super_resolved(
            generator, lr, device=device, precision=precision, channels_last=channels_last
        )
        sr = image_from_tensor(output, like=hr)
        score = metrics.compare(pair.name, sr, hr, crop=scale, distance=distance)
        with torch.inference_mode():
            target = tensor_from_image(hr, device).expand_as(output)
            pixels = content_loss(output, target, content.loss_f).item()
            felt = None
            if perceptual is not None:
                features, options = perceptual
                with autocast(device, precision):
                    # Not called: a compiled network would be compiled again for every size.
                    of_output, of_target = features.forward(output), features.forward(target)
                felt = perceptual_loss(of_output, of_target, options).item()
        yield Result(**asdict(score), content=pixels, perceptual=felt), lr, sr, hr


def mean(results: Sequence[Result]) -> dict[str, float]:
    """The mean of everything that was measured of every image, by the names of `Result`."""
    columns = {
        field.name: [getattr(result, field.name) for result in results]
        for field in fields(Result)
        if field.name != "name"
    }
    return {name: fmean(column) for name, column in columns.items() if None not in column}


def evaluate(
    models: Sequence[str | Path],
    data: Sequence[str],
    *,
    root: Path,
    scale: int | None = None,
    precision: Literal["fp32", "bf16", "fp16"] = "fp32",
    device: str = "auto",
    lpips: bool = True,
    images: bool = False,
    json: Path | None = None,
) -> int:
    """Print a table for each data set, with the means of all models and of bicubic; returns 0.

    `models` are checkpoints of generators, computed by PyTorch on `device`, and `.onnx` files and
    embedded models, computed by the runtime; all of one scale. `scale` is needed only for
    checkpoints that leave it open. `data` are names of data sets prepared under `root`, and folders
    of images. `images` adds a table of single images for each model; `json` is a file for all
    numbers.

    16-bit images are measured as such, enlarged to 16 bits and compared on the scale of 255, though
    `prepare` takes none: training's crops are 8-bit, but a table need not round what it is given.

    Raises an SRError, before anything is measured, for what is absent or does not fit together.
    """
    if json is not None:
        check_target(json)
    with contextlib.ExitStack() as stack:
        chosen = stack.enter_context(init_distributed(device)).device
        opened = [
            stack.enter_context(open_model(model, scale=scale, precision=precision, device=chosen))
            for model in models
        ]
        factor = _common_scale(opened)
        opened.append(OpenModel("bicubic", factor, partial(bicubic, scale=factor)))
        sets = {item: _pairs(item, root, factor) for item in data}
        distance = None
        if lpips:
            distance = load_lpips(Validation(), root).to(chosen).of_images
        results = []
        for item, pairs in sets.items():
            scores = {
                model.name: [
                    _score(model, pair, item, distance)
                    for pair in tqdm(
                        pairs,
                        desc=f"{model.name} on {item}",
                        unit="image",
                        leave=False,
                        disable=None,  # where there is no terminal
                    )
                ]
                for model in opened
            }
            print(f"\n{item}, ×{factor}, computed in {precision}")
            _print_tables(scores, crop=factor, images=images)
            results.append({"data": item, "scale": factor, "crop": factor, **_facts(scores)})
    if json is not None:
        facts = {"precision": precision, "device": str(chosen), "results": results}
        with atomic_path(json) as temporary:
            temporary.write_text(dumps(facts, indent=1) + "\n", encoding="utf-8")
    return 0


def _common_scale(models: Sequence[OpenModel]) -> int:
    first, *others = models
    for other in others:
        if other.scale != first.scale:
            raise ArgumentError(
                f"{first.name} makes ×{first.scale} and {other.name} ×{other.scale}: a table "
                "compares models of one scale"
            )
    return first.scale


def _pairs(item: str, root: Path, scale: int) -> Sequence[ImagePair]:
    """The images of a prepared data set, or of a folder."""
    if item.partition(":")[0] not in DATASETS and Path(item).is_dir():
        return find_pairs(item)
    return [
        PackedPair(name, images, i, images.channels)
        for images in prepared(item, root=root, scale=scale, purpose="val")
        for i, name in enumerate(images.names)
    ]


def _score(
    model: OpenModel, pair: ImagePair, item: str, distance: metrics.Distance | None
) -> metrics.Score:
    try:
        (score,) = metrics.score(model.upscale, [pair], scale=model.scale, distance=distance)
    except SRError as error:
        reason = str(error).removeprefix(f"{pair.name}: ")
        raise type(error)(f"{model.name} on {pair.name} of {item}: {reason}") from error
    return score


def _print_tables(scores: Scores, *, crop: int, images: bool) -> None:
    if images:
        for name, rows in scores.items():
            print(f"\n{name}: {metrics.table(rows, crop=crop)}")
    means = [metrics.mean(rows, name) for name, rows in scores.items()]
    count = len(next(iter(scores.values())))
    print(metrics.models_table(means, images=count, crop=crop), flush=True)


def _facts(scores: Scores) -> dict[str, Any]:
    return {
        "models": {
            name: {
                "mean": asdict(metrics.mean(rows)),
                "images": [asdict(row) for row in rows],
            }
            for name, rows in scores.items()
        }
    }

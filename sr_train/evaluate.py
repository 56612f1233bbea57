"""`sr_train evaluate`: checkpoints and exported models on whole images, in one table."""

import contextlib
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from json import dumps
from pathlib import Path
from typing import Any, Literal

import torch
from numpy.typing import NDArray

import sr_runtime
from sr_runtime.cli.console import say
from sr_runtime.embedded import model_file
from sr_runtime.errors import ArgumentError, about
from sr_runtime.evaluation import scoring
from sr_runtime.evaluation.scoring import TILE, Distance, ImagePair, Score, bicubic, upscale_whole
from sr_runtime.printable import printable
from sr_runtime.resize import resize
from sr_runtime.storage.atomic import atomic_path, check_target
from sr_train.checkpoint import load_any_generator
from sr_train.config.degradation import DegradationName
from sr_train.config.schema import Validation
from sr_train.data.degradation.named import NAMED
from sr_train.data.degraded_pair import DegradedPair
from sr_train.data.evaluation_pairs import check_pairs, counted, evaluation_pairs
from sr_train.distributed import init_distributed
from sr_train.inference import upscale_torch
from sr_train.judges import Judge, load_judges
from sr_train.lpips import load_lpips
from sr_train.precision import compute_dtype

__all__ = ["evaluate"]

Image = NDArray[Any]
Precision = Literal["fp32", "bf16", "fp16"]

WIDTH = 100
"""Columns of the text above a table."""


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
    result_scale: int | None = None,
    precision: Precision = "fp32",
    device: str = "auto",
    lpips: bool = True,
    judge: Judge = "auto",
    degrade: DegradationName | None = None,
    seed: int | None = None,
    limit: int | None = None,
    images: bool = False,
    json: Path | None = None,
) -> None:
    """Print a table for each data set, with the means of all models and of bicubic.

    16-bit images are measured in 16 bits and compared on the scale of 255. (`prepare` refuses them,
    since training's crops are 8-bit.)

    Args:
        models: Checkpoints of generators, computed by PyTorch; `.onnx` files and names of embedded
            models, computed by the runtime. All of one scale, unless `result_scale` is given.
        data: Names of data sets prepared under `root`, and folders of images.
        scale: Needed only for checkpoints that leave their scale open.
        result_scale: Measure at this scale, to which MATLAB's bicubic shrinks the results, as
            `sr_runtime upscale --scale` does; None: the models' own.
        device: auto, cpu, cuda or cuda:N, for all models.
        lpips: Measure LPIPS.
        judge: Distances by networks that took no part in training; `auto` measures those whose
            weights are at hand, and none without LPIPS.
        degrade: How LR images are made from HR; None takes those of the data set, or makes them by
            MATLAB's bicubic.
        seed: Of `degrade`; None is 0.
        limit: Measure this many images of each data set, the first by name; None: all.
        images: Also print a table of single images for each model.
        json: A file for all numbers.

    Raises an SRError before anything is measured if something is missing or does not fit.
    """
    if json is not None:
        check_target(json, inputs=[Path(model) for model in models])
    if seed is not None and degrade is None:
        raise ArgumentError(
            f"--seed is {seed}, which only --degrade uses, and --degrade is missing: add it, or "
            "leave out --seed"
        )
    seed = seed or 0
    if seed < 0:
        raise ArgumentError(f"--seed is {seed}: it must be 0 or more")
    if limit is not None and limit < 1:
        raise ArgumentError(f"--limit is {limit}: it must be 1 or more")
    with contextlib.ExitStack() as stack:
        torch_device = stack.enter_context(init_distributed(device)).device
        # With auto the runtime may lack a GPU that PyTorch has.
        automatic = device == "auto" and torch_device.type == "cuda"
        runtime_device = "auto" if automatic else str(torch_device)
        opened = [
            stack.enter_context(_open(model, scale, precision, torch_device, runtime_device))
            for model in models
        ]
        if result_scale is not None:
            opened = [_shrinking(model, result_scale) for model in opened]
        factor = opened[0].scale
        _check_scales(opened)
        opened.append(OpenModel("bicubic", factor, partial(bicubic, scale=factor)))
        sets = {item: evaluation_pairs(item, root, factor)[:limit] for item in data}
        if degrade is not None:
            sets = {
                item: [DegradedPair(pair.name, pair, degrade, seed) for pair in pairs]
                for item, pairs in sets.items()
            }
        distances = _distances(lpips, judge, root, torch_device)
        check_pairs(sets, factor, learned=bool(distances))
        if judge == "auto" and [*distances] == ["lpips"]:
            say("", 'LPIPS is the only judge: pip install "sr-toolkit[judge]" adds ST-LPIPS')
        results = []
        for item, pairs in sets.items():
            scores = _scores(opened, pairs, item, factor, distances)
            made = "" if degrade is None else f", degraded: {degrade}, seed {seed}"
            say("", f"{item}, ×{factor}, computed in {precision}{made}")
            if images:
                for name, rows in scores.items():
                    say("", f"{printable(name)}:", *_lines(scoring.table(rows, crop=factor)))
            means = [
                scoring.mean(rows, name)
                for name, rows in zip(_short(list(scores)), scores.values(), strict=True)
            ]
            say(*_lines(scoring.models_table(means, images=len(pairs), crop=factor)))
            facts = {
                name: {"mean": asdict(scoring.mean(rows)), "images": [*map(asdict, rows)]}
                for name, rows in scores.items()
            }
            results.append({"data": item, "scale": factor, "crop": factor, "models": facts})
    if json is not None:
        table: dict[str, Any] = {"precision": precision, "device": str(torch_device)}
        if degrade is not None:
            table["degradation"] = {
                "name": degrade,
                "seed": seed,
                "settings": asdict(NAMED[degrade]),
            }
        with atomic_path(json) as temporary:
            text = dumps({**table, "results": results}, indent=1)
            temporary.write_text(f"{text}\n", encoding="utf-8")


@contextlib.contextmanager
def _open(
    model: str | Path,
    scale: int | None,
    precision: Precision,
    torch_device: torch.device,
    runtime_device: str,
) -> Iterator[OpenModel]:
    # As for `sr_runtime.load`: a Path is a file, and a string may be an embedded model.
    file = model_file(model)
    if file.suffix.lower() == ".onnx":
        with sr_runtime.load(
            file, device=runtime_device, precision=precision, tile=TILE
        ) as upscaler:
            upscale = partial(upscale_whole, upscaler)
            yield OpenModel(str(model), upscaler.info.scale, upscale)
    else:
        generator = load_any_generator(file, scale=scale).to(torch_device)
        dtype = compute_dtype(precision, torch_device)
        upscale = partial(upscale_torch, generator, precision=dtype)
        yield OpenModel(str(model), generator.scale_factor, upscale)


def _check_scales(models: Sequence[OpenModel]) -> None:
    first, *others = models
    for other in others:
        if other.scale != first.scale:
            raise ArgumentError(
                f"{first.name} enlarges ×{first.scale} and {other.name} ×{other.scale}: give "
                f"models of one scale, or --result-scale {min(each.scale for each in models)}"
            )


def _shrinking(model: OpenModel, scale: int) -> OpenModel:
    """The model with results that are shrunk to `scale`."""
    if not 1 <= scale <= model.scale:
        raise ArgumentError(
            f"--result-scale is {scale}, and {model.name} enlarges ×{model.scale}: give a scale "
            f"from 1 to {model.scale}"
        )
    if scale == model.scale:
        return model

    def upscale(image: Image) -> Image:
        height, width = image.shape[:2]
        return resize(model.upscale(image), scale * height, scale * width)

    return replace(model, scale=scale, upscale=upscale)


def _distances(
    lpips: bool, judge: Judge, root: Path, device: torch.device
) -> Mapping[str, Distance]:
    networks = {**load_judges("none" if judge == "auto" and not lpips else judge, root)}
    if lpips:
        networks["lpips"] = load_lpips(Validation(), root)
    return {field: network.to(device).remembering() for field, network in networks.items()}


def _scores(
    models: Sequence[OpenModel],
    pairs: Sequence[ImagePair],
    item: str,
    scale: int,
    distances: Mapping[str, Distance],
) -> dict[str, list[Score]]:
    """The scores of all images by the models' names.

    Errors that are about no file name the model, the image and the set.
    """
    scores: dict[str, list[Score]] = {model.name: [] for model in models}
    for pair in counted(pairs, item):
        lr, hr = pair.read(scale)
        for model in models:
            place = f"{model.name} on {pair.name} of {item}"
            with about(place):
                sr = model.upscale(lr)
            score = scoring.compare(place, sr, hr, crop=scale, distances=distances)
            scores[model.name].append(replace(score, name=pair.name))
    return scores


def _short(names: Sequence[str]) -> list[str]:
    """The ends of paths that tell them apart: a table has no room for all of their folders."""
    parts = [Path(name).parts for name in names]
    for most in range(1, max(map(len, parts)) + 1):
        short = [str(Path(*each[-most:])) for each in parts]
        if len(set(short)) == len(short):
            return short
    return list(names)


def _lines(text: str) -> list[str]:
    """The lines of a protocol and its table, of which the protocol is wrapped."""
    protocol, _, rows = text.partition("\n\n")
    return [*textwrap.wrap(protocol, WIDTH), "", *rows.split("\n")]

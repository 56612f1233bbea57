"""Validation during training: whole images, distributed over the processes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from operator import itemgetter
from pathlib import Path
from statistics import fmean
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from sr_runtime.errors import SRError
from sr_runtime.evaluation import scoring
from sr_runtime.evaluation.scoring import ImagePair
from sr_train.config.schema import Config, ContentLoss, PerceptualLoss, Stage
from sr_train.data.stage_data import validation_pairs
from sr_train.distributed import Processes
from sr_train.inference import image_from_tensor, super_resolved, tensor_from_image
from sr_train.losses import content_loss, perceptual_loss
from sr_train.lpips import LPIPS, load_lpips
from sr_train.models.features import FeatureNetwork
from sr_train.models.generator import Generator
from sr_train.plots import comparison
from sr_train.precision import autocast, compute_dtype
from sr_train.pretrained import load_features
from sr_train.stages import GanStage
from sr_train.trainable import to_device

__all__ = ["Result", "Validator", "mean", "validate"]

T = TypeVar("T")
Image = NDArray[Any]


class Validator:
    """Measures a run on whole images, with the perceptual loss's features and LPIPS.

    A run with a GAN stage needs the weights of both and raises SRError, saying where to get them.
    A run of the PSNR stage alone has no perceptual loss, and without its weights no LPIPS.
    """

    def __init__(self, config: Config, processes: Processes) -> None:
        self.config = config
        self.processes = processes
        self.missing: list[str] = []
        """What is not measured and why, one sentence each."""
        root = Path(config.data_root)
        features = None
        if GanStage.name in config.stage_names:
            features = self._loaded(lambda: load_features(config.perceptual_loss, root))
        lpips = self._loaded(lambda: load_lpips(config.validation, root))
        self.features = features and to_device(features, config, processes)
        self.lpips = lpips and to_device(lpips, config, processes)

    def measure(
        self, generator: Generator, stage: Stage
    ) -> tuple[dict[str, float], list[tuple[str, NDArray[np.uint8]]]]:
        """Means over the stage's validation images, and samples LR | bicubic | SR | HR by name."""
        config, processes = self.config, self.processes
        pairs = validation_pairs(config, stage)
        share = range(processes.rank, len(pairs), processes.world_size)
        perceptual = (self.features, config.perceptual_loss) if self.features else None
        results: list[Result] = []
        pictures: list[tuple[int, str, NDArray[np.uint8]]] = []
        # Searching for the fastest convolution pays for crops, which all have one size.
        searches, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, False
        try:
            measured = validate(
                generator,
                [pairs[i] for i in share],
                scale=config.scale_factor,
                content=config.content_loss,
                perceptual=perceptual,
                lpips=self.lpips,
                precision=compute_dtype(config.precision, processes.device),
            )
            for i, (result, lr, sr, hr) in zip(share, measured, strict=True):
                results.append(result)
                if i < config.validation.samples:
                    picture = comparison(lr, {"SR": sr}, hr, config.scale_factor)
                    pictures.append((i, result.name, picture))
        finally:
            torch.backends.cudnn.benchmark = searches
        means = mean(processes.all_gather(results))
        shown = sorted(processes.all_gather(pictures), key=itemgetter(0))
        named = {f"val_{name}": value for name, value in means.items()}
        return named, [(name, picture) for _, name, picture in shown]

    def _loaded(self, load: Callable[[], T]) -> T | None:
        """What `load` returns; the main process goes first, since it may have to download."""
        if not self.processes.is_main:
            self.processes.barrier()
        try:
            return load()
        except SRError as error:
            if GanStage.name in self.config.stage_names:
                raise
            self.missing.append(f"not measured in this run: {error}")
            return None
        finally:
            if self.processes.is_main:
                self.processes.barrier()


@dataclass(frozen=True, kw_only=True)
class Result(scoring.Score):
    """One validation image: the losses of training, and the metrics of the literature."""

    content: float
    perceptual: float | None


def validate(
    generator: Generator,
    pairs: Iterable[ImagePair],
    *,
    scale: int,
    content: ContentLoss,
    perceptual: tuple[FeatureNetwork, PerceptualLoss] | None,
    lpips: LPIPS | None,
    precision: torch.dtype,
) -> Iterator[tuple[Result, Image, Image, Image]]:
    """Measure every pair; yields the result, and LR, SR and HR (H, W, C) for pictures.

    The losses are computed on the generator's output, around [0, 1] and not clamped; the metrics on
    the rounded image without a border of `scale` pixels. All networks are on one device and
    in evaluation mode. Raises NonFiniteError for an output with NaN or infinity.
    """
    distances = {} if lpips is None else {"lpips": lpips.of_images}
    for pair in pairs:
        lr, hr = pair.read(scale)
        output = super_resolved(generator, lr, precision)
        sr = image_from_tensor(output, like=hr)
        score = scoring.compare(pair.name, sr, hr, crop=scale, distances=distances)
        with torch.inference_mode():
            target = tensor_from_image(hr, output.device).expand_as(output)
            pixels = content_loss(output, target, content.loss_f).item()
            features_loss = None
            if perceptual is not None:
                network, options = perceptual
                with autocast(output.device, precision):
                    # By `forward`: calling a compiled network would compile it for every size.
                    sr_features, hr_features = network.forward(output), network.forward(target)
                features_loss = perceptual_loss(sr_features, hr_features, options).item()
        yield Result(**asdict(score), content=pixels, perceptual=features_loss), lr, sr, hr


def mean(results: Sequence[Result]) -> dict[str, float]:
    """The mean of each field of `Result`, without fields that some image lacks."""
    names = [field.name for field in fields(Result) if field.name != "name"]
    columns = {name: [getattr(result, name) for result in results] for name in names}
    return {name: fmean(column) for name, column in columns.items() if None not in column}

"""Validation during training: whole images, distributed over the processes."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from sr_runtime.errors import SRError
from sr_train.config.schema import Config, Stage
from sr_train.data.stage_data import validation_pairs
from sr_train.distributed import Processes
from sr_train.evaluate import Result, mean, validate
from sr_train.lpips import load_lpips
from sr_train.models.generator import Generator
from sr_train.plots import comparison
from sr_train.precision import compute_dtype
from sr_train.pretrained import load_features
from sr_train.stages import GanStage
from sr_train.trainable import to_device

__all__ = ["Validator"]

T = TypeVar("T")


class Validator:
    """Measures a run on whole images, with the perceptual loss's features and LPIPS.

    A run with a GAN stage needs the weights of both and raises SRError, saying where to get them;
    without them a run of the PSNR stage alone leaves their columns empty.
    """

    def __init__(self, config: Config, processes: Processes) -> None:
        self.config = config
        self.processes = processes
        self.missing: list[str] = []
        """What is not measured and why, one sentence each."""
        root = Path(config.data_root)
        features = self._loaded(lambda: load_features(config.perceptual_loss, root))
        lpips = self._loaded(lambda: load_lpips(config.validation, root))
        self.features = features and to_device(features, config, processes)
        self.lpips = lpips and to_device(lpips, config, processes)

    def measure(
        self, generator: Generator, stage: Stage
    ) -> tuple[dict[str, float], list[tuple[str, NDArray[np.uint8]]]]:
        """Means over the stage's validation images, and samples LR | bicubic | SR | HR by name."""
        config, processes = self.config, self.processes
        share = validation_pairs(config, stage)[processes.rank :: processes.world_size]
        perceptual = (self.features, config.perceptual_loss) if self.features else None
        # Searching for the fastest convolution pays for crops, which all have one size.
        searches, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, False
        results: list[Result] = []
        pictures: list[tuple[str, NDArray[np.uint8]]] = []
        for result, lr, sr, hr in validate(
            generator,
            share,
            scale=config.scale_factor,
            device=processes.device,
            content=config.content_loss,
            perceptual=perceptual,
            lpips=self.lpips,
            precision=compute_dtype(config.precision, processes.device),
            channels_last=config.channels_last,
        ):
            results.append(result)
            if len(pictures) < config.validation.samples:
                pictures.append((result.name, comparison(lr, {"SR": sr}, hr, config.scale_factor)))
        torch.backends.cudnn.benchmark = searches
        means = mean(processes.all_gather(results))
        return {f"val_{name}": value for name, value in means.items()}, pictures

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

"""What a run writes at the end of each stage, and at the end of the run."""

import shutil
from pathlib import Path

import PIL.Image

from sr_runtime.storage.atomic import atomic_path
from sr_train.checkpoint import load_generator, save_generator
from sr_train.config.schema import Config
from sr_train.data.stage_data import validation_pairs
from sr_train.distributed import Processes
from sr_train.inference import upscale_torch
from sr_train.interpolate import interpolate
from sr_train.plots import comparison, draw_curves, stacked
from sr_train.precision import compute_dtype
from sr_train.run_folder import WEIGHTS, weights_path
from sr_train.stages import GanStage, PsnrStage
from sr_train.trainable import to_device

__all__ = ["write_results", "write_stage_result"]


def write_stage_result(stage: PsnrStage | GanStage, folder: Path) -> Path:
    """Write weights/psnr, the best generator of the PSNR stage, or weights/esrgan, the last one.

    Returns the file.
    """
    target = weights_path(folder, WEIGHTS[stage.name])
    if stage.name == PsnrStage.name:
        with atomic_path(target) as temporary:
            shutil.copyfile(weights_path(folder, "best"), temporary)
    else:
        save_generator(stage.generator.averaged, target)
    return target


def write_results(config: Config, folder: Path, processes: Processes) -> None:
    """Write comparison.png and curves.png, and after both stages weights/interpolated.

    The comparison shows the validation samples of the last stage: LR, bicubic, each generator's SR,
    HR.
    """
    names = [WEIGHTS[stage] for stage in config.stage_names]
    generators = {name: load_generator(weights_path(folder, name)) for name in names}
    if len(generators) == 2:
        mixed = interpolate(generators["psnr"], generators["esrgan"], config.interpolation_alpha)
        generators["interpolated"] = mixed
        save_generator(mixed, weights_path(folder, "interpolated"))
    precision = compute_dtype(config.precision, processes.device)
    networks = {name: to_device(each, config, processes) for name, each in generators.items()}
    pairs, rows = validation_pairs(config, config.stage_names[-1]), []
    for pair in pairs[: max(1, config.validation.samples)]:
        lr, hr = pair.read(config.scale_factor)
        srs = {name: upscale_torch(network, lr, precision) for name, network in networks.items()}
        rows.append(comparison(lr, srs, hr, config.scale_factor))
    with atomic_path(folder / "comparison.png") as temporary:
        PIL.Image.fromarray(stacked(rows)).save(temporary)
    draw_curves(folder)

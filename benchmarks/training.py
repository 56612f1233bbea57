"""Training steps per second of both stages, against a plain loop with the same networks.

    python -m benchmarks.training [-o results.json] [--rounds 3]

The networks are those of the default configuration, with fresh weights, on the GPU where there is
one. The contenders run in turn, round after round: a machine's speed drifts, and a ratio within one
round does not.
"""

import argparse
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from torch import Tensor, nn

from benchmarks.data import DATA
from benchmarks.machine import processor
from benchmarks.peers import Step, plain_gan, plain_pretraining
from sr_runtime.atomic import atomic_path
from sr_runtime.console import exit_code
from sr_runtime.errors import ArgumentError
from sr_runtime.resize import downscale
from sr_train.config import Config, Stage
from sr_train.distributed import Processes
from sr_train.memory import peak_memory
from sr_train.models import RRDBNet
from sr_train.models.features import FeatureNetwork, build_features
from sr_train.precision import resolved
from sr_train.stages import GanStage, PretrainStage

__all__ = ["measure"]

STAGES: tuple[Stage, ...] = ("pretraining", "training")

PLAIN = "plain eager loop, fp32"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; 0, or 2 after an error."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, help="also write the results here")
    parser.add_argument("--rounds", type=int, default=3, help="after one to warm up (%(default)s)")
    arguments = parser.parse_args(argv)
    return exit_code(lambda: _run(arguments.rounds, arguments.output))


def _run(rounds: int, output: Path | None) -> int:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    results = measure(device, rounds)
    print(_table(results))
    if output is not None:
        with atomic_path(output) as path:
            path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0


def measure(device: torch.device, rounds: int) -> dict[str, Any]:
    """Seconds of every step by stage and contender, with what they were measured on."""
    config = Config()
    lr, hr = _crops(config, device)
    memory = {stage: _in_a_new_process(_peak_memory, stage, device) for stage in STAGES}
    stages: dict[str, dict[str, list[float]]] = {}
    for stage, contenders in _contenders(config, device).items():
        losses = {name: step(lr, hr).tolist() for name, step in contenders.items()}
        # All begin with the same weights; bf16 has 8 bits of mantissa.
        if not all(np.allclose(found, losses[PLAIN], rtol=0.05) for found in losses.values()):
            raise ArgumentError(f"{stage}: the contenders compute different losses: {losses}")
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(rounds):
            for name, step in contenders.items():
                seconds[name].append(_seconds(step, lr, hr, device))
        stages[stage] = seconds
    return {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "crops": list(hr.shape),
        "blocks": config.generator.num_basic_blocks,
        "peak_memory_gb": memory,
        "seconds": stages,
    }


def _contenders(config: Config, device: torch.device) -> Mapping[str, Mapping[str, Step]]:
    """Steps of each stage by name; every one has networks of its own, with the same weights."""
    ours = f"sr_train, {resolved('auto', device)}, channels-last"
    variants = {ours: config}
    if device.type == "cuda":
        variants[f"{ours}, compiled"] = replace(config, compile=True)

    return {
        "pretraining": {
            PLAIN: plain_pretraining(config, _generator(), device),
            **{name: _our_step("pretraining", c, device) for name, c in variants.items()},
        },
        "training": {
            PLAIN: plain_gan(config, _generator(), _features(config), device),
            **{name: _our_step("training", c, device) for name, c in variants.items()},
        },
    }


def _our_step(name: Stage, config: Config, device: torch.device) -> Step:
    processes = Processes(0, 1, device)
    stage: PretrainStage | GanStage
    losses = ["content"]
    if name == "pretraining":
        stage = PretrainStage(config, _generator(), processes)
    else:
        stage = GanStage(config, _generator(), _features(config), processes)
        losses += ["perceptual", "g_adversarial", "d_adversarial"]

    def step(lr: Tensor, hr: Tensor) -> Tensor:
        values = stage.step(lr, hr, 0)
        return torch.stack([values[name] for name in losses])

    return step


def _in_a_new_process(function: Callable[..., float], *arguments: object) -> float:
    """The result of a function whose memory is to be counted alone."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def _peak_memory(name: Stage, device: torch.device) -> float:
    """GB that two steps of a stage take, at the defaults."""
    step = _our_step(name, Config(), device)
    for _ in range(2):
        step(*_crops(Config(), device))
    return round(peak_memory(device) / 1e9, 2)


def _generator() -> RRDBNet:
    torch.manual_seed(0)
    return RRDBNet()


def _features(config: Config) -> FeatureNetwork:
    """The default perceptual loss's network, with weights that keep the size of its signals."""
    torch.manual_seed(0)
    options = config.perceptual_loss
    network = build_features(options.vgg_type, options.layer_weights)
    for module in network:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    return network


def _crops(config: Config, device: torch.device) -> tuple[Tensor, Tensor]:
    """A mini-batch of a real photo's crops, LR and HR, uint8 `(N, C, H, W)`."""
    path = DATA / "photos" / "coffee.png"
    if not path.exists():
        raise ArgumentError(f"{path} is not there: set SR_DATA to the folder of real images")
    with PIL.Image.open(path) as file:
        photo = np.asarray(file.convert("RGB"))
    assert config.pretraining.cr_patch_size is not None
    height, width = config.pretraining.cr_patch_size
    random = np.random.default_rng(0)
    tops = random.integers(photo.shape[0] - height, size=config.batch_size)
    lefts = random.integers(photo.shape[1] - width, size=config.batch_size)
    hr = [photo[y : y + height, x : x + width] for y, x in zip(tops, lefts, strict=True)]
    lr = [downscale(crop, config.scale_factor) for crop in hr]
    tensors = _tensor(lr), _tensor(hr)
    if device.type == "cuda":
        return tensors[0].pin_memory(), tensors[1].pin_memory()
    return tensors


def _tensor(images: list[np.ndarray[Any, Any]]) -> Tensor:
    return torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2).copy())


def _seconds(step: Step, lr: Tensor, hr: Tensor, device: torch.device) -> float:
    # A GPU runs behind: one step alone would tell how fast it is launched.
    count = 20 if device.type == "cuda" else 1
    start = time.perf_counter()
    for _ in range(count):
        step(lr, hr)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / count


def _table(results: Mapping[str, Any]) -> str:
    count, _, height, width = results["crops"]
    lines = [
        f"{results['device']}, {results['threads']} threads, PyTorch {results['torch']}; "
        f"{results['blocks']} blocks, {count} crops of {height}×{width}; "
        + ", ".join(f"{stage} takes {gb} GB" for stage, gb in results["peak_memory_gb"].items()),
    ]
    for stage, contenders in results["seconds"].items():
        lines += ["", f"| {stage} | median s a step | steps/s | against the plain loop |"]
        lines += ["|---|--:|--:|--:|"]
        plain = contenders[PLAIN]
        for name, seconds in contenders.items():
            ratio = statistics.median(a / b for a, b in zip(plain, seconds, strict=True))
            median = statistics.median(seconds)
            lines.append(f"| {name} | {median:.3f} | {1 / median:.3f} | {ratio:.2f}× |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

"""Training steps per second of both stages, against a plain loop with the same networks.

The networks are those of the default configuration, with fresh weights, on the GPU if there is one.
The contenders run in turn, round after round: a machine's speed drifts, and a ratio within one
round does not.
"""

import math
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.arguments import count
from benchmarks.data import photo
from benchmarks.json_file import write_json
from benchmarks.machine import processor
from benchmarks.plain_torch import Step, plain_gan, plain_pretraining
from sr_runtime.cli.console import run_cli
from sr_runtime.cli.parser import Parser, path
from sr_runtime.errors import ArgumentError
from sr_runtime.resize import downscale
from sr_runtime.storage.atomic import check_target
from sr_train.config.schema import Config, Stage
from sr_train.distributed import Processes
from sr_train.memory import peak_memory
from sr_train.models.features import FeatureNetwork, build_features
from sr_train.models.rrdbnet import RRDBNet
from sr_train.precision import resolve_precision
from sr_train.stages import GanStage, PsnrStage

__all__ = ["PLAIN", "main", "measure", "parser", "table"]

STAGES: tuple[Stage, ...] = ("pretraining", "training")

PLAIN = "plain eager loop, fp32"
PLAIN_TF32 = "plain eager loop, TF32 convolutions (PyTorch's default)"

DEFAULTS = Config()


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return 0, or 2 after an error."""
    return run_cli(lambda words: _run(**vars(parser().parse_args(words))), argv)


def parser() -> Parser:
    """The command line."""
    made = Parser(
        prog="python -m benchmarks.training",
        description=__doc__,
        examples={"": "", "--rounds 1 -o training.json": ""},
    )
    made.add_argument(
        "-o", "--output", type=path, metavar="JSON",
        help="write the results here too (default: print them only)",
    )  # fmt: skip
    made.add_argument(
        "--rounds", type=count, default=3, metavar="N",
        help="how many rounds, after one to warm up (default: %(default)s)",
    )  # fmt: skip
    return made


def _run(rounds: int, output: Path | None) -> int:
    if output is not None:
        check_target(output)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    results = measure(device, rounds)
    print(table(results))
    if output is not None:
        write_json(output, results)
    return 0


def measure(
    device: torch.device,
    rounds: int,
    *,
    config: Config = DEFAULTS,
    stages: Sequence[Stage] = STAGES,
    compiled: bool = True,
    memory: bool = True,
    deadline: float = math.inf,
) -> dict[str, Any]:
    """Seconds of every step by stage and contender, and the environment.

    Args:
        compiled: On a GPU, also measure compiled networks; compiling takes minutes.
        memory: Measure the peak memory too, in a process of its own.
        deadline: `time.monotonic` after which no further round begins.
    """
    lr, hr = _crops(config, device)
    found: dict[str, dict[str, list[float]]] = {}
    for stage in stages:
        contenders = _contenders(stage, config, device, compiled)
        losses = {name: step(lr, hr).tolist() for name, step in contenders.items()}
        # All start with the same weights; bf16 has 8 significant bits.
        if not all(np.allclose(one, losses[PLAIN], rtol=0.05) for one in losses.values()):
            raise ArgumentError(f"{stage}: the contenders compute different losses: {losses}")
        if device.type == "cuda":
            for step in contenders.values():
                step(lr, hr)  # now that gradients exist, torch may compile once more
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        for number in range(rounds):
            if number and time.monotonic() > deadline:
                break
            for name, step in contenders.items():
                seconds[name].append(_seconds(step, lr, hr, device))
        found[stage] = seconds
    results = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "crops": list(hr.shape),
        "blocks": config.generator.num_basic_blocks,
        "seconds": found,
    }
    if memory:
        results["peak_memory_gb"] = {
            stage: _in_a_new_process(_peak_memory, stage, config, device) for stage in stages
        }
    return results


def _contenders(
    stage: Stage, config: Config, device: torch.device, compiled: bool
) -> Mapping[str, Step]:
    """Steps of a stage by contender; each has its own networks, with the same weights."""

    def plain() -> Step:
        if stage == "pretraining":
            return plain_pretraining(config, _generator(config), device)
        return plain_gan(config, _generator(config), _features(config), device)

    ours = f"sr_train, {resolve_precision('auto', device)}, channels-last"
    if device.type == "cpu":
        return {PLAIN: plain(), ours: _our_step(stage, config, device)}
    contenders = {
        PLAIN: _with_switches(plain(), tf32=False, search=False),
        PLAIN_TF32: _with_switches(plain(), tf32=True, search=False),
        # As `sr_train fit` sets them.
        ours: _with_switches(_our_step(stage, config, device), tf32=False, search=True),
    }
    if compiled:
        step = _our_step(stage, replace(config, compile=True), device)
        contenders[f"{ours}, compiled"] = _with_switches(step, tf32=False, search=True)
    return contenders


def _with_switches(step: Step, *, tf32: bool, search: bool) -> Step:
    """The step with its contender's cuDNN switches, which are global."""

    def switched(lr: Tensor, hr: Tensor) -> Tensor:
        torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = tf32, search
        return step(lr, hr)

    return switched


def _our_step(name: Stage, config: Config, device: torch.device) -> Step:
    processes = Processes(0, 1, device)
    stage: PsnrStage | GanStage
    losses = ["content"]
    if name == "pretraining":
        stage = PsnrStage(config, _generator(config), processes, total_steps=1)
    else:
        features = _features(config)
        stage = GanStage(config, _generator(config), features, processes, total_steps=1)
        losses += ["perceptual", "g_adversarial", "d_adversarial"]

    def step(lr: Tensor, hr: Tensor) -> Tensor:
        values = stage.step(lr, hr, 0)
        return torch.stack([values[name] for name in losses])

    return step


def _in_a_new_process(function: Callable[..., float], *arguments: object) -> float:
    """Run a function whose memory must be counted by itself."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def _peak_memory(name: Stage, config: Config, device: torch.device) -> float:
    """Peak GB of two steps of a stage."""
    step = _our_step(name, config, device)
    for _ in range(2):
        step(*_crops(config, device))
    return round(peak_memory(device) / 1e9, 2)


def _generator(config: Config) -> RRDBNet:
    torch.manual_seed(0)
    return RRDBNet(num_basic_blocks=config.generator.num_basic_blocks)


def _features(config: Config) -> FeatureNetwork:
    """The default perceptual loss's network, with weights that keep the scale of its signals."""
    torch.manual_seed(0)
    options = config.perceptual_loss
    network = build_features(options.vgg_type, options.layer_weights)
    for module in network:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    return network


def _crops(config: Config, device: torch.device) -> tuple[Tensor, Tensor]:
    """A mini-batch of crops from a real photo, LR and HR, uint8 `(N, C, H, W)`."""
    image = photo()
    assert config.pretraining.cr_patch_size is not None
    height, width = config.pretraining.cr_patch_size
    random = np.random.default_rng(0)
    tops = random.integers(image.shape[0] - height, size=config.batch_size)
    lefts = random.integers(image.shape[1] - width, size=config.batch_size)
    hr = [image[y : y + height, x : x + width] for y, x in zip(tops, lefts, strict=True)]
    lr = [downscale(crop, config.scale_factor) for crop in hr]
    tensors = _tensor(lr), _tensor(hr)
    if device.type == "cuda":
        return tensors[0].pin_memory(), tensors[1].pin_memory()
    return tensors


def _tensor(images: list[np.ndarray[Any, Any]]) -> Tensor:
    return torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2).copy())


def _seconds(step: Step, lr: Tensor, hr: Tensor, device: torch.device) -> float:
    # A GPU runs asynchronously: timing one step would time its launch.
    count = 20 if device.type == "cuda" else 1
    start = time.perf_counter()
    for _ in range(count):
        step(lr, hr)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / count


def table(results: Mapping[str, Any]) -> str:
    """Markdown: environment, then a table for each stage."""
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

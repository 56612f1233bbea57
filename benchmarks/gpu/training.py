"""Training steps per second of both stages: eager fp32, bf16, and compiled."""

import statistics
from dataclasses import replace
from functools import partial
from typing import Any

from benchmarks.gpu.run import Found, Run
from benchmarks.training import PLAIN, measure
from sr_train.config.schema import Config, Stage

__all__ = ["training_steps"]

# The least seconds left for which compiling a stage's networks is worth trying.
COMPILE_SECONDS = 60


def training_steps(run: Run, stage: Stage) -> Found:
    """Time steps of one stage with `sr_train fit`'s defaults; with smaller networks on a CPU."""
    config, on_cpu = Config(), run.device.type == "cpu"
    if on_cpu:
        config = replace(
            config,
            batch_size=1,
            generator=replace(config.generator, num_basic_blocks=1),
            # One that takes crops of any size.
            discriminator=replace(config.discriminator, type="unet", unet_channels=16),
            perceptual_loss=replace(config.perceptual_loss, layer_weights={"conv1_2": 1.0}),
            pretraining=replace(config.pretraining, cr_patch_size=(32, 32)),
        )
    steps = partial(measure, run.device, run.sizes.rounds, config=config, stages=[stage])
    compiled = not on_cpu and run.left() >= COMPILE_SECONDS
    half = run.deadline - run.left() / 2 if compiled else run.deadline
    found = steps(compiled=False, memory=not on_cpu, deadline=half)
    yield from _rows(found["seconds"][stage])
    for gigabytes in found.get("peak_memory_gb", {}).values():
        yield "peak_memory_in_GB", gigabytes
    if compiled:  # last, because it may take more time than there is
        found = steps(compiled=True, memory=False, deadline=run.deadline)
        yield from _rows(found["seconds"][stage])
    else:
        reason = "compiling takes minutes, which are kept for GPUs and for more --minutes"
        run.leave_out("compiled", reason)


def _rows(seconds: dict[str, list[float]]) -> Found:
    for name, times in seconds.items():
        # Contenders are compared within a round, because a machine's speed drifts between rounds.
        ratios = [plain / ours for plain, ours in zip(seconds[PLAIN], times, strict=True)]
        row: dict[str, Any] = {"steps_per_second": 1 / statistics.median(times), "seconds": times}
        yield name, {**row, "times_eager_fp32": statistics.median(ratios)}

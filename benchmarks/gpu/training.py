"""Training steps per second of both stages: eager fp32, bf16, and compiled."""

from dataclasses import replace
from functools import partial

from benchmarks.gpu.run import Found, Run
from benchmarks.training import measure
from sr_train.config.schema import Config, Stage

__all__ = ["training_steps"]

# The least seconds left for which compiling a stage's networks is worth trying.
COMPILE_SECONDS = 60


def training_steps(run: Run, stage: Stage) -> Found:
    """Time steps of one stage with `sr_train fit`'s defaults; with smaller ones on a CPU."""
    config = Config()
    if run.device.type == "cpu":
        config = replace(
            config,
            batch_size=1,
            generator=replace(config.generator, num_basic_blocks=1),
            # One that takes crops of any size.
            discriminator=replace(config.discriminator, type="unet", unet_channels=16),
            pretraining=replace(config.pretraining, cr_patch_size=(32, 32)),
        )
    steps = partial(measure, run.device, run.sizes.rounds, config=config, stages=[stage])
    compiled = run.device.type == "cuda" and run.left() >= COMPILE_SECONDS
    half = run.deadline - run.left() / 2 if compiled else run.deadline
    yield from steps(compiled=False, deadline=half).items()
    if compiled:  # last, because it may take more time than there is
        yield from steps(compiled=True, deadline=run.deadline, memory=False).items()
    else:
        reason = "compiling takes minutes, which are kept for GPUs and for more --minutes"
        run.leave_out(f"{stage}, compiled", reason)

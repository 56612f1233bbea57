"""Training steps per second of both stages: eager fp32, bf16, and compiled."""

from dataclasses import replace
from functools import partial
from typing import Any

from benchmarks.gpu.run import Run
from benchmarks.training import measure
from sr_train.config.schema import Config, Stage

__all__ = ["training_steps"]

ROUNDS = 5
# The least seconds left for which compiling a stage's networks is worth trying.
COMPILE_SECONDS = 60


def training_steps(run: Run, stage: Stage) -> dict[str, Any]:
    """Time steps of one stage with `sr_train fit`'s defaults; with smaller networks on a CPU."""
    config = Config()
    if run.device.type == "cpu":
        generator = replace(config.generator, num_basic_blocks=1)
        config = replace(config, generator=generator, batch_size=1)
    name = f"{stage}, compiled"
    compiled = run.device.type == "cuda" and run.left() >= COMPILE_SECONDS
    if not compiled:
        reason = "compiling takes minutes, which are kept for GPUs and for more --minutes"
        run.leave_out(name, reason)
    steps = partial(measure, run.device, ROUNDS, config=config, stages=[stage])
    found: dict[str, Any] = {}
    if not compiled or not run.attempt(
        name, lambda: found.update(steps(compiled=True, deadline=run.deadline))
    ):
        found = steps(compiled=False, deadline=run.deadline)
    rounds = min(map(len, found["seconds"][stage].values()))
    if rounds < ROUNDS:
        reason = f"the time was enough for {rounds} of {ROUNDS} rounds: give more --minutes"
        run.leave_out(f"{stage}, the other rounds", reason)
    return found

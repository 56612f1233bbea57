"""The cluster: connecting to it, and how many workers of which kind it holds."""

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sr_runtime.cli.console import say
from sr_runtime.errors import ArgumentError, BackendError, OutOfMemoryError, require_extra

with require_extra("ray"):
    import ray
    import ray.data
    import ray.exceptions

__all__ = ["Workers", "answer", "connected", "lost", "workers_for"]

RETRIES = 2
"""How often a worker that was lost is given the same work again."""
PATIENCE = 600
"""Seconds that machines may take to start."""


@dataclass(frozen=True)
class Workers:
    """How many processes hold the model, and how many GPUs each of them has."""

    count: int
    gpus: float

    @contextmanager
    def actors(self, kind: type[Any], *arguments: Any) -> Iterator[list[Any]]:
        """As many actors, spread over the machines, since an engine uses all cores of its own."""
        remote = ray.remote(kind).options(
            num_gpus=self.gpus,
            max_restarts=-1,
            max_task_retries=RETRIES,
            scheduling_strategy="SPREAD",
        )
        made = [remote.remote(*arguments) for _ in range(self.count)]
        try:
            yield made
        finally:
            for actor in made:
                ray.kill(actor)


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Connect to a cluster, or start one on this machine for "local"; an open connection is used.

    Raises BackendError if there is no cluster.
    """
    if ray.is_initialized():
        yield
        return
    # By default Ray prints pages of its own state, and reports to its makers how it is used.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    options = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address == "local":
        options["include_dashboard"] = False
    try:
        ray.init(address=address, **options)
    except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        reason = " ".join(str(error).split()).partition(". ")[0]
        raise BackendError(
            f"no Ray cluster answers at {address} ({reason}): start one by `ray start --head`, or "
            "use --address local"
        ) from error
    try:
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        yield
    finally:
        ray.shutdown()


def workers_for(gpus: float | None, count: int | None, *, wait: bool) -> Workers:
    """The workers that a command line asks for, or one for each GPU, or for each machine.

    Args:
        wait: Whether there may be machines that are still starting, which are waited for if `count`
            is given.

    Raises ArgumentError if the cluster holds less.
    """
    if gpus is not None and gpus < 0:
        raise ArgumentError(f"--num-gpus {gpus:g} is negative: give 0 for none")
    for second in range(PATIENCE):
        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        each = gpus
        if each is None:
            each = 1 if any(machine.get("GPU") for machine in machines) else 0
        held = [
            min(machine.get("CPU", 0), machine["GPU"] / each if each else 1e9)
            for machine in machines
            if not each or "GPU" in machine
        ]
        most = sum(map(int, held))
        usual = most if each else sum(n >= 1 for n in held)
        wanted = max(usual, 1) if count is None else count
        if 1 <= wanted <= most:
            return Workers(wanted, each)
        if not wait or count is None or count < 1:
            break
        if second == 0:
            say(
                f"waiting for machines: there is room for {most} of {count} workers",
                file=sys.stderr,
            )
        time.sleep(1)
    raise ArgumentError(
        f"the cluster has room for {most} workers, each with a CPU core and {each:g} GPUs, and not "
        f"for {wanted}: change --concurrency or --num-gpus, or add machines"
    )


def answer(reference: Any) -> Any:
    """What an actor returns. Raises its error, or OutOfMemoryError if it was lost."""
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayActorError as error:
        raise OutOfMemoryError(lost(RETRIES + 1)) from error


def lost(times: int) -> str:
    """What is wrong with work whose process ended each time."""
    return (
        f"its process was killed {times} times, as a system does that has no memory left: use "
        "machines with more, or a smaller --tile"
    )

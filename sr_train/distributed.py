"""The processes of one training: a single one, or those that torchrun starts, one a GPU."""

import contextlib
import gc
import inspect
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sr_runtime.errors import ArgumentError, BackendError

__all__ = ["Processes", "init_distributed"]

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """This process among its peers, which all run the same steps on shares of each mini-batch."""

    rank: int
    world_size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this is the one that writes files and speaks."""
        return self.rank == 0

    def parallel(self, network: nn.Module) -> nn.Module:
        """`network` with its gradients averaged over all processes.

        On GPUs its batch normalisation, replaced in place, is over all of them, too.
        """
        if self.world_size == 1:
            return network
        if self.device.type == "cuda":
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        # A discriminator sees two batches before it learns, and its buffers may not be overwritten
        # in between. PyTorch 2.13 renamed the option.
        known = inspect.signature(DistributedDataParallel).parameters
        name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
        options: dict[str, Any] = {name: False}
        return DistributedDataParallel(network, **options)

    def mean(self, values: Tensor) -> Tensor:
        """The mean over the shares of all processes, with gradients to each of them."""
        if self.world_size == 1:
            return values.mean()
        total: Tensor = _Sum.apply(values.mean())  # type: ignore[no-untyped-call]
        return total / self.world_size

    def all_gather(self, items: Sequence[T]) -> list[T]:
        """The items of all processes, those of the first before those of the second."""
        if self.world_size == 1:
            return list(items)
        shares: list[list[T]] = [[] for _ in range(self.world_size)]
        dist.all_gather_object(shares, list(items))
        return [item for share in shares for item in share]

    def all_reduce_mean(self, values: dict[str, float]) -> dict[str, float]:
        """The mean over all processes of values that each has under the same names."""
        if self.world_size == 1 or not values:
            return values
        means = torch.tensor(list(values.values()), dtype=torch.float64)
        dist.all_reduce(means)
        return dict(zip(values, (means / self.world_size).tolist(), strict=True))

    def barrier(self) -> None:
        """Until all processes are here."""
        if self.world_size > 1:
            dist.barrier()

    def any(self, flag: bool) -> bool:
        """Whether `flag` is set in one of the processes."""
        if self.world_size == 1:
            return flag
        raised = torch.tensor(float(flag))
        dist.all_reduce(raised)
        return bool(raised > 0)


@contextlib.contextmanager
def init_distributed(device: str) -> Iterator[Processes]:
    """Join the processes that torchrun has started; without it, be the only one.

    `device` is auto, cpu, cuda or cuda:N. Raises BackendError for a GPU that is not there.
    """
    rank, world_size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    chosen = _device(device, alone=world_size == 1)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
        # What is called fp32 is fp32.
        torch.backends.cudnn.allow_tf32 = False
    if world_size == 1:
        yield Processes(0, 1, chosen)
        return
    # Flags and results are on the CPU: they travel by gloo, also beside NCCL.
    dist.init_process_group("cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Processes(rank, world_size, chosen)
    finally:
        # What was parallel holds the group, some of it in reference cycles; one that lives until
        # the interpreter ends may abort it (https://github.com/pytorch/pytorch/issues/190489).
        gc.collect()
        dist.destroy_process_group()


class _Sum(torch.autograd.Function):
    """The sum over all processes; what each does with it counts for the values of all."""

    @staticmethod
    def forward(ctx: object, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return _Sum.forward(ctx, gradient)


def _device(name: str, *, alone: bool) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ArgumentError(f"device is {name!r}: take auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise ArgumentError(f"device is {name!r}: take auto, cpu, cuda or cuda:N")
    if device.type == "cpu":
        return device
    if not torch.cuda.is_available():
        raise BackendError(
            f"device {name} was asked for and PyTorch {torch.__version__} finds no CUDA GPU: "
            "install its CUDA build and a driver, or take --device cpu"
        )
    stated: int | None = device.index  # PyTorch's annotation says it is always stated
    if stated is not None and not alone:
        raise ArgumentError(
            f"device is {name}, but torchrun gives every process a GPU of its own: take cuda"
        )
    index = int(os.environ.get("LOCAL_RANK", 0)) if stated is None else stated
    if index >= torch.cuda.device_count():
        raise BackendError(f"device cuda:{index} is not there: {torch.cuda.device_count()} are")
    return torch.device("cuda", index)

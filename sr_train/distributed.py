"""The processes of a training run: a single one, or those that torchrun starts, one per GPU."""

import contextlib
import gc
import inspect
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sr_runtime.errors import ArgumentError, BackendError

__all__ = ["Processes", "init_distributed"]

T = TypeVar("T")

LOST_PEER = re.compile(r"gloo|NCCL|client socket|TCPStore|wait timeout")
"""What PyTorch says when a process waits for one that is gone."""

FOREIGN_VARIABLES = (
    "RANK or WORLD_SIZE is set, but not as torchrun sets both, with MASTER_ADDR and MASTER_PORT: "
    "unset them, or start the run with torchrun"
)


@dataclass(frozen=True)
class Processes:
    """This process and its peers, which run the same steps on equal shares of each mini-batch."""

    rank: int
    world_size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes files and prints."""
        return self.rank == 0

    def parallel(self, network: nn.Module) -> nn.Module:
        """`network` with its gradients averaged over all processes.

        On GPUs its batch normalisation is replaced in place by one over all processes.
        """
        if self.world_size == 1:
            return network
        if self.device.type == "cuda":
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        # A discriminator runs two forward passes before its backward pass; its buffers must not
        # be overwritten in between. PyTorch 2.13 renamed the option.
        known = inspect.signature(DistributedDataParallel).parameters
        name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
        options: dict[str, Any] = {name: False}
        return DistributedDataParallel(network, **options)

    def mean(self, values: Tensor) -> Tensor:
        """The mean over all processes, differentiable in each of them."""
        if self.world_size == 1:
            return values.mean()
        total: Tensor = _AllReduceSum.apply(values.mean())  # type: ignore[no-untyped-call]
        return total / self.world_size

    def all_gather(self, items: Sequence[T]) -> list[T]:
        """The items of all processes, in the order of their ranks."""
        if self.world_size == 1:
            return list(items)
        shares: list[list[T]] = [[] for _ in range(self.world_size)]
        dist.all_gather_object(shares, list(items))
        return [item for share in shares for item in share]

    def all_reduce_mean(self, values: dict[str, float]) -> dict[str, float]:
        """Means over all processes, which must all have the same names."""
        shares = self.all_gather([values])
        return {name: fmean(share[name] for share in shares) for name in values}

    def barrier(self) -> None:
        """Wait until all processes are here."""
        if self.world_size > 1:
            dist.barrier()

    def any(self, flag: bool) -> bool:
        """Whether `flag` is set in at least one process."""
        if self.world_size == 1:
            return flag
        raised = torch.tensor(float(flag))
        dist.all_reduce(raised)
        return bool(raised > 0)


@contextlib.contextmanager
def init_distributed(device: str) -> Iterator[Processes]:
    """Join the processes that torchrun started; without torchrun this process is the only one.

    `device` is auto, cpu, cuda or cuda:N.

    Raises:
        ArgumentError: `device` is none of these, or is cuda:N under torchrun; or the variables that
            torchrun sets have other values.
        BackendError: There is no such GPU, or another process ended or cannot be reached.
    """
    try:
        rank, world_size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    except ValueError as error:
        raise ArgumentError(FOREIGN_VARIABLES) from error
    if not 0 <= rank < world_size:
        raise ArgumentError(FOREIGN_VARIABLES)
    chosen = _device(device, alone=world_size == 1)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    tf32 = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False  # fp32 convolutions must be fp32
    try:
        if world_size > 1:
            # Flags and results are CPU tensors, which gloo reduces where NCCL reduces gradients.
            try:
                dist.init_process_group("cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo")
            except ValueError as error:
                raise ArgumentError(FOREIGN_VARIABLES) from error
        yield Processes(rank, world_size, chosen)
    except RuntimeError as error:
        if not LOST_PEER.search(str(error)):
            raise
        reason = str(error).partition("\n")[0]
        raise BackendError(
            f"another process of the run ended or cannot be reached ({reason}): see what it said, "
            "then continue the run with --resume"
        ) from error
    finally:
        torch.backends.cudnn.allow_tf32 = tf32
        if world_size > 1 and dist.is_initialized():
            # Parallel networks hold the group, some in reference cycles; a group that survives
            # until the interpreter exits may abort it
            # (https://github.com/pytorch/pytorch/issues/190489).
            gc.collect()
            dist.destroy_process_group()


class _AllReduceSum(torch.autograd.Function):
    """Differentiable all-reduce: gradients are summed over ranks too."""

    @staticmethod
    def forward(ctx: object, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return _AllReduceSum.forward(ctx, gradient)


def _device(name: str, *, alone: bool) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d{1,3})?", name):
        raise ArgumentError(f"device is {name!r}: use auto, cpu, cuda or cuda:N")
    device = torch.device(name)
    if device.type == "cpu":
        return device
    if not torch.cuda.is_available():
        raise BackendError(
            f"device is {name}, but PyTorch {torch.__version__} finds no CUDA GPU: install its "
            "CUDA build and a driver, or use --device cpu"
        )
    stated: int | None = device.index  # PyTorch's annotation omits None
    if stated is not None and not alone:
        raise ArgumentError(
            f"device is {name}, but torchrun gives every process its own GPU: use cuda"
        )
    index = int(os.environ.get("LOCAL_RANK", 0)) if stated is None else stated
    if index >= torch.cuda.device_count():
        raise BackendError(
            f"device is cuda:{index}, but PyTorch finds {torch.cuda.device_count()} GPU(s), "
            "counted from 0: use one of those"
        )
    return torch.device("cuda", index)

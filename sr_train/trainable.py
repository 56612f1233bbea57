"""A network in training: its device, optimiser, moving average, and parallel processes.

Whether a gradient is finite is decided on the device. Adam does not wait for it; the other
optimisers do.
"""

import copy
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim.swa_utils import AveragedModel

from sr_train.config.schema import Config
from sr_train.distributed import Processes
from sr_train.optimizers import OptimizerName, build_optimizer
from sr_train.precision import autocast, compute_dtype

__all__ = ["Trainable", "to_device"]

Network = TypeVar("Network", bound=nn.Module)
Part = TypeVar("Part")


class Trainable(Generic[Network]):
    """A network with its optimiser and the average of its weights.

    The average is a moving one by `ema_decay`, unless that is 0, or that of schedule-free AdamW.
    """

    def __init__(
        self,
        network: Network,
        config: Config,
        processes: Processes,
        *,
        optimizer: OptimizerName = "adam",
        betas: tuple[float, float],
        ema_decay: float = 0.0,
    ) -> None:
        self.device = processes.device
        self.dtype = compute_dtype(config.precision, self.device)
        self.grad_clip = config.grad_clip
        self.ema_decay = ema_decay
        self.network = to_device(network, config, processes)
        self.averages_itself = optimizer == "schedule_free"
        """Whether the optimiser keeps the average."""
        self.average = None
        if ema_decay and not self.averages_itself:
            self.average = AveragedModel(self.network)
        if config.compile:
            self.network.compile()
        self.parallel = processes.parallel(self.network)
        self.parameters: list[Tensor] = list(self.network.parameters())
        self.optimizer = build_optimizer(optimizer, self.parameters, betas)
        # Without scaled losses fp16 gradients underflow (Micikevicius et al., 2018).
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)
        self.skipped = torch.zeros((), device=self.device)
        """All steps that were skipped."""
        self.skipped_in_a_row = torch.zeros((), device=self.device)
        self.most_skipped_in_a_row = torch.zeros((), device=self.device)

    @property
    def averaged(self) -> Network:
        """The network with its average weights; without an average, the network itself."""
        if self.averages_itself:
            return self._averaged_by_optimizer()
        return self.network if self.average is None else self.average.module  # type: ignore[return-value]

    def autocast(self) -> torch.autocast:
        """A context in which networks compute in the run's precision."""
        return autocast(self.device, self.dtype)

    def accumulate(self, parts: Sequence[Part]) -> Iterator[Part]:
        """Discard the gradient, then yield the parts of a mini-batch, whose gradients add up.

        Processes exchange gradients only in the last part.
        """
        self.optimizer.zero_grad(set_to_none=True)
        *early, last = parts
        if isinstance(self.parallel, DistributedDataParallel):
            with self.parallel.no_sync():
                yield from early
        else:
            yield from early
        yield last

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of `loss`."""
        self.scaler.scale(loss).backward()

    def step(self, lr: float) -> Tensor:
        """Update the weights, or skip a NaN or infinite gradient; return its unclipped norm."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.scaler.unscale_(self.optimizer)
        norm = get_total_norm([p.grad for p in self.parameters if p.grad is not None])
        finite = norm.isfinite()
        if self.grad_clip is not None:
            clip_grads_with_norm_(self.parameters, self.grad_clip, norm)
        self._step_if(finite)
        self.scaler.update()
        self._count(finite)
        self._update_average()
        return norm

    def gradient_norms(self) -> dict[str, float]:
        """Norms of the last gradient by group of layers: `body.0`, `conv_first`, …

        Empty before the network's first step, which for a generator comes after its critic's.
        """
        groups = defaultdict(list)
        for name, parameter in self.network.named_parameters():
            if parameter.grad is not None:
                groups[".".join(name.split(".")[:-1][:2])].append(parameter.grad)
        if not groups:
            return {}
        norms = torch.stack([get_total_norm(gradients) for gradients in groups.values()])
        return dict(zip(groups, norms.tolist(), strict=True))

    def state_dict(self) -> dict[str, Any]:
        """Everything a resumed run needs."""
        return {
            "network": self.network.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "skipped": self.skipped,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state_dict()`, also that of a run without an average or in another precision."""
        self.network.load_state_dict(state["network"])
        if self.average is not None:
            if state["average"] is None:
                self.average.module.load_state_dict(state["network"])
            else:
                self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        self.skipped.copy_(state["skipped"])

    @torch.no_grad()
    def _step_if(self, finite: Tensor) -> None:
        """Step, or leave the weights and the optimiser's whole state as they are."""
        if isinstance(self.optimizer, torch.optim.Adam):
            # GradScaler sets the same attributes. The fused kernel reads them on the device, so the
            # processor need not wait to learn whether the gradient is finite.
            self.optimizer.grad_scale = None  # type: ignore[attr-defined]
            self.optimizer.found_inf = (~finite).float()  # type: ignore[attr-defined]
            self.optimizer.step()
        elif finite:
            gradients = [parameter.grad for parameter in self.parameters]
            for parameter in self.parameters:
                if self.averages_itself and parameter.grad is not None:
                    parameter.grad = parameter.grad.clone()  # schedule-free AdamW overwrites it
            self.optimizer.step()
            for parameter, gradient in zip(self.parameters, gradients, strict=True):
                parameter.grad = gradient

    @torch.no_grad()
    def _averaged_by_optimizer(self) -> Network:
        """A copy of the network with the average weights of schedule-free AdamW."""
        weights = [parameter.clone() for parameter in self.parameters]
        self.optimizer.eval()  # type: ignore[attr-defined]
        averaged = copy.deepcopy(self.network)
        self.optimizer.train()  # type: ignore[attr-defined]
        for parameter, value in zip(self.parameters, weights, strict=True):
            parameter.copy_(value)  # training goes on with the same bits
        return averaged

    def _count(self, finite: Tensor) -> None:
        missed = (~finite).float()
        self.skipped += missed
        self.skipped_in_a_row += missed
        self.skipped_in_a_row *= missed
        torch.maximum(
            self.most_skipped_in_a_row, self.skipped_in_a_row, out=self.most_skipped_in_a_row
        )

    @torch.no_grad()
    def _update_average(self) -> None:
        """EMA with warm-up: decay = min(ema_decay, (1 + n) / (10 + n))."""
        if self.average is None:
            return
        # AveragedModel.update_parameters would copy this count to the GPU and wait for it.
        count = int(self.average.n_averaged)
        decay = min(self.ema_decay, (1 + count) / (10 + count))
        averages: list[Tensor] = list(self.average.parameters())
        torch._foreach_lerp_(averages, self.parameters, 1 - decay)
        self.average.n_averaged += 1


def to_device(network: Network, config: Config, processes: Processes) -> Network:
    """Move `network` to the device, in the run's memory format."""
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    return network.to(processes.device).to(memory_format=layout)  # type: ignore[call-overload,no-any-return]

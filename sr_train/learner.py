"""A network that learns: where it lies, its optimiser, its moving average, its share of the work.

Whether a gradient is finite is decided where it lies, on the device: nothing here waits for a GPU.
"""

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Generic, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim.swa_utils import AveragedModel

from sr_train.config import Config
from sr_train.distributed import Processes
from sr_train.precision import autocast, compute_dtype

__all__ = ["Algorithm", "Learner", "placed"]

Algorithm = Literal["adam", "rmsprop"]

Network = TypeVar("Network", bound=nn.Module)

Tensors = list[Tensor] | tuple[Tensor, ...]

COUNTERS = ("skipped", "skipped_in_a_row", "most_skipped_in_a_row")


class Learner(Generic[Network]):
    """`network` and what changes its weights: Adam, or RMSProp as WGAN needs it.

    `ema_decay` 0 keeps no moving average of the weights.
    """

    def __init__(
        self,
        network: Network,
        config: Config,
        processes: Processes,
        *,
        algorithm: Algorithm = "adam",
        betas: tuple[float, float],
        ema_decay: float = 0.0,
    ) -> None:
        self.device = processes.device
        self.dtype = compute_dtype(config.precision, self.device)
        self.grad_clip = config.grad_clip
        self.network = placed(network, config, processes)
        self.ema_decay = ema_decay
        self.average = AveragedModel(self.network, multi_avg_fn=self._blend) if ema_decay else None
        if config.compile:
            self.network.compile()
        self.parallel = processes.parallel(self.network)
        self.parameters = list(self.network.parameters())
        # The learning rate comes with every step.
        self.fused = algorithm == "adam"
        self.algorithm: torch.optim.Optimizer = (
            torch.optim.Adam(self.parameters, lr=0.0, betas=betas, fused=True)
            if self.fused
            else torch.optim.RMSprop(self.parameters, lr=0.0)
        )
        # fp16 gradients underflow unless losses are scaled (Micikevicius et al., 2018).
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)
        self.skipped = torch.zeros((), device=self.device)
        self.skipped_in_a_row = torch.zeros((), device=self.device)
        self.most_skipped_in_a_row = torch.zeros((), device=self.device)

    @property
    def averaged(self) -> Network:
        """The network with its average weights, where an average is kept."""
        return self.network if self.average is None else self.average.module  # type: ignore[return-value]

    def autocast(self) -> torch.autocast:
        """A context in which networks compute in the precision of the run."""
        return autocast(self.device, self.dtype)

    @contextlib.contextmanager
    def synchronised(self, last: bool) -> Iterator[None]:
        """A context for a part of a mini-batch; gradients travel between processes in the last."""
        if isinstance(self.parallel, DistributedDataParallel) and not last:
            with self.parallel.no_sync():
                yield
        else:
            yield

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of `loss`."""
        self.scaler.scale(loss).backward()

    def step(self, lr: float) -> Tensor:
        """Update the weights unless the gradient holds NaN or infinity; return its norm."""
        for group in self.algorithm.param_groups:
            group["lr"] = lr
        self.scaler.unscale_(self.algorithm)
        norm = get_total_norm(self._gradients())
        finite = norm.isfinite()
        if self.grad_clip is not None:
            clip_grads_with_norm_(self.parameters, self.grad_clip, norm)
        if self.scaler.is_enabled():
            self.scaler.step(self.algorithm)
            self.scaler.update()
        else:
            self._step_if(finite)
        self._count(finite)
        if self.average is not None:
            self.average.update_parameters(self.network)
        return norm

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self.algorithm.zero_grad(set_to_none=True)

    def gradient_norms(self) -> dict[str, Tensor]:
        """Norms of the last gradient by group of layers: `body.0`, `conv_first`, …"""
        groups = defaultdict(list)
        for name, parameter in self.network.named_parameters():
            if parameter.grad is not None:
                groups[".".join(name.split(".")[:-1][:2])].append(parameter.grad)
        return {name: get_total_norm(gradients) for name, gradients in groups.items()}

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs."""
        return {
            "network": self.network.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "algorithm": self.algorithm.state_dict(),
            "scaler": self.scaler.state_dict(),
            **{name: getattr(self, name) for name in COUNTERS},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`."""
        self.network.load_state_dict(state["network"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.algorithm.load_state_dict(state["algorithm"])
        self.scaler.load_state_dict(state["scaler"])
        for name in COUNTERS:
            getattr(self, name).copy_(state[name])

    @torch.no_grad()
    def _blend(self, averages: Tensors, weights: Tensors, _: object) -> None:
        """Move the averages towards the weights, faster at first: initial weights are nothing."""
        assert self.average is not None
        count = int(self.average.n_averaged)  # on the CPU, unlike the argument
        decay = min(self.ema_decay, (1 + count) / (10 + count))
        torch._foreach_lerp_(averages, weights, 1 - decay)

    def _gradients(self) -> list[Tensor]:
        return [p.grad for p in self.parameters if p.grad is not None]

    def _step_if(self, finite: Tensor) -> None:
        if self.fused:
            # The fused kernel then leaves weights, moments and its own count as they are.
            self.algorithm.grad_scale = None  # type: ignore[attr-defined]
            self.algorithm.found_inf = (~finite).float()  # type: ignore[attr-defined]
        else:
            # A gradient of zero moves no weight of an RMSProp without momentum.
            for gradient in self._gradients():
                gradient.copy_(torch.where(finite, gradient, 0))
        self.algorithm.step()

    def _count(self, finite: Tensor) -> None:
        missed = (~finite).float()
        self.skipped += missed
        self.skipped_in_a_row += missed
        self.skipped_in_a_row *= missed
        torch.maximum(
            self.most_skipped_in_a_row, self.skipped_in_a_row, out=self.most_skipped_in_a_row
        )


def placed(network: Network, config: Config, processes: Processes) -> Network:
    """`network` on the device, in the memory format of the run."""
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    return network.to(processes.device).to(memory_format=layout)  # type: ignore[call-overload,no-any-return]

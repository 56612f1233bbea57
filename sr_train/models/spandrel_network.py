"""Networks that the library spandrel knows and this project does not, as generators.

spandrel gets tensors by name, never a file: nothing in a checkpoint is run.
"""

import importlib.util
import math
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from sr_runtime.errors import ModelError, require_extra
from sr_train.models.generator import IMAGE_CHANNELS, Generator
from sr_train.tensor_file import fp32_copies

if TYPE_CHECKING:
    from spandrel import ImageModelDescriptor

__all__ = ["SpandrelNetwork", "import_spandrel", "spandrel_generator"]

# Attributes of a network or its parts that name the side of windows or blocks, into which it cuts
# its input. spandrel states only what it does not pad itself.
WINDOWS = ("window_size", "split_size", "pad_size", "pad", "patch_sizes", "ws")
LARGEST_WINDOW = 64
# Networks that pad their input to multiples of another number, which they do not name.
PADDED = {"RealCUGAN": 4}

# spandrel builds as many layers as the largest number in a name says.
MOST_LAYERS = 1000
# One false shape may make it build matrices of that side. True networks take little more than their
# file has numbers.
MOST_TIMES, FREE = 4, 1 << 28

TORCHVISION = "torchvision.transforms.functional"


class SpandrelNetwork(Generator):
    """A network that spandrel has built, and the facts that spandrel states of it."""

    # Transformers take views of their tensors that only this layout has.
    memory_format = torch.contiguous_format

    def __init__(self, descriptor: "ImageModelDescriptor[nn.Module]") -> None:
        sizes, model = descriptor.size_requirements, descriptor.model
        padded = PADDED.get(descriptor.architecture.id, 1)
        multiple = math.lcm(sizes.multiple_of, padded, _window(model))
        super().__init__(
            scale_factor=descriptor.scale,
            in_channels=descriptor.input_channels,
            out_channels=descriptor.output_channels,
            multiple_of=multiple,
            min_side=-(-max(sizes.minimum, 1) // multiple) * multiple,
            receptive_radius=None,
            supports_half=descriptor.supports_half,
            architecture={},
        )
        # One class stands for all of spandrel's.
        self.arch = descriptor.architecture.name  # type: ignore[misc]
        self.network = model
        # Some networks return more than the picture, or work in another range.
        self._call: Callable[[nn.Module, Tensor], Tensor] = descriptor._call_fn

    def forward(self, image: Tensor) -> Tensor:
        """`(N, C, H, W)` in [0, 1] to `(N, C, scale·H, scale·W)`, not clamped.

        H and W must be multiples of `multiple_of`, and `min_side` at least.
        """
        with _SortedInOrder() if self.arch == "ATD" else nullcontext():
            return self._call(self.network, image)

    def folded(self) -> Self:
        """A copy without what a trace cannot follow: weights and constants that `forward` sets."""
        copy = super().folded()
        for module in list(copy.network.modules()):
            for name, child in module.named_children():
                if hasattr(child, "update_params") and hasattr(child, "eval_conv"):
                    child.update_params()
                    setattr(module, name, _Reparameterised(child))
            for name, value in list(vars(module).items()):
                if isinstance(value, Tensor):
                    delattr(module, name)
                    module.register_buffer(name, value, persistent=False)
        return copy


class _SortedInOrder(TorchFunctionMode):
    """Keeps equal numbers in their order where ATD sorts pixels by their category.

    It takes any order, which differs between processors and inference engines, and which decides
    what pixels attend to. All of them agree on numbers of which no two are equal.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not torch.sort or kwargs != {"dim": -1, "stable": False}:
            return func(*args, **kwargs or {})
        (numbers,) = args
        length = numbers.shape[-1]
        distinct = numbers * length + torch.arange(length, device=numbers.device)
        order = distinct.topk(length, largest=False).indices
        return numbers.gather(-1, order), order


class _Reparameterised(nn.Module):
    """SPAN's Conv3XC in evaluation: several convolutions as one, which it makes in each pass."""

    def __init__(self, several: Any) -> None:
        super().__init__()
        self.eval_conv = several.eval_conv
        self.activation = nn.LeakyReLU(0.05) if several.has_relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.activation(self.eval_conv(x))
        return output


def spandrel_generator(state: Mapping[str, Tensor]) -> SpandrelNetwork | None:
    """The network that these tensors belong to, in fp32; None if spandrel knows none.

    Raises:
        BackendError: spandrel is not installed.
        ModelError: The network does not enlarge pictures, or cannot be built.
    """
    spandrel = import_spandrel()
    most = max(int(each) for each in re.findall(r"\d{1,9}", f"0 {' '.join(state)}"))
    if most > MOST_LAYERS:
        raise ModelError(
            f"the names of its tensors count up to {most}, and a network of at most {MOST_LAYERS} "
            "layers is built: the file is damaged"
        )
    known = (
        each.architecture
        for each in spandrel.MAIN_REGISTRY.architectures("detection")
        if each.detect(state)
    )
    architecture = next(known, None)
    if architecture is None:
        return None
    name = architecture.name
    numbers = {key: tensor for key, tensor in state.items() if tensor.is_floating_point()}
    others = {key: tensor.clone() for key, tensor in state.items() if key not in numbers}
    copies = fp32_copies(numbers) | others
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's, about spandrel's code
            with _Bounded(MOST_TIMES * sum(each.numel() for each in state.values()) + FREE):
                descriptor = architecture.load(copies)
    # Each architecture raises what tensors of unexpected names and shapes lead it to.
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"the tensors look like those of the architecture {name}, and spandrel cannot build "
            f"it from them ({type(error).__name__}: {reason}): the file is damaged, or a variant "
            "that spandrel does not know"
        ) from error
    if descriptor.purpose not in ("SR", "Restoration"):
        raise ModelError(
            f"this is a network of the architecture {name} for {descriptor.purpose}, and only "
            "those that enlarge or restore any picture are exported"
        )
    if not {descriptor.input_channels, descriptor.output_channels} <= {*IMAGE_CHANNELS}:
        raise ModelError(
            f"this network of the architecture {name} takes {descriptor.input_channels} channels "
            f"and gives {descriptor.output_channels}, and pictures have one of {IMAGE_CHANNELS}"
        )
    return SpandrelNetwork(descriptor).eval()


class _Bounded(TorchFunctionMode):
    """Refuses, before memory is taken, to make weights of more than `most` numbers in all."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._left = most

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **kwargs or {})
        if func is torch.empty:  # of every layer; the system gives its memory at the first write
            self._left -= result.numel()
            if self._left < 0:
                raise ValueError("it would have many times more weights than the file")
        return result


def import_spandrel() -> Any:
    """The library; BackendError if it is not installed."""
    with require_extra("spandrel"), _stand_in_for_torchvision():
        import spandrel
    return spandrel


@contextmanager
def _stand_in_for_torchvision() -> Iterator[None]:
    """Let spandrel be imported without torchvision, which has to match PyTorch's build exactly.

    LaMa and RestoreFormer, which do not enlarge, import three functions of it. Without it these two
    do not run.
    """
    if importlib.util.find_spec("torchvision") is not None:
        yield
        return

    def missing(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("torchvision is not installed", name="torchvision")

    parents = [TORCHVISION.rsplit(".", n)[0] for n in (2, 1)]
    stand_in = {name: ModuleType(name) for name in (*parents, TORCHVISION)}
    for name in ("InterpolationMode", "normalize", "rotate"):
        setattr(stand_in[TORCHVISION], name, missing)
    sys.modules.update(stand_in)
    try:
        yield
    finally:
        for name in stand_in:
            del sys.modules[name]


def _window(model: nn.Module) -> int:
    """The least common multiple of the windows in a network; 1 if it has none."""
    sides = {1}
    for module in model.modules():
        for name in WINDOWS:
            value = vars(module).get(name)
            for side in value if isinstance(value, list | tuple) else (value,):
                if type(side) is int and 1 < side <= LARGEST_WINDOW:
                    sides.add(side)
    return math.lcm(*sides)

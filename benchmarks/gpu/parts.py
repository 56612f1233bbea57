"""The parts of the GPU benchmark in order of worth: does it work, how fast is it, training."""

from dataclasses import dataclass
from functools import partial

from benchmarks.gpu.convolutions import convolutions
from benchmarks.gpu.correct import correct
from benchmarks.gpu.driver import driver
from benchmarks.gpu.end_to_end import folder, whole_photo
from benchmarks.gpu.engines import engines, models
from benchmarks.gpu.kernels import kernels
from benchmarks.gpu.options import options
from benchmarks.gpu.parity import parity
from benchmarks.gpu.peak import peak
from benchmarks.gpu.process import Measure
from benchmarks.gpu.training import training_steps

__all__ = ["PARTS", "Part"]


@dataclass(frozen=True)
class Part:
    """One part of the benchmark."""

    name: str
    about: str
    seconds: float
    """About its time on a data-centre GPU."""
    measure: Measure
    needs: tuple[str, ...] = ()
    """Parts whose results it uses; they are chosen with it."""


PARTS = (
    Part("driver", "CUDA memory, copies and graphs beside torch", 15, driver),
    Part("correct", "small models on the device against the CPU's picture", 60, correct),
    Part("models", "the network is exported to ONNX", 20, models),
    Part("options", "ONNX Runtime's options, tiles, batches and shapes", 60, options),
    Part("peak", "what the card can do, and what the network needs", 10, peak),
    Part("engines", "the backends that open the network here", 30, engines, ("models",)),
    Part("parity", "the engines against fp32 in PyTorch", 20, parity, ("engines",)),
    Part("kernels", "the bare engines by batch and tile", 60, kernels, ("engines",)),
    Part("whole_photo", "one photo from array to array", 45, whole_photo, ("engines",)),
    Part("folder", "a folder of JPEGs from file to file", 60, folder, ("whole_photo",)),
    Part("convolutions", "a dense block's convolutions in PyTorch, TFLOP/s", 15, convolutions),
    Part("pretraining", "steps of PSNR training", 60, partial(training_steps, stage="pretraining")),
    Part("training", "steps of GAN training", 90, partial(training_steps, stage="training")),
)

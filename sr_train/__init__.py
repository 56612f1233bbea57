"""ESRGAN: its networks, its training in two stages, and the checkpoints of any trainer."""

import os
from typing import TYPE_CHECKING

from sr_train.run_folder import FitResult, run_folder

if TYPE_CHECKING:
    from sr_train.config import Config
    from sr_train.models.generator import Generator

__all__ = ["FitResult", "fit", "load_generator"]

# Functions import torch when they are called: it takes seconds, and --help needs none of it.


def fit(config: "Config", run: str | os.PathLike[str], *, resume: bool = False) -> FitResult:
    """Train an ESRGAN in two stages: the generator alone, then against a discriminator.

    Example:
        ```python
        import sr_train
        from sr_train.config import preset

        result = sr_train.fit(preset("tiny"), "demo")
        generator = sr_train.load_generator(result.weights["interpolated"])
        ```

    Everything the run writes is in its folder: weights, metrics, samples, and `state.pt`, from
    which it can be resumed at any time. In the main thread Ctrl-C, SIGTERM and a closed terminal
    save the state and end the run early; a second Ctrl-C, if it comes more than a second later,
    raises KeyboardInterrupt at once.
    PyTorch's global random generators are seeded. Under torchrun every process calls this function
    and trains on its share of each mini-batch.

    Args:
        config: All hyper-parameters, a `sr_train.config.Config`. `dataclasses.replace` changes
            one: `replace(preset("tiny"), seed=7)`.
        run: Name of the run, whose folder is then `runs/NAME`, or a path to its folder.
        resume: Continue the run in this folder from its saved state. `config` must be that of the
            run except for fields that may change, such as `num_steps` or a learning rate.

    Returns:
        A FitResult: `folder`, `weights` (paths by name: psnr, esrgan, best, interpolated),
        `best_psnr_y`, `best_lpips`, and `interrupted`, the signal that ended the run early or None.

    Raises:
        ArgumentError: `run` exists and `resume` is false, or the reverse; another process trains
            it; or a value does not fit the data, the device or the run to resume.
        DataError: A data set or `state.pt` is missing parts, damaged or of another format, or the
            training images have changed since the run began.
        ModelError: A checkpoint or the weights of a loss are not what they should be.
        BackendError: The device, the precision or W&B is not available, or a package is missing.
        StorageError: A disk is full or a folder cannot be written, or a download failed.
        OutOfMemoryError: A mini-batch does not fit in memory.
        NonFiniteError: Training diverged.
    """
    from sr_runtime.errors import require_extra

    folder = run_folder(run, resume=resume)
    with require_extra("train"):
        from sr_train.trainer import train

    return train(config, folder, resume=resume)


def load_generator(
    path: str | os.PathLike[str], *, scale: int | None = None, activation: str | None = None
) -> "Generator":
    """Load the generator of a `.safetensors` or `.pth` checkpoint, ours or another trainer's.

    Example:
        ```python
        generator = sr_train.load_generator("RealESRGAN_x4plus.pth")
        sr = generator(lr)  # (N, 3, H, W) float32 RGB in [0, 1] to (N, 3, 4·H, 4·W)
        ```

    Architecture and scale come from the names and shapes of the tensors, and what these leave open
    from the file's metadata. Code in a pickled file is never run.

    Args:
        path: The checkpoint.
        scale: How much larger the output is; only a ×3 RRDBNet needs it, since its tensors look
            like those of ×2.
        activation: "relu" or "leakyrelu"; needed only for an SRVGGNetCompact without PReLU, whose
            file does not name its activation.

    Returns:
        An `nn.Module` on the CPU, in fp32 and in evaluation mode.

    Raises:
        ModelError: The file holds no such generator, or one of another scale.
        BackendError: PyTorch is not installed.
    """
    from sr_runtime.errors import require_extra

    with require_extra("export"):
        from sr_train import checkpoint

    return checkpoint.load_generator(path, scale=scale, activation=activation)

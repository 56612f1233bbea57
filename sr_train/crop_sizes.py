"""What the networks of a run ask of the size of its crops, known once they are built."""

from sr_runtime.errors import ArgumentError
from sr_train.config.schema import Config
from sr_train.models.features import FeatureNetwork
from sr_train.models.generator import Generator

__all__ = ["check_crops"]


def check_crops(config: Config, generator: Generator, features: FeatureNetwork | None) -> None:
    """Raise ArgumentError for crops that the generator, or the perceptual loss, cannot take.

    `cr_patch_size` cannot change while a run lasts, so this must not be met in the middle of one.
    """
    multiple = config.scale_factor * generator.multiple_of
    for stage in config.stage_names:
        name, size = f"{stage}.cr_patch_size", config.section(stage).cr_patch_size
        if generator.multiple_of > 1 and (size is None or any(side % multiple for side in size)):
            raise ArgumentError(
                f"{name} is {'null' if size is None else list(size)}, but this {generator.arch} "
                f"takes LR images whose height and width are multiples of {generator.multiple_of}: "
                f"give a size whose sides are multiples of {multiple}"
            )
    size = config.training.cr_patch_size
    if features is None or size is None:
        return
    # A random view shifts the images by less than a pixel of LR.
    least = features.least_size + (config.scale_factor - 1) * config.perceptual_loss.random_view
    if min(size) < least:
        raise ArgumentError(
            f"training.cr_patch_size is {list(size)}, but perceptual_loss.layer_weights needs "
            f"{least}×{least} pixels or more: take larger crops, or layers less deep"
        )

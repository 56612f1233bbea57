"""What the networks of a run ask of the size of its crops, or whole images, once they are built."""

from sr_runtime.errors import ArgumentError
from sr_train.config.schema import Config
from sr_train.data.stage_data import check_minimum, check_sizes, stage_images
from sr_train.models.features import FeatureNetwork
from sr_train.models.generator import Generator

__all__ = ["check_crops"]


def check_crops(config: Config, generator: Generator, features: FeatureNetwork | None) -> None:
    """Check that the generator, and the perceptual loss, can take the crops, or the whole images.

    The configuration and the data cannot change while a run lasts, so this must not be met in the
    middle of one.

    Raises:
        ArgumentError: They cannot take crops of `cr_patch_size`.
        DataError: There are no crops, and they cannot take an image.
    """
    multiple = config.scale_factor * generator.multiple_of
    for stage in config.stage_names:
        name, size = f"{stage}.cr_patch_size", config.section(stage).cr_patch_size
        if generator.multiple_of == 1:
            continue
        if size is None:
            check_sizes(
                stage_images(config, stage, "train"),
                lambda height, width: height % multiple == width % multiple == 0,
                f"not multiples of {multiple}, which this {generator.arch} needs",
                f"choose {name}, or crop such images",
            )
        elif any(side % multiple for side in size):
            raise ArgumentError(
                f"{name} is {list(size)}, but this {generator.arch} takes LR images whose height "
                f"and width are multiples of {generator.multiple_of}: give a size whose sides are "
                f"multiples of {multiple}"
            )
    if features is None:
        return
    # A random view shifts the images by less than a pixel of LR.
    least = features.least_size + (config.scale_factor - 1) * config.perceptual_loss.random_view
    size, needs = config.training.cr_patch_size, "perceptual_loss.layer_weights"
    if size is None:
        images = stage_images(config, "training", "train")
        check_minimum(images, (least, least), f"what {needs} needs", "remove small images")
    elif min(size) < least:
        raise ArgumentError(
            f"training.cr_patch_size is {list(size)}, but {needs} needs {least}×{least} pixels or "
            "more: take larger crops, or layers less deep"
        )

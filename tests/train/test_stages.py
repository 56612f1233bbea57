"""What a mini-batch does to the networks of each stage."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import PIL.Image
import pytest
import torch
from torch import Tensor

from sr_runtime.resize import downscale
from sr_train.config.schema import (
    AdversarialLoss,
    Config,
    DiscriminatorConfig,
    PerceptualLoss,
    Pretraining,
    Training,
)
from sr_train.distributed import Processes
from sr_train.losses import (
    AdversarialType,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
)
from sr_train.models.features import build_features
from sr_train.models.rrdbnet import RRDBNet
from sr_train.stages import GanStage, PsnrStage
from tests.train.conftest import PHOTOS

ALONE = Processes(0, 1, torch.device("cpu"))
SMALL = {"rrdb_channels": 8, "growth_channels": 4, "num_basic_blocks": 1}
UNET = DiscriminatorConfig(type="unet", unet_channels=4)
VGG = DiscriminatorConfig(vgg_blk_ch=(4, 4, 8, 8), fc_features=(8,))
LOSSES = get_args(AdversarialType)
PLAIN = DiscriminatorConfig(vgg_blk_ch=(4, 4, 8, 8), fc_features=(8,), batch_norm=False)
PERCEPTUAL = PerceptualLoss(vgg_type="squeezenet1_1", layer_weights={"fire2": 1.0})


def _config(**options: Any) -> Config:
    return Config(
        **(
            {
                "precision": "fp32",
                "ema_decay": 0.0,
                "discriminator": UNET,
                "perceptual_loss": PERCEPTUAL,
                "training": Training(cr_patch_size=(32, 32)),
            }
            | options
        )
    )


def _psnr(config: Config) -> PsnrStage:
    torch.manual_seed(0)
    return PsnrStage(config, RRDBNet(**SMALL), ALONE, total_steps=1)


def _gan(config: Config) -> GanStage:
    torch.manual_seed(0)
    features = build_features("squeezenet1_1", PERCEPTUAL.layer_weights)
    return GanStage(config, RRDBNet(**SMALL), features, ALONE, total_steps=1)


@pytest.fixture(scope="module")
def crops() -> tuple[Tensor, Tensor]:
    """Four crops of a real photo, 8×8 and 32×32."""
    with PIL.Image.open(next(iter(sorted(PHOTOS.glob("*.png"))))) as file:
        photo = np.asarray(file.convert("RGB"))
    hr = [photo[32 * k : 32 * k + 32, 32 * k : 32 * k + 32] for k in range(4)]
    lr = [downscale(crop, 4) for crop in hr]
    low, high = (torch.from_numpy(np.stack(x).transpose(0, 3, 1, 2).copy()) for x in (lr, hr))
    return low, high


def _weights(network: torch.nn.Module) -> list[Tensor]:
    return [tensor.detach().clone() for tensor in network.parameters()]


def _same(before: list[Tensor], after: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def _close(first: PsnrStage | GanStage, second: PsnrStage | GanStage) -> None:
    for name, trainable in first.trainables.items():
        for a, b in zip(trainable.parameters, second.trainables[name].parameters, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("make", [_psnr, _gan])
def test_a_stage_learns_the_crops_it_sees(
    make: Callable[[Config], PsnrStage | GanStage], crops: tuple[Tensor, Tensor]
) -> None:
    training = Training(cr_patch_size=(32, 32), g_lr=1e-3, g_content_loss_scaling=1.0)
    stage = make(_config(training=training, pretraining=Pretraining(lr=1e-3)))
    contents = [float(stage.step(*crops, batch)["content"]) for batch in range(60)]
    assert contents[-1] < 0.7 * contents[0]


@pytest.mark.parametrize("make", [_psnr, _gan])
def test_two_accumulated_parts_change_the_weights_as_the_whole_mini_batch_does(
    make: Callable[[Config], PsnrStage | GanStage], crops: tuple[Tensor, Tensor]
) -> None:
    # Neither ragan nor batch norm, whose means are of each part alone; nor spectral norm, which
    # iterates with every forward pass.
    plain = {"adversarial_loss": AdversarialLoss(type="vanilla"), "discriminator": PLAIN}
    whole, parts = make(_config(**plain)), make(_config(**plain, grad_accumulation=2))
    for batch in range(3):
        expected, found = whole.step(*crops, batch), parts.step(*crops, batch)
        for name, value in expected.items():
            assert found[name] == pytest.approx(float(value), rel=1e-3), name
    _close(whole, parts)


def test_accumulation_takes_the_relativistic_mean_of_ragan_over_each_part_alone(
    crops: tuple[Tensor, Tensor],
) -> None:
    stage = _gan(_config(discriminator=PLAIN, grad_accumulation=2))
    with torch.no_grad():
        stage.discriminator.parameters[-2].mul_(100)  # fresh logits hardly differ between images
    low, high = (images / 255 for images in crops)
    with torch.no_grad():
        real = stage.discriminator.network(high)
        fake = stage.discriminator.network(stage.generator.network(low))
    values = stage.step(*crops, 0)
    for name, loss in (("g_adversarial", generator_loss), ("d_adversarial", discriminator_loss)):
        parts = [loss("ragan", *part) for part in zip(real.chunk(2), fake.chunk(2), strict=True)]
        torch.testing.assert_close(values[name], torch.stack(parts).mean())
        assert abs(values[name] - loss("ragan", real, fake)) > 1e-5


@pytest.mark.parametrize("discriminator", [UNET, VGG])
@pytest.mark.parametrize("loss", LOSSES)
def test_every_adversarial_loss_updates_both_networks(
    loss: Any, discriminator: DiscriminatorConfig, crops: tuple[Tensor, Tensor]
) -> None:
    if loss == "wgan-gp" and discriminator is VGG:
        discriminator = PLAIN
    stage = _gan(
        _config(
            adversarial_loss=AdversarialLoss(type=loss, n_critic=1), discriminator=discriminator
        )
    )
    before = {name: _weights(trainable.network) for name, trainable in stage.trainables.items()}
    values = stage.step(*crops, 0)
    assert set(values) == {
        "content",
        "perceptual",
        "g_adversarial",
        "g_total",
        "d_adversarial",
        "gradient_norm_g",
        "gradient_norm_d",
    }
    assert all(value.isfinite() for value in values.values())
    for name, trainable in stage.trainables.items():
        assert not _same(before[name], _weights(trainable.network)), name


def test_the_total_is_perceptual_plus_lambda_adversarial_plus_eta_content(
    crops: tuple[Tensor, Tensor],
) -> None:
    training = Training(
        cr_patch_size=(32, 32), g_adversarial_loss_scaling=0.3, g_content_loss_scaling=0.7
    )
    values = _gan(_config(training=training)).step(*crops, 0)
    expected = values["perceptual"] + 0.3 * values["g_adversarial"] + 0.7 * values["content"]
    torch.testing.assert_close(values["g_total"], expected)


def test_random_views_compare_features_of_other_pixels_in_every_mini_batch(
    crops: tuple[Tensor, Tensor],
) -> None:
    moving = replace(_config().perceptual_loss, random_view=True)
    still = _config()
    cases = [(still, 0), *((_config(perceptual_loss=moving), batch) for batch in (0, 0, 1))]
    found = [float(_gan(config).step(*crops, batch)["perceptual"]) for config, batch in cases]
    assert found[1] == found[2]  # the batch determines the view, so that a run can be resumed
    assert len(set(found)) == 3


def test_the_discriminator_gets_no_gradient_from_the_generators_step(
    crops: tuple[Tensor, Tensor],
) -> None:
    stage = _gan(_config())
    stage._generator_step([(crops[0] / 255, crops[1] / 255)], 1e-4, 0)
    assert all(p.grad is None for p in stage.discriminator.network.parameters())
    assert all(p.grad is not None for p in stage.generator.network.parameters())


@pytest.mark.parametrize("loss", LOSSES)
def test_a_step_returns_the_losses_of_the_logits_before_it(
    loss: Any, crops: tuple[Tensor, Tensor]
) -> None:
    options = AdversarialLoss(type=loss, n_critic=1, gp_weight=3.0)
    stage = _gan(_config(adversarial_loss=options, discriminator=PLAIN))
    hr = crops[1] / 255
    with torch.no_grad():
        sr = stage.generator.network(crops[0] / 255)
        real, fake = stage.discriminator.network(hr), stage.discriminator.network(sr)
    expected = discriminator_loss(loss, real, fake)
    if loss == "wgan-gp":
        torch.manual_seed(5)
        expected = expected + 3.0 * gradient_penalty(stage.discriminator.network, hr, sr)
    torch.manual_seed(5)
    values = stage.step(*crops, 0)
    torch.testing.assert_close(values["g_adversarial"], generator_loss(loss, real, fake))
    torch.testing.assert_close(values["d_adversarial"], expected.detach())


@pytest.mark.parametrize("loss", LOSSES)
def test_the_discriminator_learns_which_images_are_real(
    loss: Any, crops: tuple[Tensor, Tensor]
) -> None:
    training = Training(cr_patch_size=(32, 32), g_lr=1e-12, d_lr=1e-3)
    options = AdversarialLoss(type=loss, n_critic=1)
    stage = _gan(_config(training=training, adversarial_loss=options, discriminator=PLAIN))
    for batch in range(30):
        stage.step(*crops, batch)
    with torch.no_grad():
        fake = stage.discriminator.network(stage.generator.network(crops[0] / 255))
        assert stage.discriminator.network(crops[1] / 255).mean() > fake.mean()


def test_wgan_clips_the_critic_and_updates_the_generator_every_n_critic_steps(
    crops: tuple[Tensor, Tensor],
) -> None:
    loss = AdversarialLoss(type="wgan", n_critic=3, wgan_clip=0.02)
    stage = _gan(_config(adversarial_loss=loss, discriminator=VGG))
    first = _weights(stage.generator.network)
    moved = []
    for batch in range(6):
        stage.step(*crops, batch)
        moved.append(not _same(first, _weights(stage.generator.network)))
        first = _weights(stage.generator.network)
    assert moved == [False, False, True, False, False, True]
    assert max(float(p.detach().abs().max()) for p in stage.discriminator.parameters) <= 0.02


def test_the_precision_changes_the_numbers_a_little(crops: tuple[Tensor, Tensor]) -> None:
    exact = _gan(_config()).step(*crops, 0)
    for precision in ("bf16", "fp16"):
        rounded = _gan(_config(precision=precision)).step(*crops, 0)
        for name in ("content", "perceptual", "d_adversarial"):
            assert rounded[name] == pytest.approx(float(exact[name]), rel=0.03)
        assert rounded["perceptual"] != exact["perceptual"]


def test_the_memory_format_changes_nothing(crops: tuple[Tensor, Tensor]) -> None:
    one, other = _gan(_config()), _gan(_config(channels_last=False))
    for batch in range(2):
        one.step(*crops, batch)
        other.step(*crops, batch)
    _close(one, other)

"""Feature networks: torchvision's layers by the papers' names, returned before activation."""

from pathlib import Path

import pytest
import torch
from torch import nn

from sr_runtime.errors import ArgumentError
from sr_train.models.features import build_features
from sr_train.network_facts import VGG_BLOCKS, perceptual_layers
from sr_train.pretrained import load_tensors


@pytest.mark.parametrize(
    ("vgg_type", "layer", "index"),
    [
        ("vgg19", "conv5_4", 34),
        ("vgg19", "conv1_1", 0),
        ("vgg19", "conv2_2", 7),
        ("vgg19", "conv3_4", 16),
        ("vgg19", "conv4_4", 25),
        ("vgg16", "conv5_3", 28),
        ("vgg16", "conv3_3", 14),
        ("vgg13", "conv5_2", 22),
        ("vgg11", "conv5_2", 18),
        ("vgg11", "conv2_1", 3),
        ("squeezenet1_1", "relu1", 1),
        ("squeezenet1_1", "fire2", 3),
        ("squeezenet1_1", "fire3", 4),
        ("squeezenet1_1", "fire4", 6),
        ("squeezenet1_1", "fire5", 7),
        ("squeezenet1_1", "fire9", 12),
        ("vgg16_st_lpips", "relu1", 3),  # as its authors' package has them
        ("vgg16_st_lpips", "relu2", 9),
        ("vgg16_st_lpips", "relu5", 33),
    ],
)
def test_layers_stand_where_torchvision_has_them(vgg_type: str, layer: str, index: int) -> None:
    with torch.device("meta"):
        network = build_features(vgg_type, [layer])
    assert len(network) == index + 1  # no deeper than needed
    assert network.tapped == {index: layer}
    if layer.startswith("conv"):
        assert isinstance(network[index], nn.Conv2d)


def test_vgg_returns_its_convolutions_before_activation() -> None:
    torch.manual_seed(0)
    network = build_features("vgg11", ["conv1_1", "conv2_1", "conv3_2"])
    image = torch.rand(1, 3, 16, 16)
    features = network(image)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    first = network[0]((image - mean) / std)
    torch.testing.assert_close(features["conv1_1"], first)
    assert features["conv1_1"].min() < 0
    torch.testing.assert_close(
        features["conv2_1"], network[3](nn.functional.max_pool2d(first.relu(), 2))
    )
    assert {name: tuple(f.shape[1:]) for name, f in features.items()} == {
        "conv1_1": (64, 16, 16),
        "conv2_1": (128, 8, 8),
        "conv3_2": (256, 4, 4),
    }


def test_input_can_be_left_as_it_is_and_gray_counts_as_rgb() -> None:
    torch.manual_seed(0)
    network = build_features("vgg11", ["conv1_1"], normalize_input=False)
    gray = torch.rand(2, 1, 8, 8)
    features = network(gray)["conv1_1"]
    torch.testing.assert_close(features, network[0](gray.repeat(1, 3, 1, 1)))


def test_the_networks_are_frozen_yet_pass_gradients_to_the_image() -> None:
    network = build_features("squeezenet1_1", ["fire2"])
    assert not any(parameter.requires_grad for parameter in network.parameters())
    image = torch.rand(1, 3, 32, 32, requires_grad=True)
    network(image)["fire2"].sum().backward()
    assert image.grad is not None
    assert image.grad.abs().max() > 0


@pytest.mark.parametrize(
    ("vgg_type", "layers", "says"),
    [
        ("vgg16", ["conv5_4"], r"vgg16 has no layer 'conv5_4': it has conv1_1, .*conv5_3$"),
        ("squeezenet1_1", ["fire10"], "fire2, fire3, fire4, fire5, fire6, fire7, fire8, fire9"),
        ("vgg12", ["conv1_1"], "'vgg12' is not a feature network: take one of .*'squeezenet1_1'"),
        ("vgg11", [], "name at least one"),
    ],
)
def test_unknown_names_are_refused_with_the_known_ones(
    vgg_type: str, layers: list[str], says: str
) -> None:
    with pytest.raises(ArgumentError, match=says):
        build_features(vgg_type, layers)


@pytest.mark.parametrize(
    ("vgg_type", "layer", "least"),
    [
        ("vgg11", "conv1_1", 1),
        ("vgg11", "conv5_2", 16),
        ("squeezenet1_1", "relu1", 3),
        ("squeezenet1_1", "fire2", 5),
        ("squeezenet1_1", "fire9", 17),
    ],
)
def test_images_too_small_for_a_layer_are_refused(vgg_type: str, layer: str, least: int) -> None:
    network = build_features(vgg_type, [layer])
    assert network(torch.rand(1, 3, least, least))[layer].numel()
    with pytest.raises(ArgumentError, match=f"{layer}: take {least}×{least}"):
        network(torch.rand(1, 3, least + 1, least - 1))


def test_squeezenet_sees_what_is_in_a_photo(data: Path) -> None:
    """With its real weights: features of a picture and of its mirror image are alike, mirrored."""
    from sr_runtime.image import read

    network = build_features("squeezenet1_1", ["fire9"])
    load_tensors(network, data / "weights" / "squeezenet1_1_features.pth")
    pixels = read(data / "photos" / "chelsea.png").frames[0][:223, :223]
    photo = torch.tensor(pixels).permute(2, 0, 1)[None] / 255
    features = network(photo)["fire9"]
    assert features.shape == (1, 512, 13, 13)
    assert (features >= 0).all()
    mirrored = network(photo.flip(3))["fire9"].flip(3)
    noise = network(torch.rand_like(photo))["fire9"]
    similarity = nn.functional.cosine_similarity
    assert similarity(features.flatten(), mirrored.flatten(), dim=0) > 0.6
    assert similarity(features.flatten(), noise.flatten(), dim=0) < 0.4


@pytest.mark.parametrize("vgg_type", [*VGG_BLOCKS, "squeezenet1_1", "vgg16_st_lpips"])
def test_perceptual_layers_are_those_of_the_network(vgg_type: str) -> None:
    layers = perceptual_layers(vgg_type)
    assert set(build_features(vgg_type, layers).tapped.values()) == set(layers)
    with pytest.raises(ArgumentError) as refused:
        build_features(vgg_type, ["other"])
    assert str(refused.value).endswith(f"it has {', '.join(layers)}")

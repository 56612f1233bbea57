"""The judges of `evaluate`, on real photos."""

from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torch.nn import functional as F

import sr_runtime
import sr_train.judges
import sr_train.pretrained
from sr_runtime.errors import ArgumentError, BackendError, DataError
from sr_runtime.evaluation.scoring import DISTANCES, bicubic
from sr_runtime.resize import downscale
from sr_train.commands import run
from sr_train.config.schema import PerceptualLoss
from sr_train.evaluate import evaluate
from sr_train.inference import tensor_from_image
from sr_train.judges import VGG19_LAYERS, load_judges
from sr_train.losses import perceptual_loss
from sr_train.lpips import LPIPS
from sr_train.models.features import BlurPool, build_features
from sr_train.options import JUDGES
from sr_train.pretrained import load_features, weights_file
from tests.train.conftest import PHOTOS

NOWHERE = Path("nowhere")


@pytest.fixture(scope="module")
def st_lpips() -> LPIPS:
    if find_spec("stlpips_pytorch") is None:
        pytest.skip("stlpips-pytorch is not installed: the extra `judge`")
    return load_judges("st_lpips", NOWHERE)["st_lpips"]


@pytest.fixture(scope="module")
def photo() -> NDArray[np.uint8]:
    with Image.open(sorted(PHOTOS.glob("*.png"))[0]) as image:
        return np.array(image.convert("RGB").crop((0, 0, 128, 128)))


def jpeg(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    file = BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    with Image.open(file) as compressed:
        return np.array(compressed)


def blurred(image: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
    return np.array(Image.fromarray(image).filter(ImageFilter.GaussianBlur(sigma)))


def test_st_lpips_gives_the_value_of_its_authors_code(st_lpips: LPIPS) -> None:
    """stlpips.LPIPS(net="vgg", variant="shift_tolerant") with normalize=True: 0.06899."""
    torch.manual_seed(0)
    a, b = torch.rand(2, 1, 3, 75, 90)
    assert st_lpips(a, b).item() == pytest.approx(0.068994, abs=2e-6)


def test_st_lpips_orders_damage_as_people_do(st_lpips: LPIPS, photo: NDArray[np.uint8]) -> None:
    enlarged = bicubic(downscale(photo, 4), 4)
    images = [photo, jpeg(photo, 90), jpeg(photo, 30), enlarged, blurred(photo, 4)]
    distance = st_lpips.remembering()
    distances = [distance(image, photo) for image in images]
    assert distances[0] == 0
    assert distances == sorted(distances)


@pytest.mark.slow
def test_st_lpips_orders_the_embedded_models(st_lpips: LPIPS, photo: NDArray[np.uint8]) -> None:
    """On clean images, and on those of JPEG quality 30, which the models were not trained on."""
    distance = st_lpips.remembering()
    clean = downscale(photo, 4)
    with sr_runtime.load("psnr") as psnr, sr_runtime.load("esrgan") as esrgan:
        for low in (clean, jpeg(clean, 30)):
            results = [esrgan.upscale(low), psnr.upscale(low), bicubic(low, 4)]
            distances = [distance(result, photo) for result in results]
            assert distances == sorted(distances)


def test_an_image_that_is_too_small_for_st_lpips_is_refused() -> None:
    for layer, least in {"relu1": 1, "relu2": 4, "relu3": 6, "relu5": 18}.items():
        network = build_features("vgg16_st_lpips", [layer])
        network(torch.rand(1, 3, least, least))
        with pytest.raises(ArgumentError, match=rf"{layer}: take {least}×{least}"):
            network(torch.rand(1, 3, least, least - 1))


def test_an_image_that_is_too_small_for_a_distance_is_told_what_to_leave_out() -> None:
    features = build_features("vgg16_st_lpips", ["relu5"])
    distance = LPIPS(features, [torch.ones(1, 512, 1, 1)]).remembering()
    assert distance(*np.zeros((2, 18, 18, 3), np.uint8)) == 0
    with pytest.raises(ArgumentError, match=r"18×17 .*18×18 or more.* --no-lpips and --judge none"):
        distance(*np.zeros((2, 18, 17, 3), np.uint8))


def test_a_blur_pool_mirrors_the_border_and_blurs() -> None:
    image = torch.rand(2, 3, 7, 9, dtype=torch.float64)
    line = torch.tensor([0.25, 0.5, 0.25], dtype=torch.float64)
    kernel = (line[:, None] * line).expand(3, 1, 3, 3)
    padded = F.pad(image, (2, 2, 2, 2), mode="reflect")
    expected = F.conv2d(padded, kernel, stride=2, groups=3)
    torch.testing.assert_close(BlurPool().double()(image), expected)


def test_the_perceptual_loss_learns_from_the_features_of_st_lpips(
    st_lpips: LPIPS, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    """The package's file, or its copy in ROOT/weights; in bf16 as in fp32."""
    file = weights_file("vgg16_st_lpips", given=None, root=NOWHERE)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / file.name).symlink_to(file)
    config = PerceptualLoss(vgg_type="vgg16_st_lpips", layer_weights={"relu1": 1.0, "relu3": 2.0})
    network = load_features(config, tmp_path)
    target = tensor_from_image(photo[:32, :32], torch.device("cpu"))
    judged, features = st_lpips.features(target), network(target)
    assert list(features) == ["relu1", "relu3"]
    for layer, tensor in features.items():
        assert torch.equal(tensor, judged[layer])
    gradients = []
    for enabled in (False, True):
        image = target.flip(3).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            loss = perceptual_loss(network(image), network(target), config)
        gradients.append(torch.autograd.grad(loss, image)[0])
    assert gradients[0].abs().min() > 0
    full, reduced = (gradient.flatten() for gradient in gradients)
    assert torch.cosine_similarity(full, reduced, dim=0) > 0.9


@pytest.fixture
def not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(sr_train.pretrained, "files", absent)


@pytest.mark.usefixtures("not_installed")
@pytest.mark.parametrize("lpips", [True, False])
def test_a_table_without_a_judge_says_how_to_get_one(
    lpips: bool, data: Path, photo: NDArray[np.uint8], tmp_path: Path, capsys: Any
) -> None:
    Image.fromarray(photo).save(tmp_path / "photo.png")
    evaluate(["psnr"], [str(tmp_path)], root=data, lpips=lpips)
    assert ("sr-toolkit[judge]" in capsys.readouterr().out) == lpips


@pytest.mark.usefixtures("not_installed")
def test_a_judge_that_is_not_installed_is_refused_when_it_is_named() -> None:
    with pytest.raises(BackendError, match=r'stlpips_pytorch .*"sr-toolkit\[judge\]"'):
        load_judges("st_lpips", NOWHERE)
    assert load_judges("auto", NOWHERE) == {}
    assert load_judges("none", NOWHERE) == {}


def test_other_weights_than_those_of_st_lpips_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "weights" / "vST0.0" / "vgg_shift_tolerant.pth"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"other")
    monkeypatch.setattr(sr_train.pretrained, "files", lambda name: tmp_path)
    for judge in ("st_lpips", "auto"):
        with pytest.raises(DataError, match=r"vgg_shift_tolerant\.pth.*--force-reinstall"):
            load_judges(judge, NOWHERE)
    copy = tmp_path / "weights" / file.name
    copy.write_bytes(b"other")
    with pytest.raises(DataError, match=r"vgg_shift_tolerant\.pth.*remove it"):
        load_judges("st_lpips", tmp_path)


def test_vgg19_averages_the_squared_distance_of_unit_features(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With fresh weights: the published file has half a gigabyte."""
    torch.manual_seed(0)
    monkeypatch.setattr(sr_train.judges, "weights_file", lambda name, **_: NOWHERE)
    monkeypatch.setattr(sr_train.judges, "load_tensors", lambda network, path: None)
    judge = load_judges("vgg19", NOWHERE)["vgg19"]
    a, b = torch.rand(2, 1, 3, 32, 32)
    of_a, of_b = judge.features(a), judge.features(b)
    assert list(of_a) == list(VGG19_LAYERS)
    cosines = [torch.cosine_similarity(of_a[layer], of_b[layer]).mean() for layer in of_a]
    assert judge(a, b).item() == pytest.approx(2 - 2 * torch.stack(cosines).mean().item(), rel=1e-3)
    assert judge(a, a).item() == 0


def test_every_judge_has_a_column_and_a_word_on_the_command_line(tmp_path: Path) -> None:
    assert {*JUDGES} - {"auto", "none"} == {*DISTANCES} - {"lpips"}
    with pytest.raises(ArgumentError, match=r"alexnet.*st_lpips"):
        run(["evaluate", "psnr", "--data", str(tmp_path), "--judge", "alexnet"])

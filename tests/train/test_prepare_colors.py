"""Photos in other colour spaces are packed in sRGB."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from sr_runtime.image.color import ADOBE_RGB
from sr_runtime.image.icc import BT709, ColorSpace, profile_of
from sr_runtime.resize import downscale
from tests.managed_color import shown_in_srgb
from tests.train.made_images import SIZE, Pixels, made_image, prepare_own

ADOBE = profile_of(ADOBE_RGB, channels=3)
GRAY = profile_of(ColorSpace(BT709, (1.8,)), channels=1)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def shown(image: Image.Image, profile: bytes | None) -> Pixels:
    return shown_in_srgb(image, profile, black_point=True)


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_colours_of_a_profile_are_converted_and_that_is_reported(tmp_path: Path, jobs: int) -> None:
    (tmp_path / "mine").mkdir()
    pixels = made_image(0, *SIZE)
    wide = Image.fromarray(pixels)
    wide.save(tmp_path / "mine/adobe.png", icc_profile=ADOBE)
    wide.save(tmp_path / "mine/plain.png")
    wide.save(tmp_path / "mine/srgb.png", icc_profile=SRGB)
    wide.save(tmp_path / "mine/damaged.png", icc_profile=ADOBE and ADOBE[:200])
    lines: list[str] = []
    own = prepare_own(tmp_path / "mine", tmp_path / "data", jobs=jobs, report=lines.append)
    images = {name: own.hr(i) for i, name in enumerate(own.names)}
    expected = shown(wide, ADOBE)
    assert np.abs(expected.astype(int) - pixels).max() > 50
    assert np.array_equal(images["adobe"], expected)
    assert np.array_equal(own.lr(own.names.index("adobe")), downscale(expected, 4))
    for name in ("plain", "srgb", "damaged"):
        assert np.array_equal(images[name], pixels)
    assert [line for line in lines if "sRGB" in line] == [
        "mine:all: 1 of 4 images converted to sRGB from their profiles: adobe.png"
    ]


def test_gray_of_a_profile_stays_gray(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    image = Image.fromarray(made_image(0, *SIZE, 1)[:, :, 0])
    image.save(tmp_path / "mine/a.png", icc_profile=GRAY)
    own = prepare_own(tmp_path / "mine", tmp_path / "data")
    assert own.channels == 1
    assert np.array_equal(own.hr(0), shown(image, GRAY)[:, :, :1])


def test_gamma_of_a_png_counts_as_a_profile(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    linear = PngInfo()
    linear.add(b"gAMA", (100_000).to_bytes(4, "big"))
    image = Image.fromarray(np.full((*SIZE, 3), 55, np.uint8))
    image.save(tmp_path / "mine/a.png", pnginfo=linear)
    own = prepare_own(tmp_path / "mine", tmp_path / "data")
    light = 55 / 255
    assert np.abs(own.hr(0) - 255 * (1.055 * light ** (1 / 2.4) - 0.055)).max() < 1


def test_given_lr_images_are_converted_with_their_hr_images(tmp_path: Path) -> None:
    for kind, size in (("HR", (32, 40)), ("LR", (8, 10))):
        (tmp_path / "mine" / kind).mkdir(parents=True)
        Image.fromarray(made_image(0, *size)).save(
            tmp_path / "mine" / kind / "a.png", icc_profile=ADOBE
        )
    own = prepare_own(tmp_path / "mine", tmp_path / "data")
    assert np.array_equal(own.lr(0), shown(Image.fromarray(made_image(0, 8, 10)), ADOBE))

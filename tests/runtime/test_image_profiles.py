"""Embedded ICC profiles: linear light becomes what the models know, and damage costs nothing."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from sr_runtime.image import from_pil, read, write
from sr_runtime.image.icc import BT709, ColorSpace, curve_tag, profile_of, profile_with
from tests.managed_color import shown_in_srgb
from tests.runtime.image_files import SRGB, png_of

Y, X = np.mgrid[:16, :24]
RGB = np.dstack([10 * X, 16 * Y, 5 * (X + Y)]).astype(np.uint8)
ADOBE = BT709._replace(green=(0.21, 0.71))


def linear(channels: int = 3) -> bytes:
    profile = profile_of(ColorSpace(ADOBE, (1.0,)), channels=channels)
    assert profile is not None
    return profile


def by_formula(kind: int, *numbers: float) -> bytes:
    """A profile of sRGB's primaries and a parametric curve."""
    curve = struct.pack(
        f">4s4xHxx{len(numbers)}i", b"para", kind, *(round(65536 * n) for n in numbers)
    )
    usual = ImageCms.ImageCmsProfile(io.BytesIO(SRGB)).profile
    points = {
        b"wtpt": usual.media_white_point, b"rXYZ": usual.red_colorant,
        b"gXYZ": usual.green_colorant, b"bXYZ": usual.blue_colorant,
    }  # fmt: skip
    tags = {
        name: struct.pack(">4s4x3i", b"XYZ ", *(round(65536 * n) for n in xyz))
        for name, (xyz, _) in points.items()
    }
    return profile_with(b"RGB ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))


def shown(pixels: np.ndarray, profile: bytes | None) -> np.ndarray:
    """8-bit pixels in sRGB, as LittleCMS converts them."""
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    return shown_in_srgb(image, profile).astype(int)


@pytest.mark.parametrize(
    "profile",
    [
        linear(),
        by_formula(0, 1.0),
        by_formula(1, 1.0, 1.25, -0.25),
        by_formula(2, 1.1, 0.94, 0.01, 0.05),
        by_formula(3, 1.3, 1.0, 0.0, 0.8, 0.1),
        by_formula(4, 1.0, 0.9, 0.1, 1.0, 0.2, 0.0, 0.0),
    ],
    ids=["list", "0", "1", "2", "3", "4"],
)
@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_a_profile_far_from_srgb_s_curve_is_converted_and_shown_alike(
    tmp_path: Path, suffix: str, profile: bytes
) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(RGB).save(path, icc_profile=profile, lossless=True)

    picture = read(path)

    before = shown(RGB, profile)
    assert np.abs(shown(picture.frames[0], picture.icc_profile) - before).max() <= 3
    assert np.abs(picture.frames[0].astype(int) - RGB).max() > 10


def test_linear_light_is_the_same_to_the_models_whatever_states_it(tmp_path: Path) -> None:
    (tmp_path / "gamma.png").write_bytes(png_of(RGB, (b"gAMA", struct.pack(">I", 100000))))
    Image.fromarray(RGB).save(tmp_path / "profile.png", icc_profile=by_formula(0, 1.0))

    stated, embedded = read(tmp_path / "gamma.png"), read(tmp_path / "profile.png")

    np.testing.assert_array_equal(embedded.frames[0], stated.frames[0])
    assert (embedded.icc_profile, stated.icc_profile) == (None, None)


def test_linear_gray_and_sixteen_bits_are_converted(tmp_path: Path) -> None:
    gray = np.linspace(0, 65535, 240).reshape(12, 20).astype(np.uint16)
    Image.fromarray(gray).save(tmp_path / "a.png", icc_profile=linear(1))

    picture = read(tmp_path / "a.png")

    light = gray / 65535
    srgb = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert np.abs(picture.frames[0][:, :, 0] / 65535 - srgb).max() < 1e-3
    assert picture.icc_profile is None


def test_a_pillow_image_of_linear_light_is_converted() -> None:
    image = Image.fromarray(RGB)
    image.info["icc_profile"] = by_formula(0, 1.0)
    picture = from_pil(image)
    assert picture.icc_profile is None
    assert (picture.frames[0][8, 12] > RGB[8, 12]).all()


@pytest.mark.parametrize(
    "profile",
    [
        SRGB,
        profile_of(ColorSpace(ADOBE, (2.2,)), channels=3),
        SRGB[:200],
        linear()[:-40],
        linear()[:130],
        linear().replace(b"rTRC", b"A2B0"),
        by_formula(9, 1.0),
        by_formula(3, 1.0),
        linear()[:128] + b"\xff" * 200,
        profile_with(b"RGB ", dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve_tag(np.zeros(9)))),
    ],
)
def test_usual_profiles_and_damaged_ones_are_kept_and_pixels_as_well(
    tmp_path: Path, profile: bytes
) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png", icc_profile=profile)

    write(read(tmp_path / "a.png"), tmp_path / "b.png")

    with Image.open(tmp_path / "b.png") as image:
        np.testing.assert_array_equal(np.asarray(image), RGB)
        assert image.info["icc_profile"] == profile

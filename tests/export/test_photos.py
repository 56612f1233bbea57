"""The images on which an export is measured: the shipped ones, and a folder of the user's."""

import numpy as np
import PIL.Image
import pytest

from sr_export import export_onnx
from sr_export.photos import calibration_images, crops, in_channels
from sr_runtime.errors import ArgumentError, ImageError


def test_images_to_calibrate_on_must_be_large_enough(tmp_path) -> None:
    PIL.Image.new("RGB", (255, 300)).save(tmp_path / "small.png")
    with pytest.raises(ArgumentError, match=r"small\.png: 255×300.*256×256"):
        calibration_images(tmp_path)


def test_images_to_calibrate_on_are_read_before_the_work(checkpoint, tmp_path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "broken.png").write_bytes(b"\x89PNG")
    with pytest.raises(ImageError, match=r"broken\.png"):
        export_onnx(
            checkpoint, tmp_path / "m.onnx", calibration=tmp_path / "photos", progress=pytest.fail
        )


def test_only_the_middle_of_each_image_to_calibrate_on_stays_in_memory() -> None:
    assert [crop.base for crop in calibration_images()] == [None] * 3


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_photos_suit_networks_of_any_channels(channels: int) -> None:
    assert {crop.shape for crop in crops(4, 40, 300, channels=channels)} == {(40, 300, channels)}
    gray = np.full((256, 256, 1), 7, np.uint8)
    assert np.unique(in_channels(gray, channels)).tolist() == [7]

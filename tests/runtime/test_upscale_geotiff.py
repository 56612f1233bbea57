"""A GeoTIFF keeps its place on the Earth, its bands and their meaning, and where it has no data."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import sr_runtime
from sr_runtime import ImageError, Upscaler
from sr_runtime.__main__ import main
from sr_runtime.transparency import bleed
from tests.runtime.scenes import MEANINGS, pixels, scene, upscale

rasterio = pytest.importorskip("rasterio", exc_type=ImportError)


@pytest.fixture
def model(tiny_onnx: Callable[..., Path]) -> Path:
    return tiny_onnx()


@pytest.fixture
def upscaler(model: Path) -> Iterator[Upscaler]:
    with sr_runtime.load(model, backend="onnxruntime", tile=96) as made:
        yield made


def test_bands_beyond_rgb_are_upscaled_as_gray(upscaler: Upscaler, tmp_path: Path) -> None:
    bands = pixels(5, 150, 70, "uint16")
    source = scene(tmp_path / "a.tif", bands, MEANINGS, tiled=True, blockxsize=64, blockysize=64)

    result = upscale(upscaler, source, tmp_path / "b.tif", scale=3)

    color = upscaler.upscale(np.moveaxis(bands[:3], 0, -1), scale=3)
    np.testing.assert_array_equal(np.moveaxis(result[:3], 0, -1), color)
    for band in (3, 4):
        np.testing.assert_array_equal(result[band], upscaler.upscale(bands[band], scale=3))


def test_three_bands_that_are_not_rgb_are_apart(upscaler: Upscaler, tmp_path: Path) -> None:
    bands = pixels(3, 40, 30)
    source = scene(tmp_path / "a.tif", bands, ("gray", "undefined", "undefined"))

    result = upscale(upscaler, source, tmp_path / "b.tif")

    np.testing.assert_array_equal(result, [upscaler.upscale(band) for band in bands])


def test_what_the_file_states_is_kept_and_its_place_rescaled(model: Path, tmp_path: Path) -> None:
    source = scene(tmp_path / "a.tif", pixels(5, 300, 400), MEANINGS, nodata=0)
    ones = " ".join(["1"] * 20)
    camera = {f"{axis}_{kind}": "2" for axis in ("LINE", "SAMP", "LAT", "LONG", "HEIGHT")
              for kind in ("OFF", "SCALE")}  # fmt: skip
    camera |= {f"{axis}_{kind}_COEFF": ones for axis in ("LINE", "SAMP") for kind in ("NUM", "DEN")}
    with rasterio.open(source, "r+") as file:
        file.descriptions = ("red", "green", "blue", "near infrared", "wärme")
        file.scales, file.offsets, file.units = (0.1,) * 5, (3.0,) * 5, ("m",) * 5
        file.update_tags(AREA_OR_POINT="Point", ACQUIRED="2024 <b>")
        file.update_tags(4, STATISTICS_MAXIMUM="9", CLOUDS="12")
        file.update_tags(ns="RPC", **camera)
        stated = {name: getattr(file, name) for name in (
            "crs", "descriptions", "scales", "offsets", "units", "colorinterp", "nodata", "bounds"
        )}  # fmt: skip
        place = file.transform

    words = ["upscale", str(source), "-q", "-m", str(model), "-o", str(tmp_path / "b.tif")]
    assert main(words) == 0

    with rasterio.open(tmp_path / "b.tif") as file:
        assert (file.height, file.width) == (1200, 1600)
        assert {name: getattr(file, name) for name in stated} == stated
        assert file.transform.almost_equals(place @ rasterio.Affine.scale(0.25))
        assert file.tags() == {"AREA_OR_POINT": "Point", "ACQUIRED": "2024 <b>"}
        assert file.tags(4) == {"CLOUDS": "12"}
        assert (file.rpcs.line_off, file.rpcs.samp_scale, file.rpcs.lat_off) == (9.5, 8, 2)
        assert file.overviews(1) == [2, 4]
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert file.tags(ns="IMAGE_STRUCTURE")["COMPRESSION"] == "DEFLATE"
        assert file.block_shapes[0] == (512, 512)


def test_ground_control_points_are_rescaled(upscaler: Upscaler, tmp_path: Path) -> None:
    corners = [(0, 0, 10, 50), (0, 30, 11, 50), (20, 0, 10, 49)]
    points = [rasterio.control.GroundControlPoint(*corner) for corner in corners]
    source = scene(tmp_path / "a.tif", pixels(1, 20, 30), transform=None, gcps=points)

    upscale(upscaler, source, tmp_path / "b.tif")

    with rasterio.open(tmp_path / "b.tif") as file:
        found, _ = file.gcps
        assert [(p.row, p.col, p.x, p.y) for p in found] == [
            (0, 0, 10, 50), (0, 120, 11, 50), (80, 0, 10, 49)
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("nodata", "size"), [(0, {}), (65535, {"scale": 3}), (7, {"scale": 0.5}), (0, {"width": 101})]
)
def test_pixels_without_data_stay_so_and_do_not_leak(
    nodata: int, size: dict[str, float], upscaler: Upscaler, tmp_path: Path
) -> None:
    bands = pixels(4, 300, 40, "uint16")
    empty = np.zeros((300, 40), bool)
    empty[80:250, 5:] = empty[3, 3] = empty[280, 39] = True
    bands[:3, empty] = bands[3, :50] = nodata
    bands[0, 20, 20] = nodata  # one band of a pixel that has data
    source = scene(tmp_path / "a.tif", bands, MEANINGS[:4], nodata=nodata)

    result = upscale(upscaler, source, tmp_path / "b.tif", **size)

    height, width = result.shape[1:]
    down = ((np.arange(height) + 0.5) * 300 / height).astype(int)
    across = ((np.arange(width) + 0.5) * 40 / width).astype(int)
    wanted = empty[np.ix_(down, across)]
    np.testing.assert_array_equal(result[:3] == nodata, [wanted] * 3)
    np.testing.assert_array_equal(result[3] == nodata, (bands[3] == nodata)[np.ix_(down, across)])
    filled = bleed(np.moveaxis(bands[:3], 0, -1), (~empty).astype(np.uint16))
    whole = np.moveaxis(upscaler.upscale(filled, **size), -1, 0)
    seen = ~wanted & (whole != nodata)
    np.testing.assert_array_equal(result[:3][seen], whole[seen])


@pytest.mark.parametrize("kind", ["alpha", "mask"])
def test_alpha_and_masks_are_enlarged_exactly(
    kind: str, upscaler: Upscaler, tmp_path: Path
) -> None:
    clear = np.zeros((90, 60), bool)
    clear[10:50, 7:31] = True
    bands = pixels(4 if kind == "alpha" else 3, 90, 60)
    mask = np.where(clear, 0, 255).astype(np.uint8)
    if kind == "alpha":
        bands[3] = mask
    source = scene(tmp_path / "a.tif", bands, ("red", "green", "blue", "alpha")[: len(bands)])
    if kind == "mask":
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(source, "r+") as file:
            file.write_mask(mask)

    upscale(upscaler, source, tmp_path / "b.tif")

    with rasterio.open(tmp_path / "b.tif") as file:
        np.testing.assert_array_equal(file.dataset_mask(), mask.repeat(4, 0).repeat(4, 1))
        assert file.count == len(bands)
        assert (file.read()[:3, clear.repeat(4, 0).repeat(4, 1)] == 0).all()


@pytest.mark.parametrize("dtype", ["int16", "float32", "uint32"])
def test_values_without_a_range_are_refused(dtype: str, upscaler: Upscaler, tmp_path: Path) -> None:
    source = scene(tmp_path / "a.tif", pixels(1, 9, 9, dtype))

    with pytest.raises(ImageError, match=f"values are {dtype}.* uint8 or uint16"):
        upscale(upscaler, source, tmp_path / "b.tif")


def test_colour_tables_and_few_bits_are_refused(upscaler: Upscaler, tmp_path: Path) -> None:
    table = scene(tmp_path / "a.tif", pixels(1, 9, 9))
    with rasterio.open(table, "r+") as file:
        file.write_colormap(1, {9: (1, 2, 3, 255)})
    bits = scene(tmp_path / "bits.tif", pixels(1, 9, 9) % 4, nbits=2)

    with pytest.raises(ImageError, match="numbers of colours in a table"):
        upscale(upscaler, table, tmp_path / "b.tif")
    with pytest.raises(ImageError, match="has 2 bits"):
        upscale(upscaler, bits, tmp_path / "b.tif")

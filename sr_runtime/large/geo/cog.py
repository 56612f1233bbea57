"""A Cloud Optimized GeoTIFF from kept rows, with all that its source states.

GDAL describes the source as a virtual dataset (VRT), in XML. The description of the result is the
same one, with its size, its place on the Earth at that size, and the kept rows as its bands.
"""

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from sr_runtime.errors import StorageError
from sr_runtime.large.geo.scene import CACHE, Layer, Scene, gdal_errors, load_rasterio, reason_of
from sr_runtime.large.kept_rows import KeptRows
from sr_runtime.storage.atomic import atomic_path
from sr_runtime.storage.temporary import temporary_folder

__all__ = ["write_cog"]

OPTIONS = {
    "driver": "COG",
    "COMPRESS": "DEFLATE",
    "LEVEL": 1,
    "PREDICTOR": "YES",
    "BIGTIFF": "IF_SAFER",
    "NUM_THREADS": "ALL_CPUS",
    "OVERVIEWS": "IGNORE_EXISTING",
    # Pixels without data take no part in the mean.
    "OVERVIEW_RESAMPLING": "AVERAGE",
}
NEXT_STEP = "make room on the disk, and the same command goes on from here"
OUTDATED = "STATISTICS_"
"""Begins the names of what GDAL once computed from the pixels of the source."""


def write_cog(scene: Scene, kept: Sequence[KeptRows], target: Path) -> None:
    """Write the result of a scene; a file of that name is replaced.

    Args:
        kept: The rows of each of the scene's layers.

    Raises:
        StorageError: The disk is full, or the folder cannot be written.
    """
    rasterio = load_rasterio()
    with (
        atomic_path(target) as temporary,
        # GDAL writes overviews into further files first, which go with the folder.
        temporary_folder(temporary.parent) as folder,
        _errors_of_gdal(target),
        rasterio.Env(GDAL_CACHEMAX=CACHE, GDAL_VRT_RAWRASTERBAND_ALLOWED_SOURCE="ALL"),
    ):
        description = folder.path / "result.vrt"
        rasterio.shutil.copy(scene.dataset, description, driver="VRT")
        _describe_result(description, scene, kept)
        made = folder.path / "result.tif"
        rasterio.shutil.copy(description, made, **OPTIONS)
        _compare(description, made, target, has_mask=any(not each.bands for each in scene.layers))
        made.replace(temporary)


def _compare(expected: Path, made: Path, target: Path, *, has_mask: bool) -> None:
    """Raise StorageError if the file holds other pixels than it was made of.

    GDAL does not report it where the last bytes of a file find no room.
    """
    rasterio = load_rasterio()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(expected) as rows, rasterio.open(made) as result:
            for _, window in result.block_windows(1):
                is_same = np.array_equal(rows.read(window=window), result.read(window=window))
                if has_mask:
                    masks = (file.read_masks(1, window=window) for file in (rows, result))
                    is_same &= np.array_equal(*masks)
                if not is_same:
                    raise StorageError(
                        f"is incomplete once it is written: {NEXT_STEP}", path=target
                    )


def _describe_result(file: Path, scene: Scene, kept: Sequence[KeptRows]) -> None:
    """Turn the description of the scene into that of its result."""
    tree = ElementTree.parse(file)
    root = tree.getroot()
    (height, width, _), (rows, columns) = kept[0].shape, scene.shape
    root.set("rasterXSize", str(width))
    root.set("rasterYSize", str(height))
    _rescale_place(root, width / columns, height / rows)
    for metadata in root.iter("Metadata"):
        for item in metadata.findall("MDI"):
            if item.get("key", "").startswith(OUTDATED):
                metadata.remove(item)
    for band in root.iter("VRTRasterBand"):
        for stale in (*band.findall("SimpleSource"), *band.findall("Overview")):
            band.remove(stale)
        band.attrib.pop("blockXSize", None)
        band.attrib.pop("blockYSize", None)
        band.set("subClass", "VRTRawRasterBand")
        number = band.get("band")
        _add_rows(band, *_place_of(int(number) if number else None, scene.layers, kept))
    tree.write(file, "utf-8")


def _place_of(
    band: int | None, layers: Sequence[Layer], kept: Sequence[KeptRows]
) -> tuple[KeptRows, int]:
    """The rows that hold a band, or the mask for None, and the channel that it is there."""
    for layer, rows in zip(layers, kept, strict=True):
        if band in layer.bands:
            return rows, layer.bands.index(band)
        if band is None and not layer.bands:
            return rows, 0
    raise AssertionError(f"band {band} is in no layer")


def _add_rows(band: ElementTree.Element, kept: KeptRows, channel: int) -> None:
    """Name the file of `kept` as what holds a band's pixels."""
    _, width, channels = kept.shape
    size = kept.dtype.itemsize
    for name, value in (
        ("SourceFilename", kept.file.resolve()),
        ("ImageOffset", channel * size),
        ("PixelOffset", channels * size),
        ("LineOffset", width * channels * size),
        ("ByteOrder", "LSB" if sys.byteorder == "little" else "MSB"),
    ):
        ElementTree.SubElement(band, name).text = str(value)
    band.find("SourceFilename").set("relativeToVRT", "0")  # type: ignore[union-attr]


def _rescale_place(root: ElementTree.Element, across: float, down: float) -> None:
    """Give a result that is `across` times as wide and `down` times as high its scene's place."""
    transform = root.find("GeoTransform")
    if transform is not None:
        left, x_across, x_down, top, y_across, y_down = map(float, str(transform.text).split(","))
        values = left, x_across / across, x_down / down, top, y_across / across, y_down / down
        transform.text = ", ".join(map(repr, values))
    for point in root.iter("GCP"):
        for name, factor in (("Pixel", across), ("Line", down)):
            point.set(name, repr(float(point.get(name, "0")) * factor))
    rpc = root.find("Metadata[@domain='RPC']")
    for item in () if rpc is None else rpc:
        axis, _, kind = item.get("key", "").partition("_")
        if axis in ("SAMP", "LINE") and kind in ("OFF", "SCALE"):
            factor = across if axis == "SAMP" else down
            # The centre of the first pixel is 0.
            half = 0.5 if kind == "OFF" else 0.0
            item.text = repr((float(item.text or 0) + half) * factor - half)


@contextmanager
def _errors_of_gdal(target: Path) -> Iterator[None]:
    """What GDAL cannot write, having been given rows that it can, is due to the disk."""
    try:
        yield
    except gdal_errors() as error:
        raise StorageError(
            f"cannot be written ({reason_of(error)}): {NEXT_STEP}", path=target
        ) from error

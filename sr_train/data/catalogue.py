"""The data sets that have a name here: their official addresses, layouts and splits."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["DATASETS", "Archive", "Dataset", "Split"]


@dataclass(frozen=True)
class Archive:
    """A file at an official address."""

    url: str
    name: str
    """Its name in ROOT/downloads."""
    digest: str | None = None
    """As `download` takes it; None: none was published, so the first download's is recorded."""


@dataclass(frozen=True)
class Split:
    """A part of a known data set, as it was published."""

    origin: Archive | Path
    """An archive; or the recipe by which it is cut from photographs in packages."""
    folders: tuple[str, ...]
    """Possible names of its image folder; `{scale}` stands for the scale. None for a recipe."""
    images: int
    """Number of images."""

    def named(self, scale: int) -> tuple[str, ...]:
        """The folder names for a scale."""
        return tuple(folder.format(scale=scale) for folder in self.folders)


@dataclass(frozen=True)
class Dataset:
    """A known data set. Gray images that were published among RGB ones become R = G = B."""

    splits: Mapping[str, Split]
    train: str | None
    """The split for training where a configuration names none; None: it must name one."""
    val: str | None
    """The same for validation."""


DIV2K = "https://data.vision.ee.ethz.ch/cvl/DIV2K"
DIV2K_TRAIN = Archive(
    f"{DIV2K}/DIV2K_train_HR.zip", "DIV2K_train_HR.zip", "md5:bdc2d9338d4e574fe81bf7d158758658"
)
DIV2K_VALID = Archive(
    f"{DIV2K}/DIV2K_valid_HR.zip", "DIV2K_valid_HR.zip", "md5:9fcdda83005c5e5997799b69f955ff88"
)
FLICKR2K = Archive("https://cv.snu.ac.kr/research/EDSR/Flickr2K.tar", "Flickr2K.tar")
BSDS500 = Archive(
    "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/BSR/BSR_bsds500.tgz",
    "BSR_bsds500.tgz",
    "md5:0b17383ff0b21fe43d2f28e624203169",
)
# From github.com/jbhuang0604/SelfExSR, with LR images made by MATLAB for scales 2, 3 and 4.
SELF_EX_SR = ("image_SRF_{scale}", "x{scale}")
SET5 = Archive(
    "https://uofi.box.com/shared/static/kfahv87nfe8ax910l85dksyl2q212voc.zip", "Set5.zip"
)
SET14 = Archive(
    "https://uofi.box.com/shared/static/igsnfieh4lz68l926l8xbklwsnnk8we9.zip", "Set14.zip"
)
FREE_PHOTOS = Path(__file__).with_name("free_photos.json")

DATASETS: Mapping[str, Dataset] = {
    # Agustsson and Timofte, "NTIRE 2017 challenge on single image super-resolution", 2017.
    "div2k": Dataset(
        {
            "train": Split(DIV2K_TRAIN, ("DIV2K_train_HR",), 800),
            "val": Split(DIV2K_VALID, ("DIV2K_valid_HR",), 100),
        },
        train="train",
        val="val",
    ),
    # Lim et al., "Enhanced deep residual networks for single image super-resolution", 2017.
    "flickr2k": Dataset(
        {"train": Split(FLICKR2K, ("Flickr2K_HR",), 2650)}, train="train", val=None
    ),
    # Arbeláez et al., "Contour detection and hierarchical image segmentation", 2011.
    "bsds500": Dataset(
        {
            "train": Split(BSDS500, ("train",), 200),
            "val": Split(BSDS500, ("val",), 100),
            "test": Split(BSDS500, ("test",), 200),
        },
        train="train",
        val="val",
    ),
    # Photographs under free licences in packages of Debian: docs/free-photos.md.
    "free_photos": Dataset({"train": Split(FREE_PHOTOS, (), 158)}, train="train", val=None),
    # Bevilacqua et al., "Low-complexity single-image super-resolution", 2012.
    "set5": Dataset({"test": Split(SET5, SELF_EX_SR, 5)}, train=None, val="test"),
    # Zeyde et al., "On single image scale-up using sparse-representations", 2010.
    "set14": Dataset({"test": Split(SET14, SELF_EX_SR, 14)}, train=None, val="test"),
}

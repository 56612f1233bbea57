"""Pretrained weights for perceptual losses and LPIPS: finding, checking and reading them."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from torch import Tensor

from sr_runtime.cli.console import say
from sr_runtime.errors import ArgumentError, DataError, ModelError, about, require_extra
from sr_runtime.storage.atomic import atomic_path, create_folder
from sr_train.checksum import file_sha256
from sr_train.config.schema import PerceptualLoss
from sr_train.download import checked_sha256, download
from sr_train.lock import only_process_in
from sr_train.models.features import FeatureNetwork, build_features
from sr_train.tensor_file import fp32_copies, is_dense, read_tensor_file

__all__ = [
    "WEIGHTS",
    "found_weights",
    "load_features",
    "load_tensors",
    "prepare_weights",
    "read_weights",
    "weights_file",
]

TORCHVISION = "https://download.pytorch.org/models/"
LPIPS_V01 = (
    "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/weights/v0.1/"
)


@dataclass(frozen=True)
class OfficialWeights:
    """A file of weights on its authors' server."""

    url: str
    digests: Mapping[str, str]
    """The SHA-256, or its beginning, by file name. The first name is that of the download. A much
    smaller variant without the classifier has its own name and digest."""

    @property
    def name(self) -> str:
        return next(iter(self.digests))


def _torchvision(name: str, sha256: str, *, features: str | None = None) -> OfficialWeights:
    file = f"{name}-{sha256}.pth"  # torchvision's names end in the digest's beginning
    variant = {} if features is None else {f"{name}_features.pth": features}
    return OfficialWeights(TORCHVISION + file, {file: sha256, **variant})


LPIPS_SHA256 = "4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76"
SQUEEZENET_FEATURES = "435cedb387e95bc8291893f61a3a64f0345b8c23a05139aceef43947efb3d52d"

WEIGHTS: Mapping[str, OfficialWeights] = {
    "vgg11": _torchvision("vgg11", "8a719046"),
    "vgg13": _torchvision("vgg13", "19584684"),
    "vgg16": _torchvision("vgg16", "397923af"),
    "vgg19": _torchvision("vgg19", "dcbb9e9d"),
    "squeezenet1_1": _torchvision("squeezenet1_1", "b8a52dc0", features=SQUEEZENET_FEATURES),
    "lpips_squeeze": OfficialWeights(
        LPIPS_V01 + "squeeze.pth",
        dict.fromkeys(("lpips_squeeze_linear.pth", "squeeze.pth"), LPIPS_SHA256),
    ),
}

ST_LPIPS = "vgg_shift_tolerant.pth"
ST_LPIPS_SHA256 = "44597da68f49c1837c100ff52299050f274d102eb102e5837178c79be6f0e250"

# What stands before a tensor's name in torchvision's files, and in that of ST-LPIPS.
PREFIX = re.compile(r"^(features|net\.slice\d)\.")


def weights_file(name: str, *, given: str | None, root: Path) -> Path:
    """The file of WEIGHTS `name`: `given`, or the official one in ROOT/weights.

    The official file is downloaded if it is not there, and its digest is checked every time. That
    of `vgg16_st_lpips` is in a package otherwise. A `given` file is the user's own: only its shapes
    are checked, when it is read.

    Raises ArgumentError if `given` does not exist, DataError if the official file has another
    digest, StorageError if it cannot be downloaded, BackendError if the package is not installed.
    """
    if given is not None:
        if not Path(given).is_file():
            raise ArgumentError(f"there is no such file of {name} weights", path=given)
        return Path(given)
    if name == "vgg16_st_lpips":
        return _st_lpips_file(root / "weights")
    official = WEIGHTS[name]
    folder = root / "weights"
    if found := found_weights(name, folder):
        checked_sha256(found, official.url, f"sha256:{official.digests[found.name]}")
        return found
    target = folder / official.name
    with only_process_in(folder, say):
        download(  # or only check what another process has downloaded meanwhile
            official.url,
            target,
            digest=f"sha256:{official.digests[target.name]}",
            alternative="put a copy from elsewhere there, or into any FOLDER for "
            f"`python -m sr_train prepare {name} --from FOLDER --root {root}`",
        )
    return target


def prepare_weights(name: str, *, root: Path, source: Path | None) -> Path:
    """Put the official file of WEIGHTS `name` into ROOT/weights, from `source` or by download.

    Raises DataError if its digest differs or `source` lacks it, StorageError as `weights_file`.
    """
    if source is None:
        return weights_file(name, given=None, root=root)
    official, found = (
        WEIGHTS[name],
        found_weights(name, source) or found_weights(name, source / "weights"),
    )
    if found is None:
        raise DataError(
            f"the folder holds no weights of {name}: {' or '.join(official.digests)} was expected",
            path=source,
        )
    checked_sha256(found, official.url, f"sha256:{official.digests[found.name]}")
    target = root / "weights" / found.name
    create_folder(target.parent)
    with atomic_path(target) as temporary:
        shutil.copyfile(found, temporary)
    return target


def load_features(config: PerceptualLoss, root: Path) -> FeatureNetwork:
    """The network of `config` with its pretrained weights, frozen, on the CPU.

    Raises ArgumentError for a layer that it does not have, ModelError for a file with other
    weights, and as `weights_file`.
    """
    network = build_features(
        config.vgg_type, config.layer_weights, normalize_input=config.normalize_input
    )
    load_tensors(network, weights_file(config.vgg_type, given=config.weights, root=root))
    return network


def load_tensors(network: FeatureNetwork, path: Path) -> None:
    """Fill `network` from its authors' file; tensors of deeper layers are left out.

    Raises ModelError if a tensor is missing or has another shape.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    network.load_state_dict(read_weights(path, shapes))


def read_weights(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The tensors of these names and shapes in a file, with or without a PREFIX.

    They are copies in fp32. Raises ModelError if a tensor is missing, has another shape or type, or
    holds NaN or infinity.
    """
    content, _ = read_tensor_file(path)
    tensors = {PREFIX.sub("", str(name)): tensor for name, tensor in content.items()}
    for name, shape in shapes.items():
        found = tuple(tensors[name].shape) if is_dense(tensors.get(name)) else None
        if found != shape:
            what = f"no tensor {name!r}" if found is None else f"{name!r} with the shape {found}"
            raise ModelError(
                f"the file has {what}, and the shape {shape} was expected: these are the weights "
                "of another network",
                path=path,
            )
    with about(path):
        return fp32_copies({name: tensors[name] for name in shapes})


def found_weights(name: str, folder: Path) -> Path | None:
    """The official file of WEIGHTS `name` in a folder, whose digest is not checked."""
    return next((folder / f for f in WEIGHTS[name].digests if (folder / f).is_file()), None)


def _st_lpips_file(folder: Path) -> Path:
    """The weights of ST-LPIPS in `folder`, or else in their package."""
    file, remedy = folder / ST_LPIPS, 'remove it, and `pip install "sr-toolkit[judge]"`'
    if not file.is_file():
        with require_extra("judge"):
            file = Path(str(files("stlpips_pytorch"))) / "weights" / "vST0.0" / ST_LPIPS
        remedy = "run `pip install --force-reinstall stlpips-pytorch==0.0.2`"
    if file_sha256(file) != ST_LPIPS_SHA256:
        raise DataError(f"the file is not that of stlpips-pytorch 0.0.2: {remedy}", path=file)
    return file

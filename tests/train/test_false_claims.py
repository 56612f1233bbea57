"""What a file claims is compared with what it holds before anything is allocated or built."""

import io
import json
import math
import re
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from sr_train.models.compact import SRVGGNetCompact
from sr_train.models.generator import Generator
from sr_train.models.rrdbnet import RRDBNet
from tests.train.refusals import refusal, refusal_of

SMALL = {"rrdb_channels": 4, "growth_channels": 2, "num_basic_blocks": 1}
NETWORK = RRDBNet(**SMALL)


def repeated(*shape: int) -> Tensor:
    """One stored number that claims to be a tensor of this shape."""
    return torch.zeros(1).expand(shape)


def archive_with(pickled: bytes, path: Path, compression: int = zipfile.ZIP_STORED) -> Path:
    """A checkpoint whose description of its objects is replaced."""
    buffer = io.BytesIO()
    torch.save({"params": NETWORK.state_dict()}, buffer)
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(path, "w", compression) as target:
        for name in source.namelist():
            replaced = pickled and name.endswith("data.pkl")
            target.writestr(name, pickled if replaced else source.read(name))
    return path


def test_tensors_of_one_stored_number_are_not_made_whole(tmp_path: Path) -> None:
    width = 30_000
    state = {"body.0.weight": repeated(width, 3, 3, 3), "body.0.bias": repeated(width)}
    state |= {"body.1.weight": repeated(width), "body.2.weight": repeated(48, width, 3, 3)}
    state |= {"body.2.bias": torch.zeros(48)}
    square = {"body.2.weight": repeated(width, width, 3, 3), "body.2.bias": repeated(width)}
    state |= square | {"body.3.weight": repeated(width), "body.4.bias": torch.zeros(48)}
    state["body.4.weight"] = repeated(48, width, 3, 3)
    tracemalloc.start()
    said = refusal_of({"params": state}, tmp_path)
    assert "claim 32,455,5" in said
    assert f"{(tmp_path / 'model.pth').stat().st_size:,}" in said
    assert tracemalloc.get_traced_memory()[1] < 1 << 24
    tracemalloc.stop()


def test_a_tensor_of_a_million_millions_is_refused_by_its_shape(tmp_path: Path) -> None:
    state = NETWORK.state_dict() | {"conv_hr.weight": repeated(10**6, 10**6, 3, 3)}
    assert re.search("claim|1000000, 1000000", refusal_of(state, tmp_path))


@pytest.mark.parametrize(
    ("network", "option", "claim"),
    [
        (NETWORK, "num_basic_blocks", 10**7),
        (NETWORK, "num_basic_blocks", 1.5),
        (NETWORK, "rrdb_channels", 2**40),
        (NETWORK, "scale_factor", 2**60),
        (NETWORK, "scale_factor", []),
        (NETWORK, "residual_scaling", "0.2"),
        (NETWORK, "plus", True),
        (NETWORK, "depth", 3),
        (SRVGGNetCompact(num_features=2, num_convolutions=1), "num_convolutions", 10**7),
        (SRVGGNetCompact(num_features=2, num_convolutions=1), "activation", ["relu"]),
    ],
    ids=lambda v: v.arch if isinstance(v, Generator) else None,
)
def test_metadata_that_claim_more_than_the_tensors_are_refused(
    network: Generator, option: str, claim: object, tmp_path: Path
) -> None:
    facts = {"arch": network.arch, "architecture": {**network.architecture, option: claim}}
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file(network.state_dict(), path, {"sr.generator": json.dumps(facts)})
    assert f"metadata claims {option} {claim!r}" in refusal(path)


def test_metadata_with_a_residual_scaling_out_of_range_are_refused(tmp_path: Path) -> None:
    facts = {"arch": "RRDBNet", "architecture": {"residual_scaling": math.nan}}
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file(NETWORK.state_dict(), path, {"sr.generator": json.dumps(facts)})
    assert "residual_scaling is nan" in refusal(path)


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 6000, '{"arch": 1, "architecture": []}'])
def test_metadata_that_are_no_facts_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file(NETWORK.state_dict(), path, {"sr.generator": text})
    assert "metadata is damaged" in refusal(path)


def shared_bytes(header: dict[str, Any]) -> None:
    header["conv_hr.bias"]["data_offsets"] = header["conv_first.bias"]["data_offsets"]


def endless_shape(header: dict[str, Any]) -> None:
    header["conv_hr.bias"]["shape"] = [10**6, 10**6]


def bytes_beyond_the_end(header: dict[str, Any]) -> None:
    header["conv_hr.bias"]["data_offsets"] = [0, 1 << 60]


@pytest.mark.parametrize("damage", [shared_bytes, endless_shape, bytes_beyond_the_end])
def test_safetensors_whose_offsets_make_no_file_are_refused(
    damage: Callable[[dict[str, Any]], None], tmp_path: Path
) -> None:
    content = safetensors.torch.save(NETWORK.state_dict())
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    damage(header)
    text = json.dumps(header).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
    assert "cannot be read as safetensors" in refusal(path)


def test_a_length_beyond_the_file_is_refused(tmp_path: Path) -> None:
    for length in (1 << 31, 1 << 63):
        (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", length) + b'{"a":')
        refusal(tmp_path / "model.safetensors")


def test_a_compressed_archive_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = archive_with(b"", tmp_path / "model.pth", zipfile.ZIP_DEFLATED)
    assert "compressed" in refusal(path)


def test_endless_descriptions_of_objects_are_not_read(tmp_path: Path) -> None:
    path = archive_with(b"\x80\x02" + b"]" * (33 << 20) + b".", tmp_path / "model.pth")
    assert "34,603,011 bytes" in refusal(path)


BYTEARRAY = b"\x80\x02cbuiltins\nbytearray\n\x8a\x05" + (1 << 34).to_bytes(5, "little") + b"\x85R."
HEX = b"0h\0h\1X\3\0\0\0hex\x86Rq\1"  # the hexadecimal digits of what the last line gave
DOUBLED = b"\x80\x02c_codecs\nencode\nq\0X\1\0\0\0aX\6\0\0\0latin1\x86Rq\1" + 60 * HEX + b"."


@pytest.mark.parametrize("pickled", [BYTEARRAY, DOUBLED], ids=["bytearray", "hex"])
@pytest.mark.parametrize("legacy", [False, True])
def test_a_few_bytes_that_would_become_gigabytes_are_refused(
    pickled: bytes, legacy: bool, tmp_path: Path
) -> None:
    path = tmp_path / "model.pth"
    if legacy:
        torch.save({}, path, _use_new_zipfile_serialization=False)
        path.write_bytes(path.read_bytes().replace(b"\x80\x02}q\0.", pickled))
        assert pickled in path.read_bytes()
    else:
        archive_with(pickled, path)
    assert "of any length" in refusal(path)

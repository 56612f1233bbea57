"""Whatever an index holds: the images that were packed, or one sentence."""

import json
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sr_runtime.errors import DataError, StorageError
from sr_train.data import packed_index
from sr_train.data.packed_dataset import PackedImages
from tests.train.made_images import prepare_own, save_folder

Facts = dict[str, Any]
ABSURD = (
    None, 0, -1, 1, 4, 2**70, 1e400, float("nan"), True, "x", "", [], {}, [[1, 2]], [["a", "b"]],
    [[-40, -48]] * 3, [[40, 48]] * 400, [[2**40, 2**40]] * 3, [[0, 0]] * 3, "../../etc/passwd",
)  # fmt: skip


@pytest.fixture
def packed(tmp_path: Path) -> PackedImages:
    save_folder(tmp_path / "mine", (32, 40), (40, 32), (64, 36))
    return prepare_own(tmp_path / "mine", tmp_path / "data")


def write(path: Path, facts: Facts) -> None:
    """Write facts as an index with a right checksum, as an attacker could."""
    facts = {name: value for name, value in facts.items() if name != "checksum"}
    path.write_text(json.dumps(facts | {"checksum": packed_index._checksum(facts)}))


def mutations(facts: Facts) -> Iterator[Facts]:
    """Each fact, absurd and missing, and those of a file likewise."""
    for name in facts:
        for value in ABSURD:
            yield facts | {name: value}
        yield {other: value for other, value in facts.items() if other != name}
    for name in facts["hr"]:
        for value in ABSURD:
            yield facts | {"hr": facts["hr"] | {name: value}}
    yield facts | {"unknown": 1}
    # Height and width exchanged: as many bytes, and other pictures.
    yield facts | {"sizes": [[40, 32], *facts["sizes"][1:]]}


def test_an_index_that_states_anything_else_is_damaged(packed: PackedImages) -> None:
    path = packed.folder / "x4.json"
    facts = json.loads(path.read_text())
    tried, said = list(mutations(facts)), []
    for mutation in tried:
        write(path, mutation)
        try:
            images = PackedImages(packed.folder, 4)
        except DataError as error:
            said.append(str(error))
            continue
        for i in range(len(images)):
            height, width = images.size(i)
            assert images.hr(i).shape == (height, width, 3)
            assert images.lr(i).shape == (height // 4, width // 4, 3)
    # The rest are other texts for a text, other times, and sizes of the same area.
    assert len(tried) * 0.75 < len(said) < len(tried)
    assert all(each.startswith(str(packed.folder)) for each in said)
    assert max(map(len, said)) < 400 + 2 * len(str(packed.folder))


def test_every_changed_byte_of_an_index_is_noticed(packed: PackedImages) -> None:
    path = packed.folder / "x4.json"
    content = path.read_bytes()
    chosen = random.Random(0)
    for position in chosen.sample(range(len(content)), 200):
        byte = chosen.randrange(256)
        path.write_bytes(content[:position] + bytes([byte]) + content[position + 1 :])
        try:
            index = PackedImages(packed.folder, 4).index
        except DataError:
            continue
        assert index == packed.index  # a space for a line's end, say


@pytest.mark.parametrize(
    "content",
    ["", "{}", '{"schema": 3}', '{"schema": 1}', "[1]", "null", "\x00", "[" * 100_000, "9" * 5000],
)
def test_a_damaged_or_foreign_index_is_named(packed: PackedImages, content: str) -> None:
    (packed.folder / "x4.json").write_text(content)
    with pytest.raises(DataError, match=r"x4\.json: .*delete .*prepare it again"):
        PackedImages(packed.folder, 4)


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_an_index_that_is_no_file_is_named(
    packed: PackedImages, make: Callable[[Path], None]
) -> None:
    path = packed.folder / "x4.json"
    path.unlink()
    make(path)
    with pytest.raises(DataError, match=r"x4\.json: "):
        PackedImages(packed.folder, 4)


@pytest.mark.skipif(sys.platform == "win32", reason="a long name does not exist there")
def test_an_index_that_the_system_does_not_give_is_not_called_damaged(tmp_path: Path) -> None:
    """Nobody is told to delete its folder, which may be intact."""
    with pytest.raises(StorageError, match="File name too long"):
        packed_index.Index.read(tmp_path / f"{'n' * 300}.json")

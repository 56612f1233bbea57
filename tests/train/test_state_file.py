"""`state.pt`: equal states are equal files, and any other content is refused."""

import copy
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch

from sr_runtime import __version__
from sr_runtime.errors import ArgumentError, DataError, OutOfMemoryError, StorageError
from sr_train.state_file import FORMAT, load_state, save_state


def state() -> dict[str, Any]:
    """A state of every kind of value, in two memory formats."""
    images = torch.arange(48.0).reshape(1, 3, 4, 4)
    return {
        "position": {"stage": "training", "step": 7},
        "best": {"training": -0.25},
        "generator": ("RRDBNet", {"scale_factor": 4}),
        "tensors": [images, images.to(memory_format=torch.channels_last), torch.zeros(())],
        "step": 7,
        "wandb_id": None,
    }


def test_a_state_comes_back_and_saves_as_the_same_bytes(tmp_path: Path) -> None:
    first, second, path = tmp_path / "1", tmp_path / "2", tmp_path / "state.pt"
    save_state(state(), path)
    first.write_bytes(path.read_bytes())
    loaded = load_state(path)
    assert loaded["tensors"][1].is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(loaded["tensors"][1], state()["tensors"][1])
    # Loaded, or with objects that are shared, or not: pickle alone would tell them apart.
    shared = state()
    shared["best"][shared["position"]["stage"]] = shared["best"].pop("training")
    for same in (loaded, copy.deepcopy(loaded), shared):
        save_state(same, path)
        second.write_bytes(path.read_bytes())
        assert first.read_bytes() == second.read_bytes()


OTHERS: dict[str, Callable[[], Any]] = {
    "an empty dict": dict,
    "a tensor": lambda: torch.zeros(3),
    "a list": lambda: [1, 2],
    "a number": lambda: 7,
    "weights": lambda: {"params": {"a": torch.zeros(3)}},
    "a state without its checksum": lambda: {"format": FORMAT, "version": "0", **state()},
    "a checksum alone": lambda: {"format": FORMAT, "version": "0", "sha256": "0" * 64},
    "formats that are none": lambda: {"format": "2", "version": [], **state()},
    "a tensor of a terabyte": lambda: {
        "format": FORMAT, "version": "0", "sha256": "", "a": torch.zeros(1).expand(2**38),
    },
}  # fmt: skip


@pytest.mark.parametrize("make", OTHERS.values(), ids=OTHERS)
def test_anything_but_a_state_is_refused_in_one_sentence(
    make: Callable[[], Any], tmp_path: Path
) -> None:
    path = tmp_path / "state.pt"
    torch.save(make(), path)
    with pytest.raises(DataError, match=rf"^{path}: .*--init.*{tmp_path / 'weights'}"):
        load_state(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["position"].update(step=8),
        lambda content: content["position"].update(unknown=1),
        lambda content: content["tensors"][0].add_(1e-6),
        lambda content: content.pop("best"),
        lambda content: content.update(tensors=[]),
        lambda content: content.update(version="9.9"),
    ],
)
def test_a_state_that_was_changed_is_refused(
    change: Callable[[dict[str, Any]], Any], tmp_path: Path
) -> None:
    path = tmp_path / "state.pt"
    save_state(state(), path)
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)
    with pytest.raises(DataError, match="damaged"):
        load_state(path)


def test_whatever_bytes_are_changed_the_state_is_the_same_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    save_state(state(), path)
    content = path.read_bytes()
    chosen = random.Random(0)
    refused = 0
    for position in chosen.sample(range(len(content)), 150):
        path.write_bytes(content[:position] + chosen.randbytes(1) + content[position + 1 :])
        try:
            loaded = load_state(path)
        except DataError:
            refused += 1
            continue
        assert str(loaded) == str(load_state_of(content, path))
    assert refused > 20


def load_state_of(content: bytes, path: Path) -> dict[str, Any]:
    path.write_bytes(content)
    return load_state(path)


def test_a_state_gives_its_format_and_the_version_that_wrote_it(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    save_state({"best": {}}, path)
    content = torch.load(path, weights_only=True)
    assert content.pop("sha256") != ""
    assert content == {"format": FORMAT, "version": __version__, "best": {}}
    assert load_state(path) == {"best": {}}


@pytest.mark.parametrize(
    ("state", "found", "version"),
    [
        # sr-toolkit 0.1 wrote neither format nor version.
        ({"learners": {}, "made_for": {}}, 1, "0.1"),
        ({"format": FORMAT + 1, "version": "9.8"}, FORMAT + 1, "9.8"),
    ],
)
def test_a_state_of_another_format_names_the_version_that_reads_it_and_the_way_to_start_anew(
    state: dict[str, object], found: int, version: str, tmp_path: Path
) -> None:
    path = tmp_path / "state.pt"
    torch.save(state, path)
    with pytest.raises(DataError) as caught:
        load_state(path)
    said = str(caught.value)
    assert said.startswith(f"{path}: ")
    for fact in (f"format {found}", f"sr-toolkit {version}", f"format {FORMAT}", "--init"):
        assert fact in said
    assert str(tmp_path / "weights") in said
    assert "\n" not in said


@pytest.mark.parametrize("content", [b"", b"no state", b"PK\x03\x04 and no more"])
def test_a_damaged_state_is_a_data_error_that_names_the_weights_to_start_from(
    content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "state.pt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"^{path}: .*--init.*{tmp_path / 'weights'}"):
        load_state(path)


@pytest.mark.parametrize("length", [3_000, 5_000, 50_000, 90_000])
def test_a_state_that_is_cut_short_is_damaged_at_any_length(length: int, tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    save_state({"learners": torch.zeros(30_000)}, path)
    path.write_bytes(path.read_bytes()[:length])

    with pytest.raises(DataError, match="is damaged, or not the state of a run"):
        load_state(path)


@pytest.mark.parametrize(
    ("error", "raised"),
    [(PermissionError(13, "Permission denied"), StorageError), (MemoryError(), OutOfMemoryError)],
)
def test_a_state_that_cannot_be_read_now_is_not_called_damaged(
    error: Exception, raised: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> NoReturn:
        raise error

    path = tmp_path / "state.pt"
    path.write_bytes(b"whatever it holds")
    monkeypatch.setattr(torch, "load", refused)
    with pytest.raises(raised, match=rf"^{path}: ") as caught:
        load_state(path)
    assert "damaged" not in str(caught.value)


def test_a_missing_state_is_an_argument_error(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"state\.pt: "):
        load_state(tmp_path / "state.pt")

"""Kernels that TensorRT for RTX compiled on a card are kept in a file, for the next process.

Engines are built for real; the card is simulated, and so is what is compiled on it.
"""

import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sr_runtime.backends.base import infer
from sr_runtime.backends.tensorrt import runtime_cache
from sr_runtime.backends.tensorrt.engine_file import read_engine, sha256, write_engine
from tests.runtime.tiny_engine import batches, engine_file, expected, open_engine
from tests.simulated_tensorrt import Machine

SMALL = (1, 16, 16)
LARGE = (1, 32, 48)


def run(engine: Path, *shapes: tuple[int, int, int]) -> None:
    """Open an engine, as another process would, and let it run a batch of each shape."""
    backend = open_engine(engine)
    for batch in batches("float32", *shapes):
        infer(backend, batch)
    backend.close()


def test_kernels_are_compiled_once_and_not_again_by_the_next_process(
    card: Machine, engine: Path, cache: Path
) -> None:
    run(engine, SMALL, LARGE)
    assert card.rtx.compiled == [(), (1, 3, 16, 16), (1, 3, 32, 48)]
    (path,) = cache.glob("*.kernels")
    link = path.with_suffix(".link")
    link.hardlink_to(path)
    run(engine, LARGE, SMALL)
    assert len(card.rtx.compiled) == 3
    assert path.samefile(link), "it was written again with the same kernels"
    assert list(cache.glob("*.kernels")) == [path]


@pytest.mark.parametrize("change", ["card", "driver", "engine"])
def test_another_card_driver_or_engine_has_kernels_of_its_own(
    change: str, card: Machine, engine: Path, cache: Path
) -> None:
    run(engine, SMALL)
    (first,) = cache.glob("*.kernels")
    before = first.read_bytes()
    if change == "card":
        card.gpu.name = "Another RTX"
    elif change == "driver":
        card.cuda = 13010
    else:
        plan, info = read_engine(engine)
        write_engine(engine, plan + b" ", replace(info, plan_sha256=sha256(plan + b" ")))
    run(engine, SMALL)
    assert len(list(cache.glob("*.kernels"))) == 2
    assert first.read_bytes() == before


FOREIGN = b'["another environment", []]'


@pytest.mark.parametrize("content", [b"", b"no kernels", sha256(FOREIGN).encode() + FOREIGN])
def test_kernels_that_are_corrupt_or_foreign_are_ignored_and_replaced(
    content: bytes, card: Machine, engine: Path, cache: Path
) -> None:
    run(engine, SMALL)
    (path,) = cache.glob("*.kernels")
    good = path.read_bytes()
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(engine, SMALL)
    assert path.read_bytes() == good


def test_kernels_whose_bytes_changed_never_reach_the_library(
    card: Machine, engine: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are code."""
    run(engine, SMALL)
    (path,) = cache.glob("*.kernels")
    changed = path.read_bytes().replace(b"16, 16", b"16, 17")
    path.write_bytes(changed)
    given: list[bytes] = []
    caches = type(open_engine(engine)._runtime_cache._cache)
    monkeypatch.setattr(caches, "deserialize", lambda _, kernels: given.append(kernels))
    path.write_bytes(changed)
    run(engine, SMALL)
    assert given == []


def test_a_process_that_is_killed_keeps_what_it_compiled(
    card: Machine, engine: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime_cache, "SETTLED_SECONDS", 0.0)
    backend = open_engine(engine)
    (path,) = cache.glob("*.kernels")  # those of all shapes, as soon as it is open
    assert b"[1, 3, 16, 16]" not in path.read_bytes()
    first, second = batches("float32", SMALL, SMALL)
    infer(backend, first)
    infer(backend, second)
    assert b"[1, 3, 16, 16]" in path.read_bytes()
    backend.close()


def test_kernels_of_a_shape_are_saved_once_they_had_time_to_be_compiled(tmp_path: Path) -> None:
    clock, saved = [0.0], []

    class Config:
        class Cache:
            def serialize(self) -> bytes:
                saved.append(clock[0])
                return b"kernels %d" % len(saved)

            def deserialize(self, blob: bytes) -> bool:
                return True

        create_runtime_cache = staticmethod(Cache)

        def set_runtime_cache(self, cache: Cache) -> None: ...

    kernels = runtime_cache.RuntimeCache(tmp_path / "a.kernels", now=lambda: clock[0])
    kernels.attach(Config())
    for clock[0], shape in (
        (0, "first"),
        (19, "second"),  # does not put off the first
        (20, "first"),
        (38, "first"),
        (39, "first"),
        (90, "second"),
    ):
        kernels.before_batch((len(shape),))
    assert saved == [20, 39]


def test_the_least_recently_used_kernels_are_deleted(
    card: Machine, model: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = []
    for name in ("first", "second", "third"):
        (tmp_path / name).mkdir()
        engines.append(engine_file(model, tmp_path / name))
    run(engines[0], SMALL)
    (first,) = cache.glob("*.kernels")
    size = first.stat().st_size
    monkeypatch.setattr(runtime_cache, "MAX_BYTES", 2 * size)
    time.sleep(0.02)  # times of files are as coarse as this
    run(engines[1], SMALL)
    (second,) = set(cache.glob("*.kernels")) - {first}
    time.sleep(0.02)
    run(engines[0], SMALL)  # used again, and nothing new is compiled
    time.sleep(0.02)
    run(engines[2], SMALL)
    left = set(cache.glob("*.kernels"))
    assert first in left
    assert second not in left
    assert len(left) == 2


def test_an_engine_runs_where_kernels_cannot_be_kept_and_one_warning_says_so(
    card: Machine, engine: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SR_CACHE", str(tmp_path / "file" / "cache"))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        backend = open_engine(engine)
        (batch,) = batches("float32", SMALL)
        np.testing.assert_array_equal(infer(backend, batch), expected(model, batch))
        backend.close()
    assert [str(one.message)[:29] for one in said] == ["compiled kernels are not kept"]
    assert "set SR_CACHE to a folder" in str(said[0].message)
    assert card.gpu.is_clean


def test_a_library_that_gives_no_kernels_leaves_no_file(
    card: Machine, engine: Path, cache: Path
) -> None:
    card.rtx.caches_break = True
    run(engine, SMALL)
    assert not list(cache.glob("*.kernels"))

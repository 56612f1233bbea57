"""An engine and the file of its facts: wrong facts are refused, and the two always match."""

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sr_runtime.backends.tensorrt import engine_cache, engine_file
from sr_runtime.backends.tensorrt.engine_file import (
    EngineInfo,
    facts_path,
    only_writer_in,
    read_engine,
    sha256,
    write_engine,
)
from sr_runtime.errors import ModelError, StorageError
from sr_runtime.model_info import ModelInfo
from tests.runtime.in_threads import TOO_LONG, in_threads

INFO = EngineInfo(
    model=ModelInfo(
        arch="RRDBNet", scale=4, in_channels=3, out_channels=3, io="uint8", weights_dtype="float16"
    ),
    tensorrt="10.16.1.11",
    gpu="a GPU",
    compute_capability="9.0",
    onnx_sha256=sha256(b"onnx"),
    plan_sha256=sha256(b"plan"),
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gpu", [1]),
        ("gpu", 1e400),
        ("compute_capability", [9, 0]),
        ("compute_capability", ""),
        ("compute_capability", "9.0.1"),
        ("compute_capability", "99999999999.9"),
        ("compute_capabilities", 8.9),
        ("compute_capabilities", [8.9]),
        ("kind", []),
        ("hardware_compatible", {}),
        ("version_compatible", "no"),
        ("tensorrt", 10.16),
        ("workspace", "4G"),
        ("level", True),
        ("level", 3.5),
        ("min", "111"),
        ("min", [1, 2, True]),
        ("max", [4, 2**40, 2**40]),
        ("opt", [4, 1e400, 256]),
        ("onnx_sha256", None),
        ("plan_sha256", {}),
        ("scale", 0),
        ("scale", 2**70),
        ("scale", [4]),
        ("in_channels", 1000),
        ("out_channels", 0),
        ("weights_dtype", ["float16"]),
        ("weights_dtype", "x"),
        ("multiple_of", None),
        ("multiple_of", 2**70),
        ("halo", -1),
        ("halo", 2**70),
        ("receptive_radius", -1),
        ("receptive_radius", 2**70),
        ("arch", None),
        ("schema", float("nan")),
    ],
)
def test_facts_of_a_wrong_type_or_value_are_damaged(name: str, value: Any, tmp_path: Path) -> None:
    engine = tmp_path / "m.engine"
    write_engine(engine, b"plan", INFO)
    facts = json.loads(facts_path(engine).read_text())
    facts_path(engine).write_text(json.dumps(facts | {name: value}))
    with pytest.raises(ModelError, match=r"m\.engine\.json: .*damaged"):
        read_engine(engine)


@pytest.mark.parametrize("text", ["", "3", "null", "[]", '"x"', "[" * 100_000, '{"a":' * 100_000])
def test_what_is_no_object_is_damaged(text: str, tmp_path: Path) -> None:
    engine = tmp_path / "m.engine"
    write_engine(engine, b"plan", INFO)
    facts_path(engine).write_text(text)
    with pytest.raises(ModelError, match="damaged"):
        read_engine(engine)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no FIFOs")
def test_a_pipe_in_the_place_of_an_engine_or_its_facts_is_not_waited_for(tmp_path: Path) -> None:
    engine = tmp_path / "m.engine"
    write_engine(engine, b"plan", INFO)
    for path, says in ((facts_path(engine), "not beside it"), (engine, "no such engine")):
        path.unlink()
        os.mkfifo(path)
        with pytest.raises(ModelError, match=says):
            read_engine(engine)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    rtx = replace(
        INFO, kind="tensorrt-rtx", gpu=None, compute_capability=None, compute_capabilities=("8.9",)
    )
    for info in (INFO, rtx, replace(INFO, workspace=1 << 30)):
        write_engine(tmp_path / "m.engine", b"plan", info)
        assert read_engine(tmp_path / "m.engine") == (b"plan", info)


@pytest.mark.skipif(os.name == "nt", reason="Windows locks no folders")
def test_of_two_processes_that_write_one_engine_the_last_one_wins_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, turn = tmp_path / "m.engine", threading.Lock()
    first_is_between, second_is_done = threading.Event(), threading.Event()
    atomic_path = engine_file.atomic_path

    @contextlib.contextmanager
    def slow_after_the_plan(path: Path) -> Iterator[Path]:
        with atomic_path(path) as temporary:
            yield temporary
        if path == engine and turn.acquire(blocking=False):
            first_is_between.set()
            second_is_done.wait(0.3)  # it waits for us, unless there is no lock

    def write(plan: bytes) -> None:
        if plan == b"second":
            assert first_is_between.wait(TOO_LONG)
        with only_writer_in(tmp_path):
            write_engine(engine, plan, replace(INFO, plan_sha256=sha256(plan)))
        if plan == b"second":
            second_is_done.set()

    monkeypatch.setattr(engine_file, "atomic_path", slow_after_the_plan)
    assert in_threads(write, [b"first", b"second"]) == [None, None]
    assert read_engine(engine)[0] == b"second"


def test_the_least_recently_used_engines_of_the_cache_are_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    for age, name in enumerate(["new", "used", "old", "in_work"]):
        engine = tmp_path / f"{name}.engine"
        write_engine(engine, b"plan", INFO)
        engine.with_suffix(".lock").touch()
        os.utime(engine, (now - age, now - age))
    monkeypatch.setattr(engine_cache, "MAX_BYTES", 2 * len(b"plan"))
    with engine_cache._only_process_at(tmp_path / "in_work.engine"):
        engine_cache._delete_unused(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {
        f"{name}{end}"
        for name in ("new", "used", "in_work")
        for end in (".engine", ".engine.json", ".lock")
    }


def test_a_timing_cache_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    from sr_runtime.backends.tensorrt.timing_cache import _read

    with pytest.raises(StorageError, match="cannot be read"):
        _read(tmp_path)

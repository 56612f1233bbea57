"""Downloads from a real server on this machine, which can be made to misbehave."""

import errno
import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sr_runtime.errors import ArgumentError
from sr_train.data.download import download, remedy

CONTENT = np.random.default_rng(0).bytes(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()


@dataclass
class Server:
    """What it does, and the Range of every request it got (None: whole file)."""

    url: str = ""
    ranges: bool = True
    cuts: int = 0
    """So many answers end after a third of what was asked for."""
    status: int = 200
    requests: list[str | None] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    behaviour = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            behaviour.requests.append(asked)
            start = int(asked[len("bytes=") : -1]) if asked and behaviour.ranges else 0
            if behaviour.status != 200:
                self.send_error(behaviour.status)
                return
            if start >= len(CONTENT):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
                self.end_headers()
                return
            body = CONTENT[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if behaviour.cuts:
                behaviour.cuts -= 1
                body = body[: len(body) // 3]
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        behaviour.url = f"http://127.0.0.1:{running.server_port}/file.bin"
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield behaviour
        running.shutdown()
        thread.join()


@pytest.mark.parametrize("digest", [None, f"sha256:{SHA256}", f"sha256:{SHA256[:8]}", f"md5:{MD5}"])
def test_a_download_has_every_byte_and_returns_its_sha256(
    server: Server, tmp_path: Path, digest: str | None
) -> None:
    target = tmp_path / "folder" / "file.bin"
    assert download(server.url, target, digest=digest) == SHA256
    assert target.read_bytes() == CONTENT
    assert list(target.parent.iterdir()) == [target]


def test_what_is_there_is_checked_and_not_fetched_again(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "file.bin"
    target.write_bytes(CONTENT)
    assert download(server.url, target, digest=f"md5:{MD5}") == SHA256
    assert server.requests == []
    target.write_bytes(CONTENT[:-1])
    with pytest.raises(ArgumentError, match=r"file\.bin has md5 .* and not .*delete it"):
        download(server.url, target, digest=f"md5:{MD5}")


def test_an_interrupted_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:1000])
    download(server.url, tmp_path / "file.bin", digest=f"md5:{MD5}")
    assert server.requests == ["bytes=1000-"]


def test_a_server_that_ignores_range_sends_the_file_from_its_start(
    server: Server, tmp_path: Path
) -> None:
    server.ranges = False
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:1000])
    download(server.url, tmp_path / "file.bin", digest=f"md5:{MD5}")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_line_that_is_cut_is_taken_up_again(server: Server, tmp_path: Path) -> None:
    server.cuts = 3
    download(server.url, tmp_path / "file.bin", digest=f"md5:{MD5}")
    assert server.requests == [None, "bytes=1000000-", "bytes=1666666-", "bytes=2111110-"]


def test_a_line_that_brings_nothing_is_given_up_and_what_came_is_kept(
    server: Server, tmp_path: Path
) -> None:
    server.ranges, server.cuts = False, 10**6
    with pytest.raises(ArgumentError, match=r"lost after 1,000,000 bytes .*goes on from there"):
        download(server.url, tmp_path / "file.bin", digest=None)
    assert (tmp_path / "file.bin.part").stat().st_size == 1_000_000


def test_a_part_that_is_already_complete_only_gets_its_name(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    assert download(server.url, tmp_path / "file.bin", digest=f"md5:{MD5}") == SHA256


def test_a_part_longer_than_the_file_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.bin.part").write_bytes(CONTENT + b"more")
    assert download(server.url, tmp_path / "file.bin", digest=None) == SHA256


def test_another_digest_is_refused_and_the_target_not_made(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"has sha256 .* and not 00000000: .*delete it"):
        download(server.url, tmp_path / "file.bin", digest="sha256:00000000")
    assert not (tmp_path / "file.bin").exists()


def test_a_refusal_says_the_status_and_where_to_put_the_file(
    server: Server, tmp_path: Path
) -> None:
    server.status = 404
    with pytest.raises(ArgumentError, match=r"answers 404 .*put it at .*file\.bin$"):
        download(server.url, tmp_path / "file.bin", digest=None)


def test_without_a_connection_it_says_where_to_put_the_file(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"cannot be reached .*put it at .*file\.bin$"):
        download("http://127.0.0.1:9/file.bin", tmp_path / "file.bin", digest=None)


def test_nothing_is_made_before_something_comes(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(ArgumentError):
        download(server.url, tmp_path / "folder" / "file.bin", digest=None)
    assert list(tmp_path.iterdir()) == []


def test_room_is_advised_where_it_helps() -> None:
    for full in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        assert remedy(OSError(full, "full")) == "make room, or choose another --root"
    assert remedy(OSError(errno.EACCES, "not allowed")) == "choose another --root"

"""Downloads from a real server on this machine, which can be made to misbehave."""

import contextlib
import hashlib
import http.server
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sr_runtime.errors import DataError, StorageError
from sr_train.download import download

CONTENT = np.random.default_rng(0).bytes(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()


@dataclass
class Server:
    """How it behaves, and the Range of every request it got (None: whole file)."""

    url: str = ""
    ranges: bool = True
    cuts: int = 0
    """The number of answers that end after a third of what was requested."""
    status: int = 200
    kind: str = "application/octet-stream"
    length: str | None = None
    """The Content-Length of its answers; None: the right one."""
    shift: int = 0
    """How many bytes later than requested its answers start."""
    stalls: bool = False
    """Whether its answers stop after 1000 bytes, until the test ends."""
    ended: threading.Event = field(default_factory=threading.Event)
    headers: dict[str, str] = field(default_factory=dict)
    """More headers of answers of another status than 200."""
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
                self.send_response(behaviour.status)
                for name, value in behaviour.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                return
            if start >= len(CONTENT):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
                self.end_headers()
                return
            body = CONTENT[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Type", behaviour.kind)
            self.send_header("Content-Length", behaviour.length or str(len(body)))
            if start:
                first = start + behaviour.shift
                self.send_header("Content-Range", f"bytes {first}-/{len(CONTENT)}")
            self.end_headers()
            if behaviour.stalls:
                self.wfile.write(body[:1000])
                behaviour.ended.wait(20)
                return
            if behaviour.cuts:
                behaviour.cuts -= 1
                body = body[: len(body) // 3]
            with contextlib.suppress(ConnectionError):  # the client may refuse the rest
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        behaviour.url = f"http://127.0.0.1:{running.server_port}/file.bin"
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield behaviour
        behaviour.ended.set()
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


def test_an_existing_file_is_checked_and_not_downloaded_again(
    server: Server, tmp_path: Path
) -> None:
    target = tmp_path / "file.bin"
    target.write_bytes(CONTENT)
    assert download(server.url, target, digest=f"md5:{MD5}") == SHA256
    assert server.requests == []
    target.write_bytes(CONTENT[:-1])
    with pytest.raises(DataError, match=rf"file\.bin: md5 .* {MD5}: .*delete it"):
        download(server.url, target, digest=f"md5:{MD5}")


def test_an_interrupted_download_continues_where_it_stopped(server: Server, tmp_path: Path) -> None:
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


def test_a_broken_connection_is_resumed(server: Server, tmp_path: Path) -> None:
    server.cuts = 3
    download(server.url, tmp_path / "file.bin", digest=f"md5:{MD5}")
    assert server.requests == [None, "bytes=1000000-", "bytes=1666666-", "bytes=2111110-"]


def test_a_connection_that_brings_nothing_more_is_given_up_and_the_part_is_kept(
    server: Server, tmp_path: Path
) -> None:
    server.ranges, server.cuts = False, 10**6
    with pytest.raises(StorageError, match=r"lost after 1,000,000 bytes .* same command"):
        download(server.url, tmp_path / "file.bin", digest=None)
    assert (tmp_path / "file.bin.part").stat().st_size == 1_000_000


def test_a_server_that_stalls_is_given_up_after_a_while(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sr_train.download.TIMEOUT", 0.1)
    server.ranges, server.stalls = False, True
    with pytest.raises(StorageError, match=r"lost after 1,000 bytes .*timed out"):
        download(server.url, tmp_path / "file.bin", digest=None)
    assert (tmp_path / "file.bin.part").read_bytes() == CONTENT[:1000]


def test_a_part_that_is_already_complete_only_gets_its_name(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    assert download(server.url, tmp_path / "file.bin", digest=f"md5:{MD5}") == SHA256


def test_a_part_longer_than_the_file_is_downloaded_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.bin.part").write_bytes(CONTENT + b"more")
    assert download(server.url, tmp_path / "file.bin", digest=None) == SHA256


def test_another_digest_is_refused_and_the_target_is_not_made(
    server: Server, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=rf"sha256 .*{SHA256[:8]}.* 00000000: .*delete it"):
        download(server.url, tmp_path / "file.bin", digest="sha256:00000000")
    assert not (tmp_path / "file.bin").exists()


def test_a_refusal_gives_the_status_and_the_place_of_a_copy(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(StorageError, match=rf"{server.url} .* 404 .* put .* there$") as raised:
        download(server.url, tmp_path / "file.bin", digest=None)
    assert raised.value.path == tmp_path / "file.bin"


def test_without_a_connection_the_callers_alternative_is_given(tmp_path: Path) -> None:
    url = "http://127.0.0.1:9/file.bin"
    with pytest.raises(StorageError, match=rf"{url} cannot be reached .* ask a friend$") as raised:
        download(url, tmp_path / "file.bin", digest=None, alternative="ask a friend")
    assert raised.value.path == tmp_path / "file.bin"


def test_nothing_is_made_before_the_first_byte(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(StorageError):
        download(server.url, tmp_path / "folder" / "file.bin", digest=None)
    assert list(tmp_path.iterdir()) == []


def test_too_little_room_is_noticed_before_the_download(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    little = shutil.disk_usage(tmp_path)._replace(free=4000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: little)
    with pytest.raises(StorageError, match=r"3,000,000 bytes.* 4,000 .*--root"):
        download(server.url, tmp_path / "file.bin", digest=None)
    assert not list(tmp_path.glob("*.bin*"))


def test_a_folder_that_cannot_be_made_is_a_storage_error(server: Server, tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file")
    with pytest.raises(StorageError, match=r"cannot be written .*--root"):
        download(server.url, tmp_path / "folder" / "file.bin", digest=None)


def test_a_web_page_in_place_of_the_file_is_refused(server: Server, tmp_path: Path) -> None:
    server.kind = "text/html; charset=utf-8"
    with pytest.raises(StorageError, match=rf"{server.url} .*web page.* put .* there$"):
        download(server.url, tmp_path / "file.bin", digest=None)
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_continues_elsewhere_is_refused(server: Server, tmp_path: Path) -> None:
    server.shift = 1
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:1000])
    with pytest.raises(StorageError, match=r"1,000 bytes.* delete .*file\.bin\.part"):
        download(server.url, tmp_path / "file.bin", digest=f"md5:{MD5}")
    assert (tmp_path / "file.bin.part").read_bytes() == CONTENT[:1000]


@pytest.mark.parametrize("length", ["many", "-1", "9" * 5000])
def test_a_length_that_is_no_number_is_ignored(server: Server, tmp_path: Path, length: str) -> None:
    server.length = length
    download(server.url, tmp_path / "file.bin", digest=f"md5:{MD5}")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("file:///etc/passwd", "not allowed"),
        ("data:text/plain,hello", "not allowed"),
        ("ftp://127.0.0.1:9/file.bin", "leads to ftp"),
        ("/file.bin", "loop"),
        ("http://[::1", "IPv6"),
    ],
)
def test_a_redirection_that_leads_nowhere_is_one_sentence(
    server: Server, tmp_path: Path, location: str, told: str
) -> None:
    server.status, server.headers = 302, {"Location": location}
    with pytest.raises(StorageError, match=told) as raised:
        download(server.url, tmp_path / "file.bin", digest=None)
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("wait", "told"), [("120", "in 120 seconds"), ("Wed, 21 Oct 2099 07:28:00 GMT", "later")]
)
def test_a_busy_server_says_when_to_try_again(
    server: Server, tmp_path: Path, wait: str, told: str
) -> None:
    server.status, server.headers = 503, {"Retry-After": wait}
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:1000])
    with pytest.raises(StorageError, match=rf"503 .*try again {told}, or put"):
        download(server.url, tmp_path / "file.bin", digest=None)
    assert (tmp_path / "file.bin.part").read_bytes() == CONTENT[:1000]


def test_an_answer_without_a_file_is_refused(server: Server, tmp_path: Path) -> None:
    server.status = 204
    with pytest.raises(StorageError, match="204 without the file"):
        download(server.url, tmp_path / "file.bin", digest=None)
    assert list(tmp_path.iterdir()) == []


def test_a_part_is_kept_until_the_server_sends_it_again(server: Server, tmp_path: Path) -> None:
    server.status = 416  # for the whole file too
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:1000])
    with pytest.raises(StorageError, match="answers 416"):
        download(server.url, tmp_path / "file.bin", digest=None)
    assert (tmp_path / "file.bin.part").read_bytes() == CONTENT[:1000]

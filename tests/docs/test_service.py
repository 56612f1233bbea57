"""The web service of docs/embed.md, started as its reader starts it."""

import io
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import PIL.Image
import pytest

from tests.docs.markdown import ROOT, blocks

pytestmark = pytest.mark.slow


@pytest.fixture
def address(folder: Path) -> Iterator[str]:
    """Where the service listens."""
    (program,) = (each for each in blocks(ROOT / "docs" / "embed.md") if each.file == "service.py")
    Path("service.py").write_text(program.text, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "service.py"],
        stdout=subprocess.PIPE,
        env=os.environ | {"PORT": "0", "PYTHONPATH": str(ROOT)},
        text=True,
    )
    assert process.stdout is not None
    with process:
        yield process.stdout.readline().strip()
        process.terminate()


def answer(address: str, body: bytes | None) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, data=body)) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read()


def stalled(address: str) -> socket.socket:
    """A client that announces a picture and never sends it."""
    host, _, port = address.removeprefix("http://").rstrip("/").partition(":")
    client = socket.create_connection((host, int(port)))
    client.sendall(b"POST / HTTP/1.0\r\nContent-Length: 1000\r\n\r\n")
    return client


def test_the_web_service_of_the_docs_answers_several_clients_and_refuses_nonsense(
    address: str, folder: Path
) -> None:
    photo = Path("photo.jpg").read_bytes()
    with ExitStack() as slow, ThreadPoolExecutor(4) as clients:
        for _ in range(4):
            slow.enter_context(stalled(address))
        answers = list(clients.map(lambda body: answer(address, body), [photo] * 4))
    assert len(set(answers)) == 1
    status, large = answers[0]
    assert status == 200
    with PIL.Image.open(io.BytesIO(large)) as result:
        assert (result.format, result.size) == ("PNG", (384, 256))

    assert answer(address, None)[0] == 405
    assert answer(address, b"")[0] == 413
    status, sentence = answer(address, b"no picture")
    assert status == 400
    assert str(folder) not in sentence.decode()
    assert "/tmp" not in sentence.decode()
    bomb = io.BytesIO()
    PIL.Image.new("L", (4000, 4000)).save(bomb, "PNG")
    assert answer(address, bomb.getvalue())[0] == 400
    assert answer(address, photo)[0] == 200

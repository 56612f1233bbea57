"""Images in an object store, which a server of S3 on this machine stands for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sr_runtime.__main__ import main as one_machine
from sr_runtime.distributed.__main__ import main
from tests.distributed.conftest import files_of

server = pytest.importorskip("moto.server", exc_type=ImportError)
pytest.importorskip("ray.data", exc_type=ImportError)
stores = pytest.importorskip("sr_runtime.distributed.stores")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("cluster")]


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """An address with `{}` for the name of what is in it."""
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    options = f"?endpoint_override={host}:{port}&scheme=http&allow_bucket_creation=true"
    system, name = stores._bucket("s3", "key:secret@photos", options)
    system.create_dir(name)
    yield f"s3://key:secret@photos/{{}}{options}"
    running.stop()


def test_a_folder_of_a_store_has_the_results_of_one_of_files(
    bucket: str, photos: Path, model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in files_of(photos):
        stores.upload(photos / name, bucket.format(f"in/{name}"))
    stores.upload(photos / "damaged.jpg", bucket.format("in/notes.txt"))
    one_machine(["upscale", str(photos), "-o", str(tmp_path / "one"), *model, "-q"])
    capsys.readouterr()

    words = ["upscale", bucket.format("in"), "-o", bucket.format("out"), *model]
    assert main(words) == 1

    expected, found = files_of(tmp_path / "one"), {}
    for name in stores.files_below(bucket.format("out")):
        stores.download(bucket.format(f"out/{name}"), tmp_path / "copy")
        found[name] = (tmp_path / "copy").read_bytes()
    assert found == expected
    told = capsys.readouterr()
    assert "damaged.jpg" in told.err.splitlines()[-1]
    assert "left out: 1 .txt" in told.out

    before = stores.files_below(bucket.format("out"))
    assert main([*words, "--skip-existing", "-q"]) == 2  # only because of the damaged one
    assert stores.files_below(bucket.format("out")) == before

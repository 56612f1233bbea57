"""Archives that are damaged or made to do harm: one sentence, and nothing outside the folder."""

import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sr_runtime.errors import DataError
from sr_train.data.build import unpack as unpacking
from sr_train.data.build.archives import unpacked
from sr_train.data.build.unpack import unpack
from sr_train.data.catalogue import Archive

CONTENT = bytes(range(256)) * 16
ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


def zipped(*names: str, method: int = zipfile.ZIP_STORED, content: bytes = CONTENT) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name in names:
            archive.writestr(name, content)
    return file.getvalue()


def tarred(*members: tarfile.TarInfo | str, mode: str = "w", content: bytes = CONTENT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for member in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            if info.isfile() and not info.size:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def special(name: str, kind: bytes, **facts: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    for fact, value in facts.items():
        setattr(info, fact, value)
    return info


def changed(content: bytes, field: int, value: int) -> bytes:
    """A zip of one member with another byte in its local header and in the directory's copy."""
    data = bytearray(content)
    data[field] = value
    data[data.index(b"PK\x01\x02") + field + 2] = value
    return bytes(data)


def damaged(content: bytes, start: int) -> bytes:
    return (
        content[:start]
        + bytes(b ^ 0xFF for b in content[start : start + 40])
        + content[start + 40 :]
    )


def of_size(size: int) -> bytes:
    """A tar of one member that states this size, as GNU does for large ones."""
    header = bytearray(tarfile.TarInfo("a.png").tobuf())
    header[124:136] = size.to_bytes(12, "big", signed=True)
    if size > 0:
        header[124] |= 0x80
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + CONTENT + bytes(1024)


def overlapping(members: int) -> bytes:
    """A zip whose directory names one member many times."""
    whole = zipped("a.png", method=zipfile.ZIP_DEFLATED)
    start, end = whole.index(b"PK\x01\x02"), whole.index(b"PK\x05\x06")
    entry, last = whole[start:end], bytearray(whole[end:])
    last[8:12] = 2 * members.to_bytes(2, "little")
    last[12:16] = (members * len(entry)).to_bytes(4, "little")
    return whole[:start] + entry * members + bytes(last)


def unpacked_from(tmp_path: Path, name: str, content: bytes) -> dict[str, bytes]:
    """The files that come out, by their paths; nothing else may appear."""
    (tmp_path / "archive" / "target").mkdir(parents=True)
    archive, target = tmp_path / "archive" / name, tmp_path / "archive" / "target"
    archive.write_bytes(content)
    try:
        unpack(archive, lambda path: path.suffix == ".png", target)
    finally:
        outside = [p for p in tmp_path.rglob("*") if p.is_file() and target not in p.parents]
        assert outside == [archive]
    assert not any(path.is_symlink() for path in target.rglob("*"))
    files = [path for path in target.rglob("*") if path.is_file()]
    return {str(path.relative_to(target)): path.read_bytes() for path in files}


@pytest.mark.parametrize("method", ZIP_METHODS)
def test_a_zip_of_every_method_is_unpacked(tmp_path: Path, method: int) -> None:
    content = zipped("x/a.png", "x/b.txt", method=method)
    assert unpacked_from(tmp_path, "a.zip", content) == {"x/a.png": CONTENT}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_of_every_compression_is_unpacked(tmp_path: Path, mode: str) -> None:
    content = tarred("x/a.png", "x/b.txt", mode=mode)
    assert unpacked_from(tmp_path, "a.tar", content) == {"x/a.png": CONTENT}


NAMES = ("../a.png", "x/../../a.png", "/a.png", "..\\a.png", "C:a.png", "C:/x/a.png", "x/D:a.png")
DEFLATED, LZMA, BZIP2 = (
    zipped("a.png", method=method)
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2)
)
HARMFUL: dict[str, tuple[str, bytes]] = {
    **{f"zip with the name {name}": ("a.zip", zipped(name)) for name in NAMES},
    **{f"tar with the name {name}": ("a.tar", tarred(name)) for name in NAMES},
    "encrypted zip": ("a.zip", changed(zipped("a.png"), 6, 1)),
    "zip of an unknown method": ("a.zip", changed(zipped("a.png"), 8, 99)),
    "zip that needs a newer version": ("a.zip", changed(zipped("a.png"), 4, 99)),
    "zip with another checksum": ("a.zip", damaged(zipped("a.png"), 100)),
    "damaged deflate": ("a.zip", damaged(DEFLATED, 60)),
    "damaged LZMA": ("a.zip", damaged(LZMA, 44)),
    "damaged bzip2": ("a.zip", damaged(BZIP2, 44)),
    "damaged gzip": ("a.tgz", damaged(tarred("a.png", mode="w:gz"), 100)),
    "damaged tar.bz2": ("a.tar", damaged(tarred("a.png", mode="w:bz2"), 60)),
    "damaged tar.xz": ("a.tar", damaged(tarred("a.png", mode="w:xz"), 80)),
    "tar cut short": ("a.tar", tarred("a.png")[:2000]),
    "gzip cut short": ("a.tgz", tarred("a.png", mode="w:gz")[:200]),
    "no zip": ("a.zip", b"<html>not here</html>"),
    "no tar": ("a.tar", b""),
    "zip with a file twice": ("a.zip", zipped("x/a.png", "x/A.png")),
    "accents written in two ways": ("a.zip", zipped("x/\u00e4.png", "x/a\u0308.png")),
    "a file and a folder of one name": ("a.zip", zipped("x/a.png", "x/a.png/b.png")),
    "a name too long for a disk": ("a.zip", zipped("n" * 300 + ".png")),
    "zip bomb": ("a.zip", zipped("a.png", method=zipfile.ZIP_DEFLATED, content=bytes(10**6))),
    "gzip bomb beside the images": ("a.tgz", tarred("a.txt", mode="w:gz", content=bytes(10**6))),
    "a sparse file of a terabyte": (
        "a.tar",
        tarred(
            special(
                "a.png",
                tarfile.REGTYPE,
                pax_headers={
                    "GNU.sparse.major": "1",
                    "GNU.sparse.minor": "0",
                    "GNU.sparse.name": "a.png",
                    "GNU.sparse.realsize": str(2**40),
                },
            ),
            content=b"1\n0\n0\n".ljust(512, b"\0"),
        ),
    ),
    "a member of negative size": ("a.tar", of_size(-512)),
    "a member of 2⁹⁴ bytes": ("a.tar", of_size(2**94)),
    "no end of long names": (
        "a.tar", special("a.png", tarfile.GNUTYPE_LONGNAME).tobuf() * 5000
    ),
    "members that share their bytes": ("a.zip", overlapping(1000)),
    "a header of a gigabyte": ("a.tar", special("a", tarfile.XHDTYPE, size=2**30).tobuf()),
}  # fmt: skip


@pytest.mark.parametrize(("name", "content"), HARMFUL.values(), ids=HARMFUL)
def test_a_harmful_or_damaged_archive_is_one_sentence(
    tmp_path: Path, name: str, content: bytes
) -> None:
    with pytest.raises(DataError) as raised:
        unpacked_from(tmp_path, name, content)
    said = str(raised.value)
    assert said.startswith(f"{tmp_path / 'archive' / name}: ")
    assert "delete it" in said
    assert "\n" not in said
    assert len(said) < 600


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (zipped("a.png")[100:], "the archive is damaged"),
        (changed(zipped("a.png"), 6, 1), "'a.png' in it is encrypted: delete it"),
        (changed(zipped("a.png"), 8, 99), "the archive cannot be unpacked (.* method"),
        (zipped("n" * 300 + ".png"), "a name in the archive cannot be used"),
    ],
    ids=["without its start", "encrypted", "unknown method", "long name"],
)
def test_what_is_wrong_with_a_zip_is_told_apart(tmp_path: Path, content: bytes, told: str) -> None:
    with pytest.raises(DataError, match=told.replace("(", r"\(")):
        unpacked_from(tmp_path, "a.zip", content)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE]
)
def test_links_and_devices_of_a_tar_are_not_made(tmp_path: Path, kind: bytes) -> None:
    folder = special("x", kind, linkname="/tmp")
    content = tarred(folder, special("a.png", kind, linkname="/etc/passwd"), "x/b.png")
    assert unpacked_from(tmp_path, "a.tar", content) == {"x/b.png": CONTENT}


def test_a_link_in_a_zip_is_not_made(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        link = zipfile.ZipInfo("a.png")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("b.png", CONTENT)
    assert unpacked_from(tmp_path, "a.zip", file.getvalue()) == {"b.png": CONTENT}


def test_an_archive_of_too_many_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "MAX_MEMBERS", 2)
    with pytest.raises(DataError, match=r"a\.zip: .* 2 files"):
        unpacked_from(tmp_path, "a.zip", zipped("a.txt", "b.txt", "c.txt"))


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_fifo_or_a_folder_in_place_of_an_archive_is_refused_at_once(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    (tmp_path / "downloads").mkdir()
    make(tmp_path / "downloads" / "a.zip")
    archive = Archive("http://127.0.0.1:9/a.zip", "a.zip")
    with (
        pytest.raises(DataError, match=r"a\.zip: .*not a regular file"),
        unpacked(archive, tmp_path, ("x",), lambda _: None),
    ):
        pass

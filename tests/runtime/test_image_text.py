"""Text beside the pixels: it stops nothing, it is kept, and what it says stays true."""

import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sr_runtime.errors import ImageError
from sr_runtime.image import Picture, png, read, read_header, write
from tests.runtime.image_files import SIGNATURE, chunk, png_of

RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
PROMPT = (b"tEXt", b"parameters\0a cat, 4k")
XMP = b"""<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?>
<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>
<rdf:Description rdf:about='' xmlns:dc='http://purl.org/dc/elements/1.1/' xmlns:xmp='http://ns.adobe.com/xap/1.0/'
 xmlns:tiff='http://ns.adobe.com/tiff/1.0/' xmlns:exif='http://ns.adobe.com/exif/1.0/'
 xmlns:hdrgm='http://ns.adobe.com/hdr-gain-map/1.0/'
 tiff:Orientation='6' tiff:ImageWidth='8' exif:PixelXDimension='8' hdrgm:Version='1.0'
 xmp:Rating='5' tiff:Make='camera'>
<dc:title>Na\xc3\xafve &amp; \xe7\x94\xbb</dc:title><xmp:Thumbnails>AAAA</xmp:Thumbnails>
<exif:PixelYDimension>6</exif:PixelYDimension></rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end='w'?>"""


def chunks_of(path: Path) -> list[tuple[bytes, bytes]]:
    data, place, found = path.read_bytes(), len(SIGNATURE), []
    while place < len(data):
        size = int.from_bytes(data[place : place + 4])
        found.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + size]))
        place += size + 12
    return found


def read_and_written(tmp_path: Path, file: bytes, suffix: str = "png") -> Picture:
    (tmp_path / "in.png").write_bytes(file)
    write(read(tmp_path / "in.png"), tmp_path / f"out.{suffix}")
    return read(tmp_path / f"out.{suffix}")


@pytest.mark.parametrize(
    "text",
    [
        (b"zTXt", b"parameters\0\0" + zlib.compress(b"A" * 3_000_000)),
        (b"iTXt", b"workflow\0\1\0\0\0" + zlib.compress(b"x" * 3_000_000)),
        (b"tEXt", b"parameters\0" + b"B" * 12_000_000),
    ],
    ids=["zTXt", "iTXt", "tEXt"],
)
def test_much_text_stops_nothing_and_is_kept(tmp_path: Path, text: tuple[bytes, bytes]) -> None:
    again = read_and_written(tmp_path, png_of(RGB, text))

    np.testing.assert_array_equal(again.frames[0], RGB)
    assert again.png_text == (text,)
    assert read_header(tmp_path / "in.png").width == 8


def test_text_without_end_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png, "MOST_TEXT", 125_000)
    layers = [(b"tEXt", b"layer%d\0" % number + bytes(30_000)) for number in range(5)]
    again = read_and_written(tmp_path, png_of(RGB, PROMPT, *layers))

    np.testing.assert_array_equal(again.frames[0], RGB)
    assert [content[:10] for _, content in again.png_text] == [
        b"parameters", *(b"layer%d\0" % number + bytes(3) for number in range(4)),
    ]  # fmt: skip


@pytest.mark.parametrize("pixels", [RGB, RGB.astype(np.uint16)], ids=["8", "16"])
def test_text_is_kept_at_8_and_16_bits(tmp_path: Path, pixels: np.ndarray) -> None:
    pytest.importorskip("pyvips", exc_type=ImportError)
    again = read_and_written(
        tmp_path, png_of(pixels, PROMPT, (b"eXIf", b"II*\0\x08\0\0\0" + bytes(6)))
    )

    np.testing.assert_array_equal(again.frames[0], pixels)
    assert again.png_text == (PROMPT,)


def test_text_of_an_animation_is_kept(tmp_path: Path) -> None:
    moving = Picture(frames=(RGB, RGB[::-1]), durations=(10, 20), png_text=(PROMPT,), xmp=XMP)
    write(moving, tmp_path / "a.png")
    again = read(tmp_path / "a.png")
    assert (len(again.frames), again.png_text) == (2, (PROMPT,))
    assert again.xmp is not None


def test_text_about_the_old_file_is_left_behind(tmp_path: Path) -> None:
    stale = [(b"tEXt", b"Thumb::Image::Width\08"), (b"tEXt", b"exif:Orientation\06")]
    assert read_and_written(tmp_path, png_of(RGB, *stale, PROMPT)).png_text == (PROMPT,)


def test_exif_that_imagemagick_wrote_as_text_turns_the_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "camera"
    content = exif.tobytes()
    text = b"\nexif\n%8d\n%s\n" % (len(content), content.hex().encode())
    raw = (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text))
    (tmp_path / "a.png").write_bytes(png_of(RGB, raw))

    picture = read(tmp_path / "a.png")

    np.testing.assert_array_equal(picture.frames[0], np.rot90(RGB, -1))
    assert picture.png_text == ()
    assert b"camera" in (picture.exif or b"")
    assert read_header(tmp_path / "a.png").width == 6


@pytest.mark.parametrize("name", [b"tEXt", b"iCCP", b"gAMA", b"pHYs", b"eXIf", b"vpAg"])
def test_a_damaged_chunk_without_pixels_is_left_out(tmp_path: Path, name: bytes) -> None:
    damaged = bytearray(chunk(name, b"Title\0x\0\1"))
    damaged[-1] ^= 1
    (tmp_path / "a.png").write_bytes(png_of(RGB, bytes(damaged)))

    picture = read(tmp_path / "a.png")

    np.testing.assert_array_equal(picture.frames[0], RGB)
    assert (picture.png_text, picture.icc_profile, picture.exif, picture.dpi) == (
        (),
        None,
        None,
        None,
    )


def test_a_damaged_chunk_with_pixels_or_transparency_is_an_error(tmp_path: Path) -> None:
    damaged = bytearray(chunk(b"tRNS", bytes(6)))
    damaged[-1] ^= 1
    for file in (png_of(RGB, bytes(damaged)), png_of(RGB)[:-20] + bytes(8) + png_of(RGB)[-12:]):
        (tmp_path / "a.png").write_bytes(file)
        with pytest.raises(ImageError):
            read(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "avif"])
def test_xmp_is_kept_without_what_describes_the_old_file(tmp_path: Path, suffix: str) -> None:
    again = read_and_written(
        tmp_path, png_of(RGB, (b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + XMP)), suffix
    )

    assert again.xmp is not None
    for part in (b"Rating", b"Make", "Naïve &amp; 画".encode(), b"xpacket end"):
        assert part in again.xmp
    for part in (
        b"Orientation",
        b"ImageWidth",
        b"PixelXDimension",
        b"PixelYDimension",
        b"Thumbnails",
        b"hdrgm:Version",
    ):
        assert part not in again.xmp


def test_xmp_goes_into_a_jpeg_xl(tmp_path: Path) -> None:
    pytest.importorskip("pillow_jxl")
    write(Picture(frames=(RGB,), xmp=XMP), tmp_path / "a.jxl")
    assert b"Rating" in (tmp_path / "a.jxl").read_bytes()


@pytest.mark.parametrize(
    "packet",
    [
        b"<x:xmpmeta",
        b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
        b"<a>" * 20_000 + b"</a>" * 20_000,
        b"<a>" + b" " * 2**23 + b"</a>",
    ],
    ids=["cut", "entities", "deep", "large"],
)
def test_xmp_that_is_hostile_does_not_spoil_a_photo(tmp_path: Path, packet: bytes) -> None:
    content = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(packet)
    (tmp_path / "a.png").write_bytes(png_of(RGB, (b"iTXt", content)))
    picture = read(tmp_path / "a.png")
    np.testing.assert_array_equal(picture.frames[0], RGB)
    assert picture.xmp is None


def test_xmp_and_iptc_that_do_not_fit_a_jpeg_are_left_out(tmp_path: Path) -> None:
    large = b"\x1c\x02\x78" + bytes(70_000)
    write(Picture(frames=(RGB,), xmp=XMP + b" " * 70_000, iptc=large), tmp_path / "a.jpg")
    picture = read(tmp_path / "a.jpg")
    assert (picture.xmp, picture.iptc) == (None, None)


@pytest.mark.parametrize("first", ["jpg", "tif"])
@pytest.mark.parametrize("second", ["jpg", "tif"])
def test_iptc_is_kept_between_jpeg_and_tiff(tmp_path: Path, first: str, second: str) -> None:
    caption = b"\x1c\x02\x78\0\5Hello\x1c\x02\x50\0\2Me"
    write(Picture(frames=(RGB,), iptc=caption), tmp_path / f"a.{first}")
    write(read(tmp_path / f"a.{first}"), tmp_path / f"b.{second}")
    assert read(tmp_path / f"b.{second}").iptc == caption


@pytest.mark.parametrize("comment", [b"a cat, 4k", "Katze \u753b".encode(), b"caf\xe9"])
@pytest.mark.parametrize("first", ["jpg", "gif"])
@pytest.mark.parametrize("second", ["jpg", "gif"])
def test_the_comment_of_a_jpeg_or_gif_is_kept_through_png_too(
    tmp_path: Path, first: str, second: str, comment: bytes
) -> None:
    Image.fromarray(RGB).save(tmp_path / f"a.{first}", comment=comment)

    for one, other in ((f"a.{first}", "b.png"), ("b.png", f"c.{second}")):
        write(read(tmp_path / one), tmp_path / other)

    with Image.open(tmp_path / f"c.{second}") as image:
        assert image.info["comment"] == comment
    with Image.open(tmp_path / "b.png") as image:
        latin = "latin-1" if comment.endswith(b"\xe9") else "utf-8"
        assert image.info["Comment"] == comment.decode(latin)


def test_a_comment_that_does_not_fit_a_jpeg_is_left_out(tmp_path: Path) -> None:
    large = (b"zTXt", b"Comment\0\0" + zlib.compress(bytes(70_000)))
    write(Picture(frames=(RGB,), png_text=(large,)), tmp_path / "a.jpg")
    assert read(tmp_path / "a.jpg").png_text == ()


def test_the_comment_of_an_animation_is_kept(tmp_path: Path) -> None:
    frames = [Image.fromarray(RGB), Image.fromarray(255 - RGB)]
    options = {"save_all": True, "append_images": frames[1:], "comment": b"two of them"}
    frames[0].save(tmp_path / "a.gif", **options)

    write(read(tmp_path / "a.gif"), tmp_path / "b.gif")

    with Image.open(tmp_path / "b.gif") as image:
        assert (image.n_frames, image.info["comment"]) == (2, b"two of them")

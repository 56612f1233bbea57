"""A picture that no file could hold is refused when it is made."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sr_runtime.errors import ArgumentError, ImageError
from sr_runtime.image import Output, Picture, read, write

FRAME = np.zeros((4, 5, 3), np.uint8)
NAN = float("nan")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("dpi", (x, 72.0)) for x in (NAN, float("inf"), 0, -1, 1e30)),
        *(("dpi", dpi) for dpi in (72, (72,), (72, 72, 72), ("72", "72"))),
        *(("exif", exif) for exif in ("text", 5, b"junk")),
        *(("icc_profile", 5), ("xmp", "text"), ("iptc", [1])),
        *(("png_text", text) for text in (5, (b"tEXt",), ((b"sRGB", b"a\0"),))),
        *(("png_text", ((b"tEXt", content),)) for content in ("a\0b", b"a", b"\0", b"80" * 40)),
        *(("durations", durations) for durations in (5, (NAN,), ("1",))),
        *(("loop", loop) for loop in (-1, 1.5, "1", 65_536)),
        *(("pages", pages) for pages in (5, (FRAME,), (None,))),
        *(("frames", frames) for frames in ((), None, FRAME, ([1],), (FRAME, FRAME[1:]))),
        *(("frames", (FRAME.astype(kind),)) for kind in (np.int64, np.bool_, np.float64)),
        *(("frames", (np.zeros(shape, np.uint8),)) for shape in ((0, 5, 3), (4, 5, 5), (4,))),
    ],
)  # fmt: skip
def test_what_no_image_is_or_has_is_refused_in_one_sentence(field: str, value: Any) -> None:
    with pytest.raises(ArgumentError) as caught:
        Picture(**({"frames": (FRAME,)} | {field: value}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("format", ["png", "tiff"])
def test_floating_point_pixels_are_never_written(tmp_path: Path, format: str) -> None:
    floats = Picture(frames=(FRAME.astype(np.float32),))
    with pytest.raises(ImageError, match="floating-point"):
        write(floats, tmp_path / f"a.{format}")
    with pytest.raises(ImageError, match="floating-point"):
        Output(tmp_path / f"a.{format}").check(floats, height=4, width=5)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_of_the_other_byte_order_are_written_as_they_are(
    tmp_path: Path, channels: int
) -> None:
    values = np.arange(20 * channels, dtype=">u2").reshape(4, 5, channels) * 1000
    write(Picture(frames=(values,)), tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png").frames[0], values)


def test_a_gray_plane_is_a_frame_of_one_channel() -> None:
    assert Picture(frames=(FRAME[:, :, 0],)).frames[0].shape == (4, 5, 1)

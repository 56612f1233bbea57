"""How results are named: by size and model, by a template, and in which format."""

from pathlib import Path

import PIL.Image
import pytest

from sr_runtime.cli.names import Naming
from sr_runtime.embedded import BLENDS, DEFAULT, EMBEDDED
from sr_runtime.errors import ArgumentError, ImageError
from sr_runtime.output_size import OutputSize


def naming(**options: object) -> Naming:
    return Naming(**{"model": DEFAULT, "scale": 4, "size": OutputSize()} | options)


def picture(path: Path, frames: int = 1) -> Path:
    images = [PIL.Image.new("RGB", (40, 30), (80 * i, 0, 0)) for i in range(frames)]
    images[0].save(path, save_all=frames > 1, append_images=images[1:])
    return path


def name_of(named: Naming, path: Path, *, labelled: bool) -> str:
    return named.name(path.parent, path.name, labelled=labelled)


@pytest.mark.parametrize(
    ("model", "size", "label"),
    [
        (DEFAULT, {}, "x4"),
        *((name, {}, f"{name}_x4") for name in EMBEDDED if name != DEFAULT),
        ("models/RealESRGAN_x4plus.onnx", {}, "RealESRGAN_x4plus_x4"),
        (f"./{DEFAULT}", {"scale": 1.5}, f"{DEFAULT}_x1.5"),
        (DEFAULT, {"scale": 2.0}, "x2"),
        (DEFAULT, {"width": 3840}, "w3840"),
        ("psnr", {"height": 2160}, "psnr_h2160"),
    ],
)
def test_the_label_tells_the_size_and_a_model_that_is_not_the_default(model, size, label) -> None:
    named = naming(model=model, size=OutputSize(**size))
    assert named.label == label
    assert name_of(named, Path("a/photo.jpg"), labelled=True) == f"photo_{label}.png"
    assert name_of(named, Path("a/photo.jpg"), labelled=False) == "photo.png"


@pytest.mark.parametrize("ends", BLENDS)
def test_a_blend_is_named_by_its_crisp_end_whichever_is_asked_for(ends: tuple[str, str]) -> None:
    crisp = ends[1]
    label = "blend0.6_x4" if crisp == DEFAULT else f"{crisp}_blend0.6_x4"
    for model in ends:
        assert naming(model=model, blend=0.6).label == label
        templated = naming(model=model, blend=0.25, template="{stem}-{model}")
        assert name_of(templated, Path("a.jpg"), labelled=True) == f"a-{crisp}_blend0.25.png"


@pytest.mark.parametrize(
    ("template", "options", "name"),
    [
        ("{stem}_{model}_x{scale}", {}, f"photo_{DEFAULT}_x4.png"),
        ("{model}-{stem}", {"model": "a/b.onnx", "format": "webp"}, "b-photo.webp"),
        ("{stem}_{width}x{height}.{format}", {"format": "jpg"}, "photo_160x120.jpg"),
        ("{stem}_{scale}", {"size": OutputSize(width=100)}, "photo_2.5.png"),
        ("{stem}_{width}", {"size": OutputSize(height=60)}, "photo_80.png"),
        ("{{{stem}}}.png", {}, "{photo}.png"),
        ("{stem}", {"keep_format": True}, "photo.JPEG"),
        ("{stem}.v2", {}, "photo.v2.png"),
    ],
)
def test_a_template_names_results(template, options, name, tmp_path: Path) -> None:
    photo = picture(tmp_path / "photo.JPEG")
    assert name_of(naming(template=template, **options), photo, labelled=True) == name


@pytest.mark.parametrize(
    "template",
    ["{steam}", "{}", "{0}", "{stem.__class__}", "{stem[0]}", "{stem!r}", "{scale:099999999}",
     "{stem", "stem}", "a/{stem}", "..\\{stem}", "/tmp/{stem}", "a\0b"],
)  # fmt: skip
def test_a_template_that_names_nothing_is_refused(template: str) -> None:
    with pytest.raises(ArgumentError, match="--name "):
        naming(template=template)


def test_a_name_may_look_like_a_format(tmp_path: Path) -> None:
    """`holiday.jpg.png` is a photo called holiday.jpg."""
    photo = picture(tmp_path / "holiday.jpg.png")
    assert name_of(naming(template="{stem}"), photo, labelled=False) == "holiday.jpg.png"


def test_a_template_and_the_format_cannot_contradict_each_other() -> None:
    with pytest.raises(ArgumentError, match=r"ends in \.jpg, and the format is png"):
        name_of(naming(template="{stem}.jpg"), Path("a.jpg"), labelled=False)


def test_a_template_with_the_size_of_a_damaged_image_fails_for_that_image(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"a\.png"):
        name_of(naming(template="{stem}_{width}"), tmp_path / "a.png", labelled=False)


def test_formats_are_kept_where_they_can_be_written(tmp_path: Path) -> None:
    kept = naming(keep_format=True)
    for name, result in [
        ("a.jpg", "a.jpg"),
        ("a.TIF", "a.TIF"),
        ("a.bmp", "a.png"),
        ("a", "a.png"),
    ]:
        assert name_of(kept, Path(name), labelled=False) == result
    moving = picture(tmp_path / "moving.gif", frames=3)
    assert name_of(naming(), moving, labelled=False) == "moving.gif"
    assert name_of(naming(), picture(tmp_path / "still.gif"), labelled=False) == "still.png"

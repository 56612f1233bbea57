"""How results are named: photo_x4.png, photo_psnr_x4.png, or by a template."""

import os
from dataclasses import dataclass
from pathlib import Path
from string import Formatter

from sr_runtime.embedded import DEFAULT, ends_of
from sr_runtime.errors import ArgumentError
from sr_runtime.image import SUFFIXES, read_header
from sr_runtime.image.geotiff import is_geotiff
from sr_runtime.image.header import header_of
from sr_runtime.model_folder import stem_of
from sr_runtime.output_size import OutputSize
from sr_runtime.video.facts import read_facts
from sr_runtime.video.formats import CONTAINERS

__all__ = ["Naming"]

FIELDS = ("stem", "model", "scale", "width", "height", "format")


@dataclass(frozen=True, kw_only=True)
class Naming:
    """What the names of results are made of.

    Raises:
        ArgumentError: The template has an unknown field, or names no file.
    """

    model: str
    """As the user names it: by its name, or a file."""
    blend: float | None = None
    """From 0 to 1, if an embedded model is mixed with its partner."""
    scale: int
    """The model's."""
    size: OutputSize
    format: str | None = None
    """The format of all results; None: PNG, while animations, pages and GeoTIFFs keep theirs."""
    keep_format: bool = False
    """Each result has the format of its input, where it can be written."""
    template: str | None = None
    """A name with `FIELDS` in braces."""
    max_pixels: int | None = None
    """The limit on the frames of videos."""

    def __post_init__(self) -> None:
        if self.template is None:
            return
        try:
            parts = list(Formatter().parse(self.template))
        except ValueError as error:
            raise ArgumentError(f"--name {self.template}: {error}") from error
        for _, field, spec, conversion in parts:
            if field is not None and (field not in FIELDS or spec or conversion):
                raise ArgumentError(
                    f"--name {self.template} has the field {{{field}}}: there are "
                    f"{', '.join(f'{{{known}}}' for known in FIELDS)}, as they are"
                )
        if {"/", "\\", "\0"} & set(self.template):
            raise ArgumentError(
                f"--name {self.template} is a path, and results are named in their folder: "
                "choose that with -o"
            )

    @property
    def label(self) -> str:
        """What tells a result from its input: x4, or psnr_x4 for a model that is not the default.

        Without the model, the results of two models would replace each other.
        """
        if self.size.width is not None:
            size = f"w{self.size.width}"
        elif self.size.height is not None:
            size = f"h{self.size.height}"
        else:
            size = f"x{self.size.scale or self.scale:g}"
        names = self._model_names
        return "_".join([*(names[1:] if self._model == DEFAULT else names), size])

    @property
    def _model(self) -> str:
        """Blends have the name of their crisp end, whichever of the two was asked for."""
        return self.model if self.blend is None else ends_of(self.model)[1]

    @property
    def _model_names(self) -> list[str]:
        blend = [] if self.blend is None else [f"blend{self.blend:g}"]
        return [stem_of(self._model), *blend]

    def name(self, folder: Path, name: str, *, labelled: bool, video: bool = False) -> str:
        """The name of the result of the file `name` in `folder`.

        A video keeps its container, or becomes Matroska.

        Raises ImageError, OutOfMemoryError or ArgumentError if the template needs the size of an
        image that cannot be read or enlarged so far.
        """
        stem, ending = os.path.splitext(name)  # noqa: PTH122 (faster, for many images)
        suffix = _container(ending) if video else self._suffix(folder, name, ending)
        if self.template is None:
            return f"{stem}_{self.label}{suffix}" if labelled else stem + suffix
        made = self.template.format(**self._values(folder / name, suffix, video=video))
        stated = Path(self.template).suffix.lower()
        if video:
            return made if stated in (*CONTAINERS, ".{format}") else made + suffix
        if stated in SUFFIXES and stated != suffix.lower():
            raise ArgumentError(
                f"--name {self.template} ends in {stated}, and the format is {suffix[1:]}: leave "
                "the ending out, or choose it with --format"
            )
        return made if stated in SUFFIXES or stated == ".{format}" else made + suffix

    def _suffix(self, folder: Path, name: str, ending: str) -> str:
        if self.format is not None:
            return f".{self.format}"
        suffix = ending.lower()
        if self.keep_format and suffix in SUFFIXES:
            return ending
        if suffix not in (".gif", ".webp", ".tif", ".tiff"):
            return ".png"
        if suffix in (".tif", ".tiff") and is_geotiff(folder / name):
            return ending
        header = header_of(folder / name)
        return suffix if header is not None and header.frames > 1 else ".png"

    def _values(self, source: Path, suffix: str, *, video: bool) -> dict[str, object]:
        values: dict[str, object] = {
            "stem": source.stem,
            "model": "_".join(self._model_names),
            "format": suffix[1:].lower(),
            "scale": f"{self.size.scale or self.scale:g}",
        }
        given = self.size.width is not None or self.size.height is not None
        asked = {field for _, field, _, _ in Formatter().parse(self.template or "")}
        if asked & {"width", "height"} or (given and "scale" in asked):
            header = (
                read_facts(source, max_pixels=self.max_pixels) if video else read_header(source)
            )
            height, width = self.size.target(header.height, header.width, self.scale)
            values |= {"height": height, "width": width}
            if given:
                values["scale"] = f"{height / header.height:.3g}"
        return values


def _container(ending: str) -> str:
    """The suffix of a video's result."""
    return ending if ending.lower() in CONTAINERS else ".mkv"

"""What the documentation is made of: its pages, their blocks of code, their links."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "PAGES",
    "ROOT",
    "TEXTS",
    "Block",
    "anchors",
    "blocks",
    "links",
    "lost_fences",
    "name_of",
    "named_commands",
]

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXTS = [*PAGES, *sorted(ROOT.glob("[!R]*.md"))]

FENCE = re.compile(
    r"^(?P<indent> *)(?P<ticks>```+) *(?P<language>[\w-]*) *(?P<options>.*)\n"
    r"(?P<text>(?:.*\n)*?)(?P=indent)(?P=ticks) *$",
    re.MULTILINE,
)
ANY_FENCE = re.compile(r"^[ \t>]*(?:```|~~~).*", re.MULTILINE)
TITLE = re.compile(r'title="(.*)"')
NOT_RUN = "Not run by tests: "
PART = "part of "

COMMAND = re.compile(
    r"`((?:python -m|sr-upscale|sr-export|sr-train|torchrun|pip install|make)\s[^`]+)`"
)
LINK = re.compile(r"\]\(([^)\s]+)(?: \"[^\"]*\")?\)")
HEADING = re.compile(r"^#+ +(.*?) *$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    language: str
    title: str
    """What the site shows above it; "" for nothing."""
    text: str
    line: int
    """The first line of `text` in the page, counted from 1."""

    @property
    def not_run(self) -> str | None:
        """Why it cannot run here; None if it can."""
        return self.title.removeprefix(NOT_RUN) if self.title.startswith(NOT_RUN) else None

    @property
    def is_fragment(self) -> bool:
        """Whether it is not Python by itself."""
        return (self.not_run or "").startswith(PART)

    @property
    def file(self) -> str | None:
        """The file that it is the content of, if it is one."""
        return None if self.not_run is not None or not self.title else self.title


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of code of a page, in their order."""
    content = page.read_text(encoding="utf-8")
    for fence in FENCE.finditer(content):
        title = TITLE.search(fence["options"])
        yield Block(
            language=fence["language"],
            title=title[1] if title else "",
            text=textwrap.dedent(fence["text"]),
            line=content.count("\n", 0, fence.start("text")) + 1,
        )


def lost_fences(page: Path) -> list[str]:
    """Lines that open or close code which `blocks` does not see: unclosed, quoted, or of ~~~."""
    return ANY_FENCE.findall(_without_blocks(page))


def named_commands(page: Path) -> list[str]:
    """The commands in the sentences of a page."""
    return [" ".join(command.split()) for command in COMMAND.findall(_without_blocks(page))]


def links(page: Path) -> list[str]:
    """Targets of the page's links and pictures, without addresses."""
    targets = LINK.findall(re.sub(r"`[^`\n]*`", "", _without_blocks(page)))
    return [target for target in targets if not re.match(r"\w+:", target)]


def anchors(page: Path) -> set[str]:
    """What a link to a part of the page can name."""
    found = set()
    for heading in HEADING.findall(_without_blocks(page)):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", words).replace(" ", "-"))
    return found


def name_of(page: Path) -> str:
    """The page's path from the root of the repository."""
    return page.relative_to(ROOT).as_posix()


def _without_blocks(page: Path) -> str:
    return FENCE.sub("", page.read_text(encoding="utf-8"))

"""Links and pictures of everything that is written for readers lead somewhere."""

import re
from pathlib import Path

import pytest

from tests.docs.markdown import PAGES, ROOT, TEXTS, anchors, links, name_of
from tests.test_public_names import PUBLIC

MODELS = ROOT / "sr_runtime" / "models" / "README.md"


@pytest.mark.parametrize("text", [*TEXTS, MODELS], ids=name_of)
def test_every_link_of_a_text_leads_to_a_file_and_a_heading(text: Path) -> None:
    for link in links(text):
        path, _, anchor = link.partition("#")
        target = (text.parent / path).resolve() if path else text
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES[1:], ids=name_of)
def test_a_page_of_the_site_links_to_nothing_outside_of_it(page: Path) -> None:
    for link in links(page):
        target = (page.parent / link.partition("#")[0]).resolve()
        assert target.is_relative_to(ROOT / "docs"), link


def test_the_reference_has_every_public_name() -> None:
    pages = "".join(page.read_text() for page in (ROOT / "docs" / "api").glob("*.md"))
    shown = set(re.findall(r"^::: (\S+)$", pages, re.MULTILINE))
    public = {f"{module}.{name}" for module, names in PUBLIC.items() for name in names.split()}
    assert {name for name in public if not name.endswith("__version__")} <= shown
    others = {name for name in shown - public if not name.startswith("sr_runtime.image.")}
    assert not others

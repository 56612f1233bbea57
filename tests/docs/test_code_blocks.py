"""The code in the README and on the pages of the site works as it stands there.

What cannot run here says so above the block, `title="Not run by tests: needs a GPU"`, and is still
compiled, or read by the parsers of the programs. The content of a file has its name there.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sr_runtime.errors import ArgumentError, SRError
from tests.docs import shell
from tests.docs.markdown import (
    PAGES,
    ROOT,
    TEXTS,
    Block,
    blocks,
    lost_fences,
    name_of,
    named_commands,
)

WITH_CODE = [page for page in PAGES if any(blocks(page))]

# No bash, console or py: a block in them would not be tested.
LANGUAGES = {"python", "sh", "text", "ini", "json", "yaml", "toml", "dockerfile", "protobuf"}


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_CODE, ids=name_of)
def test_the_code_of_a_page_works(page: Path, folder: Path) -> None:
    with Image.open("photo.jpg") as photo:
        names: dict[str, Any] = {"__name__": "page", "image": np.asarray(photo)}
    for block in blocks(page):
        try:
            use(block, page, names)
        except Exception as error:
            raise AssertionError(f"{name_of(page)}, line {block.line}: {error!r}") from error


def use(block: Block, page: Path, names: dict[str, Any]) -> None:
    """Run a block, or read it if it cannot run; a file is written into the current folder."""
    if block.file is not None:
        file = Path(block.file)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.text, encoding="utf-8")
    if block.language == "python" and not block.is_fragment:
        # Tracebacks name the lines of the page.
        code = compile("\n" * (block.line - 1) + block.text, page, "exec")
        if block.title == "":
            exec(code, names)
    elif block.language == "sh":
        for line in shell.commands(block.text):
            (shell.parse if block.title else shell.run)(line)


@pytest.mark.parametrize("page", TEXTS, ids=name_of)
def test_the_commands_in_sentences_exist(page: Path, folder: Path) -> None:
    for command in named_commands(page):
        try:
            shell.parse(command)
        except ArgumentError:
            if re.search(r" -(?!m )", command):  # else it names a command, without arguments
                raise


def test_the_commands_for_the_first_gpu_can_be_typed() -> None:
    todo = ROOT / "benchmarks" / "gpu" / "TODO.md"
    lines = [line for block in blocks(todo) for line in shell.commands(block.text)]
    assert len(lines) > 5
    for line in lines:
        shell.parse(line)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_says_what_it_is(page: Path) -> None:
    assert lost_fences(page) == []
    for block in blocks(page):
        assert block.language in LANGUAGES, f"line {block.line}"
        assert block.not_run != "", f"line {block.line}: the reason is missing"
        is_file = block.file is None or re.fullmatch(r"\S+\.\w+", block.file)
        assert is_file, f"line {block.line}: {block.title}"


@pytest.mark.parametrize(
    "text",
    [
        "```sh\nfalse\n",
        "~~~sh\nfalse\n~~~\n",
        "> ```sh\n> false\n> ```\n",
        "\t```sh\n\tfalse\n\t```\n",
    ],
    ids=["unclosed", "tildes", "quoted", "tabs"],
)
def test_a_block_that_would_not_run_is_found(text: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"```sh\ntrue\n```\n\n{text}")
    assert lost_fences(page)
    page.write_text("```sh\ntrue\n```\n")
    assert lost_fences(page) == []


@pytest.mark.parametrize(
    "line",
    [
        "python -m sr_runtime upscale photo.jpg --tiles 4",
        "cat a.png | sr-upscale upscale - --nmae x > b.png",
        "torchrun --nproc-per-node 8 -m -- sr_train fit --preset papre",
        "SR_DATA=x python -m sr_export engine rrdb.onnx --for rtx",
        "docker run --rm --volume .:/photos sr-toolkit upscale photo.jpg --modle psnr",
        "python -m benchmarks.nothing",
        "python -m benchmarks.quality --data set5/x4 --modle psnr",
        "python -m benchmarks.gpu --device cuda:0",
        'pip install "sr-toolkit[cpu,gup]"',
        "make demmo",
    ],
)
def test_a_mistake_in_a_line_that_does_not_run_is_found(line: str) -> None:
    with pytest.raises((SRError, AssertionError)):
        shell.parse(line)


def test_a_mistake_after_an_installation_in_the_same_line_is_found() -> None:
    with pytest.raises(ArgumentError, match="--nmae"):
        shell.run('pip install ".[cpu]" && python -m sr_runtime upscale a.png --nmae x')

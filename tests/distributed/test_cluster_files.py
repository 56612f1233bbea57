"""The scripts for Slurm and the manifest for Kubernetes say nothing that their programs refuse."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.docs import shell

FOLDER = Path(__file__).parents[2] / "docs" / "cluster"
SCRIPTS = sorted(FOLDER.glob("*.sh"))
MANIFEST = FOLDER / "upscale.yaml"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_one_of_bash(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)
    if shellcheck := shutil.which("shellcheck", path=Path(sys.executable).parent):
        subprocess.run([shellcheck, script], check=True)


@pytest.mark.parametrize("file", [*SCRIPTS, MANIFEST], ids=lambda path: path.name)
def test_the_commands_can_be_typed(file: Path) -> None:
    text = re.sub(r"#.*", "", file.read_text("utf-8")).replace("\\\n", " ")
    run = re.search(r"run=\((.*)\)\nif", text)
    text = text.replace('"${run[@]}"', run[1] if run else "").replace("$preset", "tiny")
    if file == MANIFEST:
        text = "\n".join(
            " ".join(container.get("args", []))
            for document in yaml.safe_load_all(text)
            if "template" in document["spec"]
            for container in document["spec"]["template"]["spec"]["containers"]
        )
    commands = re.findall(r"(?:python|torchrun) .*-m .*sr_.*", text)
    assert commands
    for command in commands:
        shell.parse(command)


def test_the_manifest_has_the_fields_of_kubernetes() -> None:
    schemas = pytest.importorskip("kubernetes_validate")
    for document in yaml.safe_load_all(MANIFEST.read_text("utf-8")):
        schemas.validate(document, "1.37", strict=True)

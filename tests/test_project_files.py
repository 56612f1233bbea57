"""What workflows, Dockerfiles and the citation say agrees with the package and the Makefile."""

import configparser
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import sr_runtime

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text()
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
DOCKERFILES = sorted((ROOT / "docker").glob("*.Dockerfile"))

SETUP = configparser.ConfigParser(interpolation=None)
SETUP.read(ROOT / "setup.cfg")
PYTHONS = re.findall(r"Python :: (3\.\d+)", SETUP["metadata"]["classifiers"])
FIRST, LAST = PYTHONS[0], PYTHONS[-1]


def jobs(workflow: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(workflow.read_text())["jobs"])


def test_the_package_the_makefile_and_the_workflows_name_the_same_pythons() -> None:
    after_last = f"3.{int(LAST.removeprefix('3.')) + 1}"
    assert SETUP["options"]["python_requires"] == f">={FIRST},<{after_last}"
    checked = re.findall(r"\((3), (\d+)\)", MAKEFILE)
    assert [".".join(version) for version in checked] == [FIRST, LAST]
    everywhere = [
        job["strategy"]["matrix"]["python"]
        for workflow in WORKFLOWS
        for job in jobs(workflow).values()
        if "os" in job.get("strategy", {}).get("matrix", {})
    ]
    assert everywhere == [PYTHONS, PYTHONS]  # the quick tests, and the wheel


@pytest.mark.parametrize("name", ["Makefile", "README.md", "docs/install.md"])
def test_sentences_name_the_same_pythons(name: str) -> None:
    told = re.findall(r"Python (3\.\d+) to (3\.\d+)", (ROOT / name).read_text())
    assert set(told) == {(FIRST, LAST)}


def test_workflows_and_dockerfiles_install_extras_that_exist() -> None:
    texts = [path.read_text() for path in [*WORKFLOWS, *DOCKERFILES]]
    lists = [found for text in texts for found in re.findall(r"[.)]\[([a-z,-]+)\]", text)]
    assert len(lists) == 4
    assert {extra for found in lists for extra in found.split(",")} <= set(
        SETUP["options.extras_require"]
    )
    (everything,) = re.findall(r"^EXTRAS := (\S+)$", MAKEFILE, re.MULTILINE)
    assert everything in lists  # on Windows, where the Makefile does not run


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", ".github/workflows/ci.yml"])
def test_every_make_command_has_its_target(name: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
    text = (ROOT / name).read_text()
    commands = re.findall(r"(?:run: |^|`)make ((?:[a-z]+ ?)+)", text, re.MULTILINE)
    used = {target for command in commands for target in command.split()}
    assert {"lint", "quick", "test", "fuzz", "docs"} <= used <= targets


def test_only_the_publishing_job_may_do_more_than_read() -> None:
    assert {path.stem for path in WORKFLOWS} == {"ci", "release", "wheel"}
    for workflow in WORKFLOWS:
        assert yaml.safe_load(workflow.read_text())["permissions"] == {"contents": "read"}
        more = {
            name: job["permissions"] for name, job in jobs(workflow).items() if "permissions" in job
        }
        assert more == ({"publish": {"id-token": "write"}} if workflow.stem == "release" else {})


def test_the_citation_names_the_version_and_the_licence_of_the_code() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == sr_runtime.__version__
    assert citation["license"] == SETUP["metadata"]["license"].split()[0]


def test_docker_builds_from_files_that_are_there() -> None:
    admitted = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert [name for name in admitted if not (ROOT / name).exists()] == []
    for dockerfile in DOCKERFILES:
        for mounted in re.findall(r"bind,source=([^,]+),", dockerfile.read_text()):
            assert mounted in admitted


DATED = {
    "changelog": "## 1.2.3 (2030-01-31)",
    "citation": "version: 1.2.3\ndate-released: 2030-01-31",
}


@pytest.mark.skipif(sys.platform == "win32", reason="the check is a script for bash on Linux")
@pytest.mark.parametrize(
    ("tag", "told", "complaint"),
    [
        ("v1.2.3", {}, None),
        ("v1.2.4", {}, "tag v1.2.3"),
        ("1.2.3", {}, "tag v1.2.3"),
        ("v1.2.3", {"changelog": "## 1.2.3 (unreleased)"}, "CHANGELOG.md"),
        ("v1.2.3", {"changelog": "## 1.2.30 (2030-01-31)"}, "CHANGELOG.md"),
        ("v1.2.3", {"citation": "version: 1.2.2\ndate-released: 2030-01-31"}, "CITATION.cff"),
        ("v1.2.3", {"citation": "version: 1.2.3\ndate-released: 2029-12-31"}, "CITATION.cff"),
    ],
)
def test_a_release_whose_files_disagree_is_refused(
    tag: str, told: dict[str, str], complaint: str | None, tmp_path: Path
) -> None:
    (script,) = [
        step["run"]
        for step in jobs(ROOT / ".github" / "workflows" / "release.yml")["check"]["steps"]
        if "run" in step
    ]
    told = DATED | told
    (tmp_path / "sr_runtime").mkdir()
    (tmp_path / "sr_runtime" / "__init__.py").write_text('__version__ = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n{told['changelog']}\n\n- A thing\n")
    (tmp_path / "CITATION.cff").write_text(f"title: sr-toolkit\n{told['citation']}\n")
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=tmp_path,
        env={"TAG": tag, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    if complaint is None:
        assert done.returncode == 0, done.stdout
    else:
        assert done.returncode == 1
        assert complaint in done.stdout

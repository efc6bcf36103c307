"""Dependencies: each has a range, its ends are installed by a job of their own, and pins are within it."""

import tomllib
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml
from _pytest.config import parse_warning_filter
from deprecations import strict
from devtools import constraints
from devtools.constraints import direct_requirements, lower_bound, lowest_lines, tool_requirements
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
DIRECT, TOOLS = direct_requirements(ROOT), tool_requirements(ROOT)
SETTINGS: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = SETTINGS["project"]


def lines(name: str) -> list[str]:
    text = (ROOT / "constraints" / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("text", PROJECT["dependencies"])
def test_a_dependency_has_a_lowest_version_and_ends_before_one_that_nobody_tried(text: str) -> None:
    """An older version is as untried as the next major one."""
    requirement = Requirement(text)
    assert lower_bound(requirement)
    assert {part.operator for part in requirement.specifier} == {">=", "<"}


def test_the_lowest_versions_are_the_lower_bounds() -> None:
    """`python -m devtools.constraints lowest > constraints/lowest.txt` makes the file again."""
    assert lines("lowest.txt") == lowest_lines(DIRECT)


def test_each_tested_version_is_within_its_range_and_none_is_missing() -> None:
    """Extras that the tests do not install have no pin."""
    pins = dict(line.split("==") for line in lines("tested.txt"))
    needed = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    assert needed | {canonicalize_name(tool.name) for tool in TOOLS} <= set(pins)
    wrong = [
        f"{requirement} has {pins[name]}"
        for requirement in (*DIRECT, *TOOLS)
        if (name := canonicalize_name(requirement.name)) in pins
        and not requirement.specifier.contains(pins[name])
    ]
    assert wrong == []


def test_the_closure_of_a_requirement_holds_what_it_requires_and_nothing_else() -> None:
    """Of pytest, pluggy; without the local part of a version, and without what is not installed."""
    found = dict(
        line.split("==")
        for line in constraints.tested_lines([Requirement("pytest>=8"), Requirement("no-such-thing")])
    )
    assert {"pytest", "pluggy", "iniconfig"} <= set(found)
    assert "no-such-thing" not in found
    assert "torch" not in found
    assert not any("+" in version for version in found.values())


@pytest.mark.parametrize(
    ("requirement", "bound"), [("a>=1.2,<2", "1.2"), ("a==0.1.0", "0.1.0"), ("a<2", None), ("a", None)]
)
def test_a_requirement_without_a_lower_bound_is_noticed(requirement: str, bound: str | None) -> None:
    """So that the tests above can fail."""
    if bound:
        assert lower_bound(Requirement(requirement)) == bound
    else:
        with pytest.raises(ValueError, match="expected one lower bound"):
            lower_bound(Requirement(requirement))


def workflow(name: str) -> Any:
    return yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text(encoding="utf-8"))


def test_both_ends_are_tested_by_a_workflow_that_stops_no_change_of_ours() -> None:
    """By the calendar, and where the ranges change; ci.yml runs neither."""
    ageing = workflow("ageing.yml")
    jobs = [(row["tox"], row["python"]) for row in ageing["jobs"]["ends"]["strategy"]["matrix"]["include"]]
    assert jobs[0] == ("lowest", "3.11")
    newest = [python for name, python in jobs if name == "newest"]
    assert newest == workflow("ci.yml")["jobs"]["all"]["strategy"]["matrix"]["python"]
    triggers = ageing[True]  # YAML 1.1 reads the key `on` as true
    assert set(triggers) == {"schedule", "workflow_dispatch", "pull_request"}
    assert "pyproject.toml" in triggers["pull_request"]["paths"]
    assert "lowest" not in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def is_error(category: type[Warning], filters: list[str]) -> bool:
    with warnings.catch_warnings(record=True):
        for line in filters:
            warnings.filterwarnings(*parse_warning_filter(line, escape=False))
        try:
            warnings.warn("old", category, stacklevel=1)
        except category:
            return True
    return False


@pytest.mark.parametrize("category", [DeprecationWarning, PendingDeprecationWarning, FutureWarning])
def test_a_deprecation_is_an_error_with_the_newest_versions_only(category: type[Warning]) -> None:
    """A release of somebody else does not stop a change of ours; all other warnings are errors everywhere."""
    filters = SETTINGS["tool"]["pytest"]["ini_options"]["filterwarnings"]
    assert not is_error(category, filters)
    assert is_error(category, strict(filters))
    assert is_error(UserWarning, filters)
    assert is_error(UserWarning, strict(filters))

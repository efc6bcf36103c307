"""Checks whether the packages of an optional extra are installed and recent enough."""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

_DISTRIBUTION = "fastformers-bench"


def missing_extra(extra: str) -> str | None:
    """Return which packages of the extra are missing or too old, with the command that installs them.

    None if all are there.
    """
    requirements = list(_requirements(extra))
    problems = [problem for requirement in requirements if (problem := _problem(requirement))]
    if not requirements:  # a checkout that was installed before the extra existed
        return f"needs the extra {extra}, which this installation does not have yet: pip install '.[{extra}]'"
    command = " ".join(f"'{requirement.name}{requirement.specifier}'" for requirement in requirements)
    return f"needs {' and '.join(problems)}: pip install {command}" if problems else None


def _requirements(extra: str) -> Iterator[Requirement]:
    """Yield the requirements that only the extra has, from the metadata of the installed distribution."""
    for line in requires(_DISTRIBUTION) or ():
        requirement = Requirement(line)
        marker = requirement.marker
        if marker and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""}):
            yield requirement


def _problem(requirement: Requirement) -> str | None:
    try:
        installed = version(requirement.name)
    except PackageNotFoundError:
        return requirement.name
    if requirement.specifier.contains(installed, prereleases=True):
        return None
    return f"{requirement.name}{requirement.specifier} (here is {installed})"

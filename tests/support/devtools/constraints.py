"""Makes the files in `constraints/`, which say what pip installs within the ranges of `pyproject.toml`.

    python -m devtools.constraints tested > constraints/tested.txt    # run by the Python of `.tox/tests`
    python -m devtools.constraints lowest > constraints/lowest.txt

    pyproject.toml, tox.ini --requirements--> their closure in this environment --tested--> NAME==INSTALLED
    pyproject.toml ---------requirements--> lower bounds ----------------------lowest--> NAME==BOUND

`tested` has the versions that are installed, dependencies of dependencies included, without the local part of
a build (`2.13.0+cpu` is `2.13.0`). `lowest` has the lower bound of each direct dependency; pip chooses the
newest of all others that go with them.
"""

import configparser
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[3]
TOOLS = ("testenv:tests", "testenv:lint")
"""The environments of `tox.ini` whose tools are pinned."""


def direct_requirements(root: Path = ROOT) -> list[Requirement]:
    """Return what the package and its extras require, in the order of `pyproject.toml`."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    return [Requirement(text) for texts in (project["dependencies"], *extras) for text in texts]


def tool_requirements(root: Path = ROOT) -> list[Requirement]:
    """Return what the environments of tests and lint add to the package."""
    config = configparser.ConfigParser(interpolation=None, inline_comment_prefixes=None)
    config.read(root / "tox.ini", encoding="utf-8")
    lines = [line.strip() for name in TOOLS for line in config[name]["deps"].splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def lower_bound(requirement: Requirement) -> str:
    """Return the lowest version that a requirement allows; ValueError where it has no such version."""
    bounds = [part.version for part in requirement.specifier if part.operator in (">=", "==", "~=")]
    if len(bounds) != 1:
        raise ValueError(f"expected one lower bound, got {requirement}")
    return bounds[0]


def lowest_lines(requirements: Iterable[Requirement]) -> list[str]:
    """Return the line of each requirement at its lower bound, by name."""
    lines = {f"{canonicalize_name(item.name)}=={lower_bound(item)}" for item in requirements}
    return sorted(lines, key=str.lower)


def tested_lines(requirements: Iterable[Requirement]) -> list[str]:
    """Return the line of each distribution that these requirements lead to and that is installed, by name."""
    versions: dict[str, str] = {}
    waiting = [(canonicalize_name(item.name), frozenset(item.extras)) for item in requirements]
    done = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in done:
            continue
        done.add((name, extras))
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            continue
        versions[name] = Version(installed.version).public
        waiting += _required(installed.requires or (), extras)
    return [f"{name}=={version}" for name, version in sorted(versions.items())]


def _required(requires: Iterable[str], extras: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    for text in requires:
        requirement = Requirement(text)
        environments = [{"extra": extra} for extra in (*extras, "")]
        if requirement.marker is None or any(map(requirement.marker.evaluate, environments)):
            yield canonicalize_name(requirement.name), frozenset(requirement.extras)


def main() -> None:
    """Print the file that the first argument names."""
    which = sys.argv[1] if len(sys.argv) == 2 else ""
    if which == "tested":
        heading = "What this commit was tested with, on Python 3.11: pip install -c constraints/tested.txt ."
        lines = tested_lines([*direct_requirements(), *tool_requirements()])
    elif which == "lowest":
        heading = "The lower bounds of pyproject.toml, for `tox -e lowest`, on Python 3.11."
        lines = lowest_lines(direct_requirements())
    else:
        sys.exit("expected tested or lowest")
    text = "\n".join([f"# {heading}", f"# Made by: python -m devtools.constraints {which}", *lines])
    print(text)  # noqa: T201 -- a program of its own


if __name__ == "__main__":
    main()

"""Whether what an extra installs is there and new enough, and the line that installs it."""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

_OURS = "fastformers-bench"


def missing_extra(extra: str) -> str | None:
    """Say what of the extra is missing or too old, with the line that installs it; or None."""
    asked = list(_requirements(extra))
    problems = [problem for wanted in asked if (problem := _problem(wanted))]
    if not asked:  # a checkout that was installed before the extra was there
        problems = [f"the extra {extra}, which this installation does not know"]
    return f"needs {' and '.join(problems)}: pip install '{_OURS}[{extra}]'" if problems else None


def _requirements(extra: str) -> Iterator[Requirement]:
    """Yield what the extra asks for beyond the rest, as the installed distribution says it."""
    for words in requires(_OURS) or ():
        wanted = Requirement(words)
        marker = wanted.marker
        if marker and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""}):
            yield wanted


def _problem(wanted: Requirement) -> str | None:
    try:
        found = version(wanted.name)
    except PackageNotFoundError:
        return wanted.name
    if wanted.specifier.contains(found, prereleases=True):
        return None
    return f"{wanted.name}{wanted.specifier} (here is {found})"

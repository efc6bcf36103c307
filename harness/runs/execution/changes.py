"""What changed since a run began: rounds of unlike conditions are never joined."""

from collections.abc import Iterator, Mapping

from harness.common.errors import UsageError
from harness.measurement.machine.host import host_changes
from harness.records.plan import Plan
from harness.runs.planning.schedule import read_split
from harness.runs.services import Observer

_ABSENT = "not installed"


def check_unchanged(plan: Plan, run: str, machine: Observer) -> None:
    """Raise UsageError if the machine, its software or the data are not those that the run began with.

    The message has each fact that differs, as it was and as it is now.
    """
    host = machine.host()
    if host.fingerprint != plan.host_fingerprint:
        facts = host_changes(plan.host, host) if plan.host else ()
        raise UsageError(
            "the run began on another machine, or this one has changed since"
            f"{_listed(fact.replace(', then ', ', now ') for fact in facts)}.",
            where=run,
            remedy="Resume it there, or start a new run here: rounds of different machines are never joined.",
        )
    if changes := list(_versions(plan.software, machine.software())):
        raise UsageError(
            f"the software has changed since the run began{_listed(changes)}.",
            where=run,
            remedy="Install what it began with, or start a new run: rounds of different versions are never "
            "joined.",
        )
    read_split(plan)


def _versions(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """Yield each distribution whose version differs; none where an earlier version wrote the plan."""
    for name in dict.fromkeys((*before, *now)) if before else ():
        if before.get(name) != now.get(name):
            yield f"{name}: {before.get(name, _ABSENT)}, now {now.get(name, _ABSENT)}"


def _listed(changes: "Iterator[str] | list[str]") -> str:
    listed = "; ".join(changes)
    return f": {listed}" if listed else ""

"""Which meter a run reads, once it has shown that it moves, and how long its windows must be.

choose --> try --> not moving: the next of the table, and the reason in `skipped`
               --> moving: facts for every record, and the least length of a visit
"""

from dataclasses import dataclass
from typing import Any

from harness.errors import UsageError
from harness.meters.base import Choice, Meter
from harness.meters.check import Check
from harness.record import EnergyFacts
from harness.sweep.machine import Machine, chosen_meter
from harness.sweep.plan import Profile

LONGEST_MS = 30_000
"""Visits are lengthened to this at most: a meter that steps once a second would ask for 200 s each."""

STUCK = "Find out why it stands still (some virtual machines show dead counters); `bench doctor --check`."


@dataclass(frozen=True, slots=True)
class Metered:
    """The meter that a run reads, or None; what its check showed; and why the others are not used."""

    choice: Choice
    check: Check | None

    def facts(self) -> EnergyFacts:
        """Return what every record of the run says about energy."""
        meter = self.choice.meter
        return EnergyFacts(
            meter=meter.name if meter else None,
            describe=meter.describe() if meter else {},
            skipped=self.choice.skipped,
            check=self.check.facts() if self.check else None,
        )

    def spec(self) -> dict[str, Any] | None:
        """Return what opens the meter in a worker."""
        from harness.meters.choose import spec_of

        return spec_of(self.choice.meter) if self.choice.meter else None

    def lengthened(self, profile: Profile) -> Profile:
        """Return the profile with windows that the meter can tell apart to 1 %."""
        least_ms = min(self.check.least_window_ms, LONGEST_MS) if self.check else 0
        return profile.model_copy(update={"window_ms": max(profile.window_ms, least_ms)})


def metered(machine: Machine, device: str, wanted: str = "") -> Metered:
    """Choose the meter of a device and try it; one that does not move leaves its place to the next.

    UsageError if it is the one that the user named: that is never replaced.
    """
    choice = chosen_meter(machine, device, wanted)
    while choice.meter:
        check = machine.try_meter(choice.meter)
        if check.moved is not False:
            return Metered(choice, check)
        if wanted:
            raise UsageError(
                f"the meter {choice.meter.name} cannot be used: {check.reason}.",
                where="--meter",
                remedy=STUCK,
            )
        choice = _without(machine, device, choice, choice.meter, str(check.reason))
    return Metered(choice, None)


def _without(machine: Machine, device: str, choice: Choice, stuck: Meter, reason: str) -> Choice:
    """Return the choice among the meters that came after the one that does not move."""
    rows = {stuck.name: (stuck.name, reason, STUCK)} | {row[0]: row for row in choice.skipped}
    found: Meter | None = None
    for name, because, remedy in choice.skipped:
        if because != f"{stuck.name} comes first":
            continue
        if found:
            rows[name] = (name, f"{found.name} comes first", remedy)
            continue
        other = machine.choose_meter(device, name)
        found = other.meter
        if found:
            del rows[name]
        else:
            rows |= {row[0]: row for row in other.skipped if row[0] == name}
    return Choice(found, tuple(rows.values()))

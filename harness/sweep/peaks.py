"""What the cores of a run do at most: before its first worker starts and after its last has ended."""

from harness.record import Limit, Peak
from harness.sweep.machine import Machine


def first(threads: int, machine: Machine) -> Limit:
    """Measure the peaks on so many threads; a limit that says why there are none where they cannot be."""
    found = machine.peaks(threads)
    if isinstance(found, str):
        return Limit(threads=threads, unavailable=found)
    peaks = {
        name: Peak(instruction=each["instruction"], before=each["per_second"]) for name, each in found.items()
    }
    return Limit(threads=threads, peaks=peaks)


def again(limit: Limit, machine: Machine) -> Limit:
    """Measure the same peaks once more."""
    found = machine.peaks(limit.threads)
    if isinstance(found, str):
        return limit
    peaks = {
        name: peak.model_copy(update={"after": found[name]["per_second"]}) if name in found else peak
        for name, peak in limit.peaks.items()
    }
    return limit.model_copy(update={"peaks": peaks})

"""Reads of a cumulative counter become the energy of a window, in one place for every meter.

    sample --- window --- sample --reading--> joules, or why there are none
    sample --- sample --- sample ---------->  the same, where the counter could wrap twice within the window

A counter wraps, restarts, stands still and fails. Each of these has produced energy out of nothing, negative
energy or zero joules in other tools; here a pair of reads gives energy only if exactly one amount of it is
plausible for the window's length.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from harness.records.reading import Reading, Zone

SMALLEST_RANGE_UJ = 65_532_610_987  # 2^32 units of 15.3 uJ, the finer of the two that are common
LOOKS = 3


@dataclass(frozen=True, slots=True)
class CounterTraits:
    """What is known of a counter.

    `update_ns` is the period of its steps, `quantum_uj` its smallest step, `ceiling_watts` more power than
    what it covers can draw.
    """

    source: str
    update_ns: int
    quantum_uj: float
    ceiling_watts: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One read: when, on a monotonic clock, and the counter in microjoules, or why it could not be read."""

    at_ns: int
    microjoules: int | None
    reason: str | None = None


def step(before: int, after: int, range_uj: int | None, span_ns: int, traits: CounterTraits) -> int | str:
    """Return the microjoules between two reads `span_ns` apart, or the reason why they cannot be known.

    The counter wraps at `range_uj` (None if unreadable: then no wrap is assumed). The energies that fit the
    two reads are `after - before` plus whole ranges; plausible are those that the ceiling allows in the
    window and one update at each edge. One plausible energy is the answer; none means that the counter
    restarted or was misread, two that it may have wrapped unseen.
    """
    back, wrap = after < before, range_uj or 0
    energy = after - before + (wrap if back else 0)
    most = traits.ceiling_watts * (span_ns + 2 * traits.update_ns) // 1000  # W x ns = nJ
    took = f"in {span_ns / 1e9:.6g} s"
    objections = (
        (wrap and max(before, after) > wrap, f"the counter reads more than its range of {wrap / 1e6:.6g} J"),
        # also where one read is the range itself and the other 0: the same place of the counter
        (energy == 0, _stood_still(span_ns, traits)),
        (back and not wrap, "the counter stepped back, and the range at which it wraps cannot be read"),
        (
            back and energy > most,
            f"the counter stepped back by {(before - after) / 1e6:.6g} J {took}: no wrap",
        ),
        (energy > most, f"the counter moved {energy / 1e6:.6g} J {took}: more than is possible"),
        (wrap and energy + wrap <= most, f"the counter may have wrapped more than once {took}"),
    )
    return next((reason for doubtful, reason in objections if doubtful), energy)


def _stood_still(span_ns: int, traits: CounterTraits) -> str:
    """Say why two equal reads are no measurement of zero."""
    if span_ns < 2 * traits.update_ns:
        return f"the window of {span_ns / 1e6:.3g} ms is shorter than the counter's steps"
    return f"the counter did not move in {span_ns / 1e9:.3g} s"


def edge_resolution_uj(microjoules: int, span_ns: int, traits: CounterTraits) -> int:
    """Return the uncertainty of a window: at each edge one quantum and one update at the mean power.

    So two updates of 1 ms in a window of 0.2 s are 1 % of its energy.
    """
    edges = 2 * microjoules * traits.update_ns / span_ns if span_ns > 0 else microjoules
    return math.ceil(2 * traits.quantum_uj + edges)


def reading(
    zone: Zone,
    before: Sample,
    after: Sample,
    traits: CounterTraits,
    between: Sequence[Sample] = (),
    observer_ns: int = 0,
) -> Reading:
    """Return what one zone used between two samples; `between` holds further reads within the window.

    Reads in between tell one wrap from several. They add no uncertainty: each ends one stretch and begins
    the next at the same value, so the resolution stays that of the two edges.
    """
    span_ns = after.at_ns - before.at_ns
    samples = (before, *_apart(before, between, after, traits), after)
    energy = _energy(samples, zone.range_uj, traits)
    if isinstance(energy, str):
        return unavailable(zone, traits.source, span_ns, energy)
    return Reading(
        zone=zone.name,
        grade="measured",
        scope=zone.scope,
        source=traits.source,
        microjoules=energy,
        span_ns=span_ns,
        resolution_uj=edge_resolution_uj(energy, span_ns, traits),
        samples=len(samples),
        observer_ns=observer_ns,
    )


def _energy(samples: Sequence[Sample], range_uj: int | None, traits: CounterTraits) -> int | str:
    """Return the sum over neighbouring reads; one that is missing or impossible spoils the window."""
    energy = 0
    for first, last in pairwise(samples):
        if first.microjoules is None or last.microjoules is None:
            return first.reason or last.reason or "the counter could not be read"
        found = step(first.microjoules, last.microjoules, range_uj, last.at_ns - first.at_ns, traits)
        if isinstance(found, str):
            return found
        energy += found
    return energy


def _apart(before: Sample, between: Sequence[Sample], after: Sample, traits: CounterTraits) -> list[Sample]:
    """Return the reads that are two updates or more from their neighbours: closer ones may look stuck."""
    kept: list[Sample] = []
    last_ns, least_ns = before.at_ns, 2 * traits.update_ns
    for sample in between:
        if sample.at_ns - last_ns >= least_ns and after.at_ns - sample.at_ns >= least_ns:
            kept.append(sample)
            last_ns = sample.at_ns
    return kept


def unavailable(zone: Zone, source: str, span_ns: int, reason: str) -> Reading:
    """Return the reading that says why there is none."""
    return Reading(
        zone=zone.name,
        grade="unavailable",
        scope=zone.scope,
        source=source,
        microjoules=None,
        span_ns=span_ns,
        reason=reason,
    )


def longest_window_s(range_uj: int, traits: CounterTraits) -> float:
    """Return how long a window may be, in seconds, before a wrap could go unseen at the ceiling's power."""
    return range_uj / 1e6 / traits.ceiling_watts


def look_every_s(counters: Iterable[tuple[int | None, CounterTraits]]) -> float | None:
    """Return how often counters (range and traits of each) are to be read while a window is open, in seconds.

    A third of the longest safe window of the counter that wraps first, so that a read may come late. A range
    that cannot be read counts as the smallest that is common: a wrap then shows as a step back, which is
    refused, rather than hide. None without counters.
    """
    spans = [longest_window_s(range_uj or SMALLEST_RANGE_UJ, traits) for range_uj, traits in counters]
    return min(spans) / LOOKS if spans else None

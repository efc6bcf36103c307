"""Samples of a cumulative counter become the energy of a window, in one place for every meter.

    sample --- window --- sample --reading--> joules, or the reason why there are none
    sample --- sample --- sample ---------->  the same, where the counter could wrap twice within the window

A counter wraps around, restarts, stops and fails. In other tools each of these has produced energy out of
nothing, negative energy or zero joules; here two samples give energy only if exactly one amount of energy is
plausible for the length of the window.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from harness.records.reading import Grade, Reading, Zone

SMALLEST_RANGE_UJ = 65_532_610_987  # 2^32 units of 15.3 uJ, the finer of the two common units
SAMPLES_PER_SAFE_WINDOW = 3


@dataclass(frozen=True, slots=True)
class CounterTraits:
    """The properties of a counter.

    `update_ns` is its update period, `quantum_uj` its smallest step, and `ceiling_watts` a power that its
    zone cannot reach.
    """

    source: str
    update_ns: int
    quantum_uj: float
    ceiling_watts: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One read: the time on a monotonic clock, and the counter in microjoules or why it was not readable."""

    at_ns: int
    microjoules: int | None
    reason: str | None = None


def step(before: int, after: int, range_uj: int | None, span_ns: int, traits: CounterTraits) -> int | str:
    """Return the microjoules between two reads `span_ns` apart, or the reason why they are unknown.

    The counter wraps around at `range_uj`; if that is None (unreadable), no wrap-around is assumed. Possible
    energies are `after - before` plus whole ranges. An energy is plausible if the ceiling power allows it in
    the window plus one update period at each edge. One plausible energy is the result; none means that the
    counter restarted or was misread, several mean that it may have wrapped around unnoticed.
    """
    backwards, wrap = after < before, range_uj or 0
    energy = after - before + (wrap if backwards else 0)
    highest = traits.ceiling_watts * (span_ns + 2 * traits.update_ns) // 1000  # W x ns = nJ
    duration = f"in {span_ns / 1e9:.6g} s"
    objections = (
        (wrap and max(before, after) > wrap, f"the counter exceeds its own range of {wrap / 1e6:.6g} J"),
        # also if one read is the range itself and the other 0: both are the same position of the counter
        (energy == 0, _no_movement(span_ns, traits)),
        (
            backwards and not wrap,
            "the counter decreased, and the range at which it wraps around is unreadable",
        ),
        (
            backwards and energy > highest,
            f"the counter decreased by {(before - after) / 1e6:.6g} J {duration}, which is not a wrap-around",
        ),
        (
            energy > highest,
            f"the counter increased by {energy / 1e6:.6g} J {duration}, which is more than is possible",
        ),
        (wrap and energy + wrap <= highest, f"the counter may have wrapped around more than once {duration}"),
    )
    return next((reason for applies, reason in objections if applies), energy)


def _no_movement(span_ns: int, traits: CounterTraits) -> str:
    """Return why two equal reads do not mean zero joules."""
    if span_ns < 2 * traits.update_ns:
        return f"the window of {span_ns / 1e6:.3g} ms is shorter than two update periods of the counter"
    return f"the counter did not move in {span_ns / 1e9:.3g} s"


def edge_resolution_uj(microjoules: int, span_ns: int, traits: CounterTraits) -> int:
    """Return the uncertainty of a window: one quantum and one update at the mean power, at each edge.

    With an update period of 1 ms, a window of 0.2 s is uncertain by 1 % of its energy.
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
    """Return the energy of one zone between two samples; `between` are further samples within the window.

    Samples in between distinguish one wrap-around from several. They add no uncertainty: each ends one
    stretch and begins the next with the same value, so the resolution remains that of the two edges.
    `observer_ns` is the CPU time that sampling took.
    """
    span_ns = after.at_ns - before.at_ns
    samples = (before, *_spaced(before, between, after, traits), after)
    energy = _energy(samples, zone.range_uj, traits)
    if isinstance(energy, str):
        return unavailable(zone, traits.source, span_ns, energy)
    resolution_uj = edge_resolution_uj(energy, span_ns, traits)
    return available(zone, traits.source, span_ns, energy, resolution_uj, len(samples), observer_ns)


def _energy(samples: Sequence[Sample], range_uj: int | None, traits: CounterTraits) -> int | str:
    """Return the sum over neighbouring samples, or the reason why one of the steps is unknown."""
    total = 0
    for first, last in pairwise(samples):
        if first.microjoules is None or last.microjoules is None:
            return first.reason or last.reason or "the counter could not be read"
        energy = step(first.microjoules, last.microjoules, range_uj, last.at_ns - first.at_ns, traits)
        if isinstance(energy, str):
            return energy
        total += energy
    return total


def _spaced(before: Sample, between: Sequence[Sample], after: Sample, traits: CounterTraits) -> list[Sample]:
    """Return the samples that are two updates or more from their neighbours; closer ones may look stuck."""
    kept: list[Sample] = []
    last_ns, least_ns = before.at_ns, 2 * traits.update_ns
    for sample in between:
        if sample.at_ns - last_ns >= least_ns and after.at_ns - sample.at_ns >= least_ns:
            kept.append(sample)
            last_ns = sample.at_ns
    return kept


def available(
    zone: Zone,
    source: str,
    span_ns: int,
    microjoules: int,
    resolution_uj: int,
    samples: int = 2,
    observer_ns: int = 0,
    *,
    grade: Grade = "measured",
) -> Reading:
    """Return a reading with joules."""
    values = (microjoules, span_ns, resolution_uj, samples)
    return Reading(zone.name, grade, zone.scope, source, *values, observer_ns=observer_ns)


def unavailable(zone: Zone, source: str, span_ns: int, reason: str) -> Reading:
    """Return a reading without joules, with the reason."""
    return Reading(zone.name, "unavailable", zone.scope, source, None, span_ns, reason=reason)


def longest_window_s(range_uj: int, traits: CounterTraits) -> float:
    """Return the longest window, in seconds, in which a counter at the ceiling power wraps at most once."""
    return range_uj / 1e6 / traits.ceiling_watts


def sampling_interval_s(counters: Iterable[tuple[int | None, CounterTraits]]) -> float | None:
    """Return the interval, in seconds, at which counters must be sampled while a window is open.

    `counters` are the range and traits of each. The result is a third of the longest safe window of the
    counter that wraps first, so that a sample may be late. An unreadable range counts as the smallest common
    one: a wrap-around then shows as a decrease, which is refused, and is never hidden. None without counters.
    """
    spans = [longest_window_s(range_uj or SMALLEST_RANGE_UJ, traits) for range_uj, traits in counters]
    return min(spans) / SAMPLES_PER_SAFE_WINDOW if spans else None

"""The rounds of a record as numbers, taken out of it once for all that a report works out from them.

Functions here take many records and answer in their order: intervals that rest on as many rounds are worked
out side by side (`harness.analysis.statistics.estimates.medians_over_rounds`), and each is what it would be
alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter

import numpy as np

from harness.analysis.statistics.estimates import (
    EnergyEstimate,
    EnergyWindows,
    Floats,
    energies_of,
    energy_windows,
    medians_over_rounds,
    unusable,
)
from harness.records.estimate import Estimate, Unavailable
from harness.records.reading import SumReadings, sum_readings
from harness.records.record import Record, Round

Field = tuple[str, str]
"""The name of what has to be the same, and where a record has it."""

QUALITY_FIELDS: tuple[Field, ...] = (
    ("schema version", "schema_version"),
    ("task", "cell.task"),
    ("data fingerprint", "data.fingerprint"),
    ("split", "data.split"),
    ("maximum length", "cell.max_length"),
)

FIELDS: tuple[Field, ...] = (
    *QUALITY_FIELDS,
    ("device", "cell.device"),
    ("scenario", "cell.scenario"),
    ("boundary", "cell.boundary"),
    ("batch", "cell.batch"),
    ("host fingerprint", "host.fingerprint"),
    ("run", "run"),
    ("group", "cell.group"),
    ("seed", "seed"),
    ("profile", "profile"),
    ("sample", "data.sample"),
)
"""What a ratio needs to be the same; `pairing.mismatch` says so of CPUs and threads too."""

_settings = attrgetter(*(place for _, place in FIELDS), "placement", "cell.instances", "cell.threads")

Turn = tuple[int, int, int]
"""Launch, index and slice of a round."""


@dataclass(frozen=True, eq=False)
class RoundSeries:
    """Rounds of a record: all of them in their order, or those that are paired with another's."""

    record: Record
    rounds: Sequence[Round]

    @cached_property
    def unusable(self) -> Unavailable | None:
        """Why they hold no time per request, or None."""
        return unusable(self.rounds)

    @cached_property
    def settings(self) -> tuple[object, ...]:
        """All that can forbid a ratio: where two have the same there is nothing to look for."""
        *found, placement, instances, threads = _settings(self.record)
        return (*found, placement and placement.cpus, instances, threads)

    @cached_property
    def turns(self) -> list[Turn]:
        """What is asked in each round, and when."""
        return [(item.launch, item.index, item.slice) for item in self.rounds]

    @cached_property
    def by_turn(self) -> dict[tuple[int, int], Round]:
        """The rounds by launch and index."""
        return {(item.launch, item.index): item for item in self.rounds}

    @cached_property
    def launches(self) -> list[int]:
        """The launch of each round."""
        return [item.launch for item in self.rounds]

    @cached_property
    def times(self) -> Floats:
        """Nanoseconds per request of each round."""
        return np.array([item.wall_ns / item.requests for item in self.rounds])

    @cached_property
    def windows(self) -> EnergyWindows | Unavailable:
        """Energy per request of each round, of the zones that tables add up."""
        return energy_windows(self.rounds)

    def added(self, zones: SumReadings) -> EnergyWindows | Unavailable:
        """Return the energy of these zones."""
        return self.windows if zones is sum_readings else energy_windows(self.rounds, zones)

    @cached_property
    def in_order(self) -> "RoundSeries":
        """The same in order of launch and index."""
        ordered = sorted(self.rounds, key=lambda item: (item.launch, item.index))
        return self if all(map(_same, ordered, self.rounds)) else RoundSeries(self.record, ordered)


def _same(one: Round, other: Round) -> bool:
    return one is other


def times_per_request(many: Sequence[RoundSeries]) -> list[Estimate | Unavailable]:
    """Return nanoseconds of the window per request of each: the median over rounds."""
    return _medians(many, lambda one: one.times)


def throughputs(many: Sequence[RoundSeries]) -> list[Estimate | Unavailable]:
    """Return requests per second of each: the median over rounds."""
    return _medians(many, lambda one: 1e9 / one.times)


def energies(
    many: Sequence[RoundSeries], added: SumReadings = sum_readings
) -> list[EnergyEstimate | Unavailable]:
    """Return energy per request of each, as `estimates.energy_per_request` does of one."""
    windows = [one.added(added) for one in many]
    known = [
        (each, one.launches)
        for each, one in zip(windows, many, strict=True)
        if isinstance(each, EnergyWindows)
    ]
    found = iter(energies_of(known))
    return [next(found) if isinstance(each, EnergyWindows) else each for each in windows]


def _medians(
    many: Sequence[RoundSeries], values: Callable[[RoundSeries], Floats]
) -> list[Estimate | Unavailable]:
    usable = [(values(one), one.launches) for one in many if not one.unusable]
    found = iter(medians_over_rounds(usable))
    return [one.unusable or next(found) for one in many]

"""The rounds of a record as numeric series, extracted once for all statistics of a report.

Functions here take many records and return results in their order: intervals over equally many rounds are
computed together (`harness.analysis.statistics.estimates.medians_over_rounds`), and each equals its value
computed alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter

from harness.analysis.statistics.estimates import (
    EnergyEstimate,
    EnergyWindows,
    energies_of,
    energy_windows,
    means_over_rounds,
    times_of,
    unusable,
)
from harness.analysis.statistics.variance.known_hosts import KnownHost, known_host
from harness.analysis.statistics.variance.model import Floats, KnownVariance
from harness.records.estimate import Estimate, Unavailable
from harness.records.reading import SumReadings, sum_readings
from harness.records.record import Record, Round

Field = tuple[str, str]
"""Name of a field that must be equal, and its path in a record."""

QUALITY_FIELDS: tuple[Field, ...] = (
    ("schema version", "schema_version"),
    ("task", "cell.task"),
    ("data fingerprint", "data.fingerprint"),
    ("split", "data.split"),
    ("maximum length", "cell.max_length"),
)
"""Fields that must be equal for a comparison of quality."""

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
"""Fields that must be equal for a ratio; `pairing.mismatch` also compares CPUs and threads."""

_settings = attrgetter(*(path for _, path in FIELDS), "placement", "cell.instances", "cell.threads")

Turn = tuple[int, int, int]
"""Launch, index and slice of a round."""


@dataclass(frozen=True, eq=False)
class RoundSeries:
    """Rounds of a record: all in their order, or those that are paired with rounds of another record."""

    record: Record
    rounds: Sequence[Round]

    @cached_property
    def unusable(self) -> Unavailable | None:
        """Why the rounds have no time per request, or None."""
        return unusable(self.rounds)

    @cached_property
    def settings(self) -> tuple[object, ...]:
        """Every setting that can forbid a ratio: equal settings need no further comparison."""
        *fields, placement, instances, threads = _settings(self.record)
        return (*fields, placement and placement.cpus, instances, threads)

    @cached_property
    def turns(self) -> list[Turn]:
        """Launch, index and slice of each round."""
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
    def known_host(self) -> KnownHost | None:
        """What is known of launches and runs on the host."""
        return known_host(self.record)

    @property
    def known(self) -> KnownVariance | None:
        """What is known of the time of one launch on the host."""
        return self.known_host.time if self.known_host else None

    @cached_property
    def times(self) -> Floats:
        """Nanoseconds per request of each round."""
        return times_of(self.rounds)

    @cached_property
    def windows(self) -> EnergyWindows | Unavailable:
        """Energy per request of each round, over the zones of tables."""
        return energy_windows(self.rounds)

    def added(self, zones: SumReadings) -> EnergyWindows | Unavailable:
        """Return the energy per request of each round, summed over these zones."""
        return self.windows if zones is sum_readings else energy_windows(self.rounds, zones)

    @cached_property
    def in_order(self) -> "RoundSeries":
        """The series in order of launch and index."""
        if self.turns == sorted(self.turns):  # as they nearly always are
            return self
        return RoundSeries(self.record, sorted(self.rounds, key=lambda item: (item.launch, item.index)))


def times_per_request(many: Sequence[RoundSeries]) -> list[Estimate | Unavailable]:
    """Return nanoseconds of the window per request of each series: the mean over rounds."""
    return _means(many, lambda series: series.times)


def throughputs(many: Sequence[RoundSeries]) -> list[Estimate | Unavailable]:
    """Return requests per second of each series: the mean over rounds."""
    return _means(many, lambda series: 1e9 / series.times)


def energies(
    many: Sequence[RoundSeries], added: SumReadings = sum_readings
) -> list[EnergyEstimate | Unavailable]:
    """Return energy per request of each series, as `estimates.energy_per_request` does for one."""
    windows = [series.added(added) for series in many]
    available = [
        (energy, series.launches, series.known)
        for energy, series in zip(windows, many, strict=True)
        if isinstance(energy, EnergyWindows)
    ]
    estimates = iter(energies_of(available))
    return [next(estimates) if isinstance(energy, EnergyWindows) else energy for energy in windows]


def _means(
    many: Sequence[RoundSeries], values: Callable[[RoundSeries], Floats]
) -> list[Estimate | Unavailable]:
    usable = [(values(series), series.launches, series.known) for series in many if not series.unusable]
    means = iter(means_over_rounds(usable))
    return [series.unusable or next(means) for series in many]

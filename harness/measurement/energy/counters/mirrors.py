"""Counters that show one physical counter under several names, told apart by reading them in pairs.

    rows of all zones, read one after another --MirrorSearch--> separate, mirrored, or not decided

On AMD's Threadripper and EPYC the kernel lists a package counter for each die, and each shows the socket's
energy; adding them multiplies it. On other processors, such as Intel's Cascade Lake AP, the dies of a package
have counters of their own, which must be added. Names do not distinguish the two, values do: separate
counters drift apart by more than an update within a second, and a mirror never does, however long it is read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from harness.records.reading import Scope, Zone

COUNTED: tuple[Scope, ...] = ("package", "dram")
"""Scopes whose zones are added up, and may be mirrors."""

NEAR_STEPS = 2
"""Two reads of one counter differ by at most this many updates, since one zone is read after the other."""

SAME_STEPS = 0.02
"""Two zones that differ by less than this share of an update show the same value."""

APART = 10
"""After this many consecutive rows in which two counters are further apart, they are separate.

A pause of the reader between two zones puts single rows apart, not ten in a row.
"""

FEW_STEPS, ENOUGH_STEPS = 25, 100
"""Below the first, counters of nearly the same power could be taken for mirrors; at the second, mirrors need
no more rows."""

NEAR_SHARE, SAME_SHARE, SELDOM_SHARE = 0.9, 0.3, 0.1
"""Mirrors are near each other in at least the first share of the rows, and show the same value in the second:
an update of one that comes before that of the other, and a pause of the reader, make the difference. Zones
that show the same value in less than the third share are separate."""

Pair = tuple[str, str]


@dataclass(slots=True)
class _Comparison:
    """Two zones so far: rows, rows in which they were near or the same, and the last rows apart in a row."""

    rows: int = 0
    near: int = 0
    same: int = 0
    apart: int = 0

    def add(self, gap_steps: float) -> None:
        """Add a row in which the zones differ by this many updates."""
        self.rows += 1
        self.near += gap_steps <= NEAR_STEPS
        self.same += gap_steps <= SAME_STEPS
        self.apart = 0 if gap_steps <= NEAR_STEPS else self.apart + 1

    def is_mirrored(self, steps: int, least_steps: int = FEW_STEPS) -> bool:
        """Return whether the zones are one counter, of which this many steps were seen."""
        is_near = self.near >= NEAR_SHARE * self.rows
        return is_near and self.same >= SAME_SHARE * self.rows and steps >= least_steps

    def is_separate(self, steps: int) -> bool:
        """Return whether the zones are two counters, of which each made this many steps."""
        return self.apart >= APART or (steps >= FEW_STEPS and self.same < SELDOM_SHARE * self.rows)


@dataclass(slots=True)
class MirrorSearch:
    """The comparison of every pair of zones that would be added up, row by row."""

    zones: Sequence[Zone]
    _last: dict[str, int] = field(default_factory=dict)
    _steps: dict[str, int] = field(default_factory=dict)
    _pairs: dict[Pair, _Comparison] = field(init=False)

    def __post_init__(self) -> None:
        """Begin with all pairs; those that turn out to be separate are removed."""
        names = [zone.name for zone in self.zones if zone.scope in COUNTED]
        self._pairs = {pair: _Comparison() for pair in combinations(names, 2)}

    def add(self, energies: Mapping[str, int]) -> None:
        """Add the microjoules of all readable zones since the first read, if any of them moved."""
        if not self._pairs or energies == self._last:
            return
        for name, energy in energies.items():
            self._steps[name] = self._steps.get(name, 0) + (energy != self._last.get(name, 0))
        self._last = dict(energies)
        for pair in [pair for pair in self._pairs if energies.keys() >= {*pair}]:
            self._pairs[pair].add(self._gap_steps(pair))
            if self._pairs[pair].is_separate(self._steps_of(pair)):
                del self._pairs[pair]

    def decided(self) -> bool:
        """Return whether more rows would show nothing new: each pair is separate, or long mirrored."""
        return all(
            comparison.is_mirrored(self._steps_of(pair), ENOUGH_STEPS)
            for pair, comparison in self._pairs.items()
        )

    def mirrors(self) -> dict[str, str]:
        """Return the zones that show the counter of an earlier zone, by name, with that zone."""
        mirrors: dict[str, str] = {}
        for pair, comparison in self._pairs.items():
            if mirrors.keys().isdisjoint(pair) and comparison.is_mirrored(self._steps_of(pair)):
                mirrors[pair[1]] = pair[0]
        return mirrors

    def uncertain(self) -> list[Pair]:
        """Return the pairs of one scope that moved alike, and may be one counter or two."""
        mirrors, scopes = self.mirrors(), {zone.name: zone.scope for zone in self.zones}
        return [
            pair
            for pair in self._pairs
            if mirrors.keys().isdisjoint(pair)
            and self._last.keys() >= {*pair}
            and scopes[pair[0]] == scopes[pair[1]]
            and self._gap_steps(pair) <= NEAR_STEPS
        ]

    def _steps_of(self, pair: Pair) -> int:
        return min(self._steps.get(name, 0) for name in pair)

    def _gap_steps(self, pair: Pair) -> float:
        """Return by how many updates, at the mean so far, two zones differ in the last row."""
        first, second = (self._last[name] for name in pair)
        step = max(self._last[name] / max(1, self._steps[name]) for name in pair)
        return abs(first - second) / step if step else 0.0

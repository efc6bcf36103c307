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

APART = 10
"""After this many consecutive rows in which two counters are further apart, they are separate.

A pause of the reader between two zones puts single rows apart, not ten in a row.
"""

ENOUGH_STEPS = 100
"""Below this many steps, two counters of nearly the same power could be taken for mirrors."""

MIRRORED_SHARE = 0.9
"""Mirrors are near each other in at least this share of the rows: the others are pauses of the reader."""

Pair = tuple[str, str]


@dataclass(slots=True)
class MirrorSearch:
    """The comparison of every pair of zones that would be added up, row by row."""

    zones: Sequence[Zone]
    _rows: list[dict[str, int]] = field(default_factory=list)
    _steps: dict[str, int] = field(default_factory=dict)
    _undecided: dict[Pair, int] = field(init=False)

    def __post_init__(self) -> None:
        """Begin with all pairs; the value is the number of consecutive rows in which they were apart."""
        names = [zone.name for zone in self.zones if zone.scope in COUNTED]
        self._undecided = dict.fromkeys(combinations(names, 2), 0)

    def add(self, energies: Mapping[str, int]) -> None:
        """Add the microjoules of all readable zones since the first read, if any of them moved."""
        before = self._rows[-1] if self._rows else {}
        if not self._undecided or energies == before:
            return
        for name, energy in energies.items():
            self._steps[name] = self._steps.get(name, 0) + (energy != before.get(name, 0))
        self._rows.append(dict(energies))
        for pair in [pair for pair in self._undecided if energies.keys() >= {*pair}]:
            self._undecided[pair] = 0 if self._near(pair, energies) else self._undecided[pair] + 1
            if self._undecided[pair] >= APART:
                del self._undecided[pair]

    def decided(self) -> bool:
        """Return whether all pairs are known to be separate, so that more rows would show nothing new."""
        return not self._undecided

    def mirrors(self) -> dict[str, str]:
        """Return the zones that show the counter of an earlier zone, by name, with that zone."""
        mirrors: dict[str, str] = {}
        for first, second in self._undecided:
            if first not in mirrors and second not in mirrors and self._is_mirrored((first, second)):
                mirrors[second] = first
        return mirrors

    def uncertain(self) -> list[Pair]:
        """Return the pairs that moved, and may be one counter or two."""
        mirrors = self.mirrors()
        return [
            pair
            for pair in self._undecided
            if mirrors.keys().isdisjoint(pair) and all(self._steps.get(name) for name in pair)
        ]

    def _is_mirrored(self, pair: Pair) -> bool:
        rows = [row for row in self._rows if row.keys() >= {*pair}]
        near = sum(self._near(pair, row) for row in rows)
        has_enough = min(self._steps.get(name, 0) for name in pair) >= ENOUGH_STEPS
        return has_enough and near >= MIRRORED_SHARE * len(rows)

    def _near(self, pair: Pair, row: Mapping[str, int]) -> bool:
        """Return whether two zones differ by no more than a few updates at their mean step so far."""
        first, second = (row[name] for name in pair)
        last = self._rows[-1]
        step = max(last.get(name, 0) / max(1, self._steps[name]) for name in pair)
        return abs(first - second) <= NEAR_STEPS * step

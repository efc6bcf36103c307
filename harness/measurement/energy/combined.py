"""Several meters read at once: a board's, and beside it that of the processor that feeds it.

    start: processor, board ... window ... read: processor, board --> all zones, each by itself

Zones stay separate. What they are together has a scope with a name (`harness.records.reading.whole`), and
exists only where every one of them was measured.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.measurement.energy.meter import Meter
from harness.records.reading import Grade, Reading, Zone


class CombinedMeter:
    """Reads the zones of several meters, whose names it joins: `nvml+rapl`.

    The first is read innermost, so that its window is the one that is nearest to the work.
    """

    def __init__(self, parts: Sequence[Meter]) -> None:
        self._parts = tuple(parts)

    @property
    def name(self) -> str:
        """The names of its meters."""
        return "+".join(part.name for part in self._parts)

    @property
    def grade(self) -> Grade:
        """The grade that all share, or the first's: readings keep their own."""
        return self._parts[0].grade

    def zones(self) -> tuple[Zone, ...]:
        """Return the zones of all."""
        return tuple(zone for part in self._parts for zone in part.zones())

    def start(self) -> tuple[Any, ...]:
        """Read the first edge of all, the first meter's last."""
        return tuple(part.start() for part in reversed(self._parts))[::-1]

    def read(self, mark: Sequence[Any]) -> tuple[Reading, ...]:
        """Read the second edge of all, the first meter's first."""
        return tuple(
            reading for part, own in zip(self._parts, mark, strict=True) for reading in part.read(own)
        )

    def describe(self) -> dict[str, Any]:
        """Return what each says of itself, by name; the slowest counter's period is that of all."""
        known = {part.name: part.describe() for part in self._parts}
        periods = [int(facts.get("update_period_ns") or 0) for facts in known.values()]
        source = " + ".join(str(facts.get("source")) for facts in known.values())
        return {"source": source, "update_period_ns": max(periods), "meters": known}

    def spec(self) -> dict[str, Any]:
        """Return what opens all again in another process."""
        from harness.measurement.energy.meter import meter_spec

        return {"meter": "joint", "parts": [meter_spec(part) for part in self._parts]}

    def obstacle(self) -> tuple[str, str] | None:
        """Return the first obstacle of any."""
        from harness.measurement.energy.meter import SelectableMeter

        found = [part.obstacle() for part in self._parts if isinstance(part, SelectableMeter)]
        return next((each for each in found if each), None)


def open_combined(spec: Mapping[str, Any], open_part: Callable[[Mapping[str, Any]], Meter]) -> CombinedMeter:
    """Open the meter that `JointMeter.spec` described; `open_part` opens one of it."""
    return CombinedMeter([open_part(each) for each in spec["parts"]])

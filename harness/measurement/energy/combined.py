"""Several meters as one: a board's meter, and beside it that of the processor that feeds the board.

    start: processor, board ... window ... read: board, processor --> all zones, each with its own reading

Zones stay separate. Their sum has a scope with its own name (`harness.records.reading.whole`), and exists
only if every zone was measured.
"""

from collections.abc import Callable, Sequence
from typing import Any

from harness.common.json_types import JsonObject
from harness.measurement.energy.meter import Meter, MeterSpec, SelectableMeter, meter_spec
from harness.records.reading import Grade, Reading, Zone


class CombinedMeter:
    """Reads the zones of several meters; its name joins theirs: `nvml+rapl`.

    The first meter is read last at the first edge and first at the second edge, so its window is the
    tightest.
    """

    def __init__(self, parts: Sequence[Meter]) -> None:
        self._parts = tuple(parts)

    @property
    def name(self) -> str:
        """The names of its meters, joined by `+`."""
        return "+".join(part.name for part in self._parts)

    @property
    def grade(self) -> Grade:
        """The grade of the first meter; each reading has its own meter's grade."""
        return self._parts[0].grade

    def zones(self) -> tuple[Zone, ...]:
        """Return the zones of all meters."""
        return tuple(zone for part in self._parts for zone in part.zones())

    def start(self) -> tuple[Any, ...]:
        """Read the first edge of all meters, the first meter last."""
        return tuple(part.start() for part in reversed(self._parts))[::-1]

    def read(self, mark: Sequence[Any]) -> tuple[Reading, ...]:
        """Read the second edge of all meters, the first meter first."""
        return tuple(
            reading
            for part, part_mark in zip(self._parts, mark, strict=True)
            for reading in part.read(part_mark)
        )

    def describe(self) -> JsonObject:
        """Return the facts of each meter by name; the update period is that of the slowest."""
        facts_by_meter = {part.name: part.describe() for part in self._parts}
        periods = [int(facts.get("update_period_ns") or 0) for facts in facts_by_meter.values()]
        source = " + ".join(str(facts.get("source")) for facts in facts_by_meter.values())
        return {"source": source, "update_period_ns": max(periods), "meters": facts_by_meter}

    def spec(self) -> JsonObject:
        """Return the arguments that open all meters in another process."""
        return {"meter": "joint", "parts": [meter_spec(part) for part in self._parts]}

    def obstacle(self) -> tuple[str, str] | None:
        """Return the first obstacle of any meter, or None."""
        obstacles = (part.obstacle() for part in self._parts if isinstance(part, SelectableMeter))
        return next((obstacle for obstacle in obstacles if obstacle), None)


def open_combined(spec: MeterSpec, open_part: Callable[[MeterSpec], Meter]) -> CombinedMeter:
    """Open the meter that `CombinedMeter.spec` described; `open_part` opens one of its meters."""
    return CombinedMeter([open_part(part) for part in spec["parts"]])

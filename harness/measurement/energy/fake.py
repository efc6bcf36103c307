"""A fake meter of constant power: its joules follow from the clock alone."""

import time
from collections.abc import Callable

from harness.common.json_types import JsonObject
from harness.measurement.energy.counters.counter import available, unavailable
from harness.measurement.energy.meter import MeterSpec
from harness.records.reading import Grade, Reading, Scope, Zone

SOURCE = "fake meter"


class FakeMeter:
    """Reads `watts` times the time on its clock.

    With `reason`, every reading is unavailable for that reason. `grade`, `scope` and `resolution_uj` go into
    the readings unchanged; their source is always `fake meter`.
    """

    name = "fake"

    def __init__(
        self,
        watts: float = 10.0,
        clock: Callable[[], int] = time.monotonic_ns,
        *,
        grade: Grade = "measured",
        scope: Scope = "package",
        resolution_uj: int = 0,
        reason: str | None = None,
        zone: str = "fake",
    ) -> None:
        self._watts, self._clock = watts, clock
        self.grade: Grade = "unavailable" if reason else grade
        self._resolution_uj, self._reason = resolution_uj, reason
        self._zone = Zone(zone, scope)

    def zones(self) -> tuple[Zone, ...]:
        """Return its only zone."""
        return (self._zone,)

    def start(self) -> int:
        """Read the first edge: the time."""
        return self._clock()

    def read(self, mark: int) -> tuple[Reading, ...]:
        """Read the second edge: watts x nanoseconds are nanojoules."""
        span_ns = self._clock() - mark
        if self._reason is not None:
            return (unavailable(self._zone, SOURCE, span_ns, self._reason),)
        microjoules = round(self._watts * span_ns / 1000)
        return (available(self._zone, SOURCE, span_ns, microjoules, self._resolution_uj, grade=self.grade),)

    def describe(self) -> JsonObject:
        """Return the source and the watts."""
        return {"source": SOURCE, "watts": self._watts}

    def spec(self) -> JsonObject:
        """Return the arguments that open this meter in another process, on that process's own clock."""
        return {
            "meter": "fake",
            "watts": self._watts,
            "grade": self.grade,
            "scope": self._zone.scope,
            "resolution_uj": self._resolution_uj,
            "reason": self._reason,
            "zone": self._zone.name,
        }

    def obstacle(self) -> tuple[str, str] | None:
        """Return the reason that makes its readings unavailable, or None."""
        return (self._reason, "Open the fake without a reason.") if self._reason else None


def open_fake(spec: MeterSpec, clock: Callable[[], int] = time.monotonic_ns) -> FakeMeter:
    """Open the meter that `FakeMeter.spec` described."""
    return FakeMeter(clock=clock, **{name: value for name, value in spec.items() if name != "meter"})

"""A plug-in's meter: an error of it, and what it returns of another type, names the plug-in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar, get_args

from harness.common.json_types import JsonObject
from harness.common.plugins import Plugin
from harness.measurement.energy.meter import Mark, SelectableMeter
from harness.records.reading import Grade, Reading, Zone

ItemT = TypeVar("ItemT")

GRADES = get_args(Grade)

METHODS = ("zones", "start", "read", "describe", "spec", "obstacle")
"""The methods of `harness.measurement.energy.meter.SelectableMeter`."""


@dataclass(frozen=True, slots=True)
class PluginMeter:
    """A meter of a plug-in, under the name of the plug-in, with the grade that it had when it was made."""

    plugin: Plugin
    inner: SelectableMeter
    name: str
    grade: Grade

    def zones(self) -> Sequence[Zone]:
        """Return its zones."""
        return self._all(Zone, "zones", self.plugin.call(self.inner.zones))

    def start(self) -> Mark:
        """Read the first edge of a window."""
        return self.plugin.call(self.inner.start)

    def read(self, mark: Mark) -> tuple[Reading, ...]:
        """Read the second edge."""
        readings = self._all(Reading, "read", self.plugin.call(self.inner.read, mark))
        for reading in readings:
            if reading.microjoules is not None:
                self.plugin.check(int, f"the microjoules of zone {reading.zone}", reading.microjoules)
        return readings

    def describe(self) -> JsonObject:
        """Return its facts."""
        facts = self.plugin.check(dict, "what describe() returns", self.plugin.call(self.inner.describe))
        self.plugin.check(int, "its update_period_ns", facts.get("update_period_ns") or 0)
        return facts

    def spec(self) -> JsonObject:
        """Return its arguments, under its own name: a worker finds it by that."""
        spec = self.plugin.check(dict, "what spec() returns", self.plugin.call(self.inner.spec))
        return {**spec, "meter": self.name}

    def obstacle(self) -> tuple[str, str] | None:
        """Return why it cannot be used here, and the remedy."""
        obstacle = self.plugin.call(self.inner.obstacle)
        if obstacle is None:
            return None
        parts = self.plugin.check(tuple, "what obstacle() returns", obstacle)
        if [type(part) for part in parts] != [str, str]:
            raise self.plugin.failed("what obstacle() returns must be a reason and a remedy")
        return parts

    def _all(self, wanted: type[ItemT], method: str, values: object) -> tuple[ItemT, ...]:
        items = self.plugin.call(tuple, values)
        return tuple(
            self.plugin.check(wanted, f"each item of what {method}() returns", item) for item in items
        )


def plugin_meter(plugin: Plugin, meter: SelectableMeter) -> PluginMeter:
    """Check a meter that a plug-in has made; MeasurementError if it is none."""
    missing = [name for name in METHODS if not callable(plugin.call(getattr, meter, name, None))]
    if missing:
        raise plugin.failed(f"its meter lacks {', '.join(missing)}")
    grade = plugin.call(getattr, meter, "grade", None)
    if grade not in GRADES:
        raise plugin.failed(f"the grade of its meter must be one of {', '.join(GRADES)}, got {grade!r}")
    return PluginMeter(plugin, meter, plugin.name, grade)

"""Reads the idle power of a machine before anything runs on it."""

from collections.abc import Callable, Sequence

from harness.measurement.energy.meter import Meter
from harness.records.reading import Reading

LENGTHS_S = {"quick": (0.5, 2.0), "default": (2.0, 20.0), "full": (5.0, 60.0)}
"""By profile: the length of the first window, and the greatest length, in seconds."""

ENOUGH = 20
"""A window of 20 times the meter's resolution is certain to 5 %."""


def idle_window(meter: Meter, sleep: Callable[[float], None], first_s: float, most_s: float) -> list[Reading]:
    """Read a window without any work; the window is doubled, up to `most_s`, while it is too short."""
    seconds = first_s
    while True:
        mark = meter.start()
        sleep(seconds)
        readings = list(meter.read(mark))
        if _is_long_enough(readings) or 2 * seconds > most_s:
            return readings
        seconds *= 2


def _is_long_enough(readings: Sequence[Reading]) -> bool:
    """Return whether a longer window would not help; it does not help a counter that cannot be read."""
    if any(reading.microjoules is None for reading in readings):
        return not any("shorter" in (reading.reason or "") for reading in readings)
    return all((reading.microjoules or 0) >= ENOUGH * reading.resolution_uj for reading in readings)

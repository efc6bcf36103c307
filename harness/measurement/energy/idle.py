"""Reads the idle power of a machine before anything runs on it."""

from collections.abc import Callable, Sequence

from harness.measurement.energy.meter import Meter
from harness.records.reading import Reading

LENGTHS_S = {"quick": (0.5, 2.0), "default": (2.0, 20.0), "full": (5.0, 60.0)}
"""By profile: the first window that is tried, and the longest, in seconds."""

ENOUGH = 20
"""A window of 20 times the meter's resolution is known to 5 %."""


def idle_window(meter: Meter, sleep: Callable[[float], None], first_s: float, most_s: float) -> list[Reading]:
    """Read a window in which nothing is done; one too short for the meter is followed by a longer one."""
    seconds = first_s
    while True:
        mark = meter.start()
        sleep(seconds)
        readings = list(meter.read(mark))
        if _is_enough(readings) or 2 * seconds > most_s:
            return readings
        seconds *= 2


def _is_enough(readings: Sequence[Reading]) -> bool:
    """Say whether a longer window would tell more; one that could not be read would not."""
    known = [one for one in readings if one.microjoules is not None]
    if len(known) < len(readings):
        return not any("shorter" in (one.reason or "") for one in readings)
    return all(one.microjoules >= ENOUGH * one.resolution_uj for one in known if one.microjoules is not None)

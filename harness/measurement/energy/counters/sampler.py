"""One open window of a meter: its first edge, the looks in between, its last edge.

    Track() --- look --- look --- end() --> [row, row, row, row]

A thread looks now and then, and sleeps in between: it is there for counters that could wrap twice within a
window, and for sensors that show power instead of energy. It ends with the window, or when nobody holds the
track any more, and the CPU time it spent is kept, because measuring must not be free of charge.
"""

import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from harness.measurement.energy.counters.counter import CounterTraits, Sample, reading
from harness.records.reading import Reading, Zone

Row = TypeVar("Row")


class Sampler(Generic[Row]):
    """Rows that `take` returned: one now, one every `every_s` seconds (never, if None), one at the end."""

    def __init__(self, take: Callable[[], Row], every_s: float | None = None) -> None:
        self._take = take
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self.observer_ns = 0
        """CPU time spent on looks, in nanoseconds."""
        self.rows: list[Row] = []
        """What the last `end` returned."""
        self._rows: list[Row] = []
        if every_s is not None:
            watch = (weakref.ref(self), self._ended, every_s)
            self._thread = threading.Thread(target=_watch, args=watch, name="meter", daemon=True)
            self._thread.start()
            weakref.finalize(self, self._ended.set).atexit = False
        # the edge comes last, so that starting the thread stays outside the window
        first = take()
        with self._lock:
            self._rows.insert(0, first)

    def look(self) -> None:
        """Take a row within the window."""
        began = time.thread_time_ns()
        row = self._take()
        with self._lock:
            if not self._ended.is_set():
                self._rows.append(row)
                self.observer_ns += time.thread_time_ns() - began

    def end(self) -> list[Row]:
        """Take the last row and return all; no more looks follow. May be called again for a later edge."""
        last = self._take()
        with self._lock:
            self._ended.set()
            self.rows = [*self._rows, last]
        if self._thread:
            self._thread.join()
            self._thread = None
        return self.rows


def readings(
    track: Sampler[tuple[Sample, ...]], zones: Sequence[Zone], traits: Sequence[CounterTraits]
) -> tuple[Reading, ...]:
    """End a track whose rows hold one sample per zone, and return what each zone used."""
    rows = track.end()
    return tuple(
        reading(zone, seen[0], seen[-1], known, seen[1:-1], track.observer_ns)
        for zone, known, seen in zip(zones, traits, zip(*rows, strict=True), strict=True)
    )


def _watch(track: "weakref.ref[Sampler[Any]]", ended: threading.Event, every_s: float) -> None:
    while not ended.wait(every_s):
        held = track()
        if held is None:
            return
        held.look()
        del held

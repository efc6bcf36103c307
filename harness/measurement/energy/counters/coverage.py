"""Which readings of a meter cover a server, whose processes are not those of the worker.

    started below the worker    all
    processes are named         all that count a machine, and models of CPU time, which count them too
    on this machine             all that count a machine; a process's share is the client's alone
    on another machine          none

A reading that does not cover the server would be too small by all that the server uses, so it is unavailable.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from harness.common.json_types import JsonObject
from harness.measurement.energy.meter import Meter, TimedWindow, read_window
from harness.records.reading import MODELLED_SHARES, Grade, Reading, Zone
from harness.systems.server import ServerPlace

ELSEWHERE = "the server is on another machine"
UNNAMED = "the server's processes are not known: --system-pid or --system-cgroup names them"
CLIENT_ONLY = "this meter counts the processes of the client alone"

COUNTS_NAMED = "modelled"
"""The meter whose models add the CPU time of named processes."""


class CoverageMeter:
    """A meter whose readings are unavailable where they do not cover a server."""

    def __init__(self, inner: Meter, place: ServerPlace) -> None:
        self._inner, self._place = inner, place

    @property
    def name(self) -> str:
        """The name of the meter."""
        return self._inner.name

    @property
    def grade(self) -> Grade:
        """The grade of the meter."""
        return self._inner.grade

    def zones(self) -> Sequence[Zone]:
        """Return the zones of the meter."""
        return self._inner.zones()

    def start(self) -> Any:  # noqa: ANN401 -- the meter's own mark
        """Read the first edge."""
        return self._inner.start()

    def read(self, mark: Any) -> tuple[Reading, ...]:  # noqa: ANN401
        """Read the second edge."""
        return tuple(map(self._covering, self._inner.read(mark)))

    def read_window(self, mark: Any, window: TimedWindow) -> tuple[Reading, ...]:  # noqa: ANN401
        """Read the second edge, for the window alone where the meter is a model."""
        return tuple(map(self._covering, read_window(self._inner, mark, window)))

    def describe(self) -> JsonObject:
        """Return the facts of the meter."""
        return self._inner.describe()

    def _covering(self, reading: Reading) -> Reading:
        reason = self._missing(reading)
        if reason is None or reading.grade == "unavailable":
            return reading
        return replace(reading, grade="unavailable", microjoules=None, reason=reason)

    def _missing(self, reading: Reading) -> str | None:
        """Return why a reading does not cover the server; None if it does."""
        if self._place == "another machine":
            return ELSEWHERE
        if reading.scope not in MODELLED_SHARES or self._place == "below the worker":
            return None
        if self._place == "this machine":
            return UNNAMED
        return None if self.name == COUNTS_NAMED else CLIENT_ONLY

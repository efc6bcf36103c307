from typing import Any

import pytest

from harness.measurement.energy.counters.coverage import CLIENT_ONLY, ELSEWHERE, UNNAMED, CoverageMeter
from harness.measurement.energy.cpu.models.cpu_time_model import CpuTimeMeter
from harness.measurement.energy.meter import TimedWindow, read_window
from harness.records.reading import Reading, Scope, Zone
from harness.systems.server import ServerPlace


class OneReading:
    """A meter with one reading."""

    grade = "measured"

    def __init__(self, name: str, scope: Scope, **changed: Any) -> None:
        self.name = name
        self._reading = Reading("zone", "measured", scope, "source", 7, 1000, 3)
        if changed:
            self._reading = Reading("zone", "unavailable", scope, "source", None, 1000, **changed)

    def zones(self) -> tuple[Zone, ...]:
        return (Zone("zone", self._reading.scope),)

    def start(self) -> str:
        return "mark"

    def read(self, mark: str) -> tuple[Reading, ...]:
        assert mark == "mark"
        return (self._reading,)

    def describe(self) -> dict[str, Any]:
        return {"source": "source"}


@pytest.mark.parametrize(
    ("place", "meter", "scope", "reason"),
    [
        ("below the worker", "modelled", "process share", None),
        ("below the worker", "rapl", "package", None),
        ("named processes", "modelled", "process share", None),
        ("named processes", "modelled", "machine share", None),
        ("named processes", "codecarbon", "process share", CLIENT_ONLY),
        ("named processes", "rapl", "package", None),
        ("this machine", "modelled", "process share", UNNAMED),
        ("this machine", "modelled", "machine share", UNNAMED),
        ("this machine", "rapl", "package", None),
        ("this machine", "nvml", "board", None),
        ("this machine", "external", "system", None),
        ("another machine", "rapl", "package", ELSEWHERE),
        ("another machine", "modelled", "process share", ELSEWHERE),
        ("another machine", "external", "system", ELSEWHERE),
    ],
)
def test_a_reading_that_does_not_cover_the_server_is_unavailable(
    place: ServerPlace, meter: str, scope: Scope, reason: str | None
) -> None:
    """It would be the energy of the client alone."""
    covering = CoverageMeter(OneReading(meter, scope), place)  # type: ignore[arg-type]
    (reading,) = covering.read(covering.start())
    assert (reading.reason, reading.microjoules) == (reason, 7 if reason is None else None)
    assert (covering.name, covering.describe(), covering.zones()[0].scope) == (
        meter,
        {"source": "source"},
        scope,
    )
    (timed,) = read_window(covering, "mark", TimedWindow(900, 10))
    assert timed.grade == reading.grade


def test_a_reading_that_is_unavailable_anyway_keeps_its_reason() -> None:
    """The meter failed first."""
    covering = CoverageMeter(OneReading("rapl", "package", reason="hidden"), "another machine")  # type: ignore[arg-type]
    assert covering.read("mark")[0].reason == "hidden"


def test_a_model_is_read_for_the_window_alone() -> None:
    """The meter's own way is kept: 2,000 W for 1,000 ns of CPU time are 2,000 uJ, whatever lies beside."""
    times = iter([0, 5_000_000])
    model = CpuTimeMeter(2000.0, "test", cpu_time=lambda: next(times), clock=lambda: 0)
    covering = CoverageMeter(model, "below the worker")
    (reading,) = read_window(covering, covering.start(), TimedWindow(10_000, 1_000))
    assert (reading.microjoules, reading.span_ns) == (2000, 10_000)

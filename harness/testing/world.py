"""A fake machine: workers in the test's own process, a fixed date, a fixed host, a fake meter."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from harness.catalog import Catalog
from harness.measurement.energy.fake import FakeMeter, open_fake
from harness.measurement.energy.meter import Meter, MeterChoice
from harness.measurement.machine.core_latency import NoCoreLatencyProbe
from harness.measurement.machine.interference import ProcessUsage
from harness.measurement.machine.perf_events import WorkCounters
from harness.records.record import Host, MachineSnapshot, Memory
from harness.runs.services import Machine
from harness.runs.worker.loaded_system import Clocks
from harness.runs.worker.messages import error_from, failure_of
from harness.runs.worker.other_version import OtherVersionWorker
from harness.runs.worker.process import OnProgress
from harness.runs.worker.session import Session
from harness.testing.clock import FakeClock
from harness.testing.interference import FakeUsageSampler

OpenMeter = Callable[[Mapping[str, Any]], Meter]

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
_FACTS = {"model": "Fake CPU", "physical_cpus": 2, "virtualisation": "none"}
HOST = Host(
    fingerprint=hashlib.sha256(json.dumps(_FACTS, sort_keys=True).encode()).hexdigest(),
    name_sha256="b" * 64,
    facts=_FACTS,
)


class InlineWorker:
    """A worker in this process: the same session, and every message through JSON as on the wire."""

    def __init__(self, catalog: Catalog, clocks: Clocks, open_meter: OpenMeter | None = None) -> None:
        self._told: OnProgress | None = None
        opened: OpenMeter = open_meter or (lambda spec: open_any(spec, clocks.wall))
        self._session = Session(lambda: catalog, self._tell, clocks, open_meter=opened)
        self.stopped = False
        self.ended = False

    @property
    def pid(self) -> int:
        """This process."""
        return os.getpid()

    def ask(self, do: str, told: OnProgress | None = None, **words: Any) -> dict[str, Any]:  # noqa: ANN401
        """Handle the message here; errors cross the wire as they do between processes."""
        self._told = told
        message = json.loads(json.dumps({"do": do, **words}, allow_nan=False))
        try:
            answer: dict[str, Any] = json.loads(json.dumps(self._session.handle(message), allow_nan=False))
        except Exception as problem:
            raise error_from(failure_of(problem)) from problem
        return answer

    def stop(self) -> None:
        """Remember it."""
        self.stopped = True

    def go(self) -> None:
        """Remember it."""
        self.stopped = False

    def end(self) -> None:
        """Remember it."""
        self.ended = True

    def _tell(self, text: str) -> None:
        if self._told:
            self._told(text)


def fake_machine(
    catalog: Catalog,
    clock: FakeClock,
    *,
    watts: float | None = 10.0,
    cpus: Sequence[int] = (0, 1),
    look: FakeUsageSampler | None = None,
    window_ms: int = 0,
    open_meter: OpenMeter | None = None,
) -> Machine:
    """Return a machine on which everything is known: time passes on `clock`, energy is `watts` times it.

    It idles at these watts too. Nobody else works on it, unless `look` says so. `open_meter` opens meters
    from their specs, in place of fakes on this clock.
    """
    meter = FakeMeter(watts, clock) if watts is not None else None
    skipped = () if meter else (("rapl", "there is no powercap tree", "Run on bare metal."),)
    launch: Callable[[Sequence[int], int], InlineWorker] = lambda _cpus, _threads: InlineWorker(  # noqa: E731
        catalog,
        Clocks(clock, clock, clock.advance, lambda: WorkCounters(reason="this machine is a fake")),
        open_meter,
    )
    return replace(
        Machine(),
        launch=launch,
        launch_in=lambda _variables: launch,
        launch_side=lambda side: lambda cpus, threads: OtherVersionWorker(launch(cpus, threads), side.ref),
        revision=lambda: None,
        choose_meter=lambda _device, _wanted=None: MeterChoice(meter, skipped),
        host=lambda: HOST,
        software=lambda: {"python": "3.11.0"},
        memory=lambda _pid: Memory(peak_bytes=100_000_000, counted_as="RSS"),
        held_bytes=lambda _pid: 50_000_000,
        memory_limit_bytes=lambda: 2**36,
        now=lambda: NOON,
        clock=clock,
        cpus=lambda: tuple(cpus),
        window_ms=lambda _asked: window_ms,  # a clock without noise needs no long windows
        open_meter=open_meter or (lambda spec: open_any(spec, clock)),
        look=look or FakeUsageSampler(clock),
        exchange=lambda _cpus: NoCoreLatencyProbe(),
        moment=lambda _cpus: MachineSnapshot(),
        processes=dict,
        usage=lambda: ProcessUsage(wall_ns=clock.now_ns, parent_ns=0, workers_ns=clock.now_ns, pollers=0),
        sleep=lambda seconds: clock.advance(round(seconds * 1e9)),
        suffix=lambda: "0001",
    )


def open_any(spec: Mapping[str, Any], clock: Callable[[], int] = time.monotonic_ns) -> Meter:
    """Open a fake on a clock of the test's, and any other meter as a worker does."""
    from harness.measurement.energy.combined import open_combined
    from harness.measurement.energy.selection import open_meter

    if spec["meter"] == "joint":
        return open_combined(spec, lambda part: open_any(part, clock))
    return open_fake(spec, clock) if spec["meter"] == "fake" else open_meter(spec)

"""A fake machine: workers in the test's own process, a fixed date, a fixed host, a fake meter."""

import copy
import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import TypeVar

from harness.catalog import Catalog
from harness.common.json_types import JsonObject, JsonValue
from harness.measurement.energy.fake import FakeMeter, open_fake
from harness.measurement.energy.meter import Meter, MeterChoice
from harness.measurement.machine.core_latency import CoreLatencyProbe, NoCoreLatencyProbe
from harness.measurement.machine.host_lock import OnBusy
from harness.measurement.machine.interference import ProcessUsage, UsageSampler
from harness.measurement.machine.perf_events import WorkCounters
from harness.records.record import Host, MachineSnapshot, Memory, Revision
from harness.records.side import Side
from harness.runs.services import LocalMachine, Machine
from harness.runs.worker.loaded_system import Clocks
from harness.runs.worker.messages import CloseRequest, error_from, failure_at
from harness.runs.worker.other_version import OtherVersionWorker
from harness.runs.worker.process import OnProgress, Worker
from harness.runs.worker.session import Session
from harness.testing.clock import FakeClock
from harness.testing.interference import FakeUsageSampler

OpenMeter = Callable[[Mapping[str, JsonValue]], Meter]
MachineT = TypeVar("MachineT", bound=Machine)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
_FACTS = {"model": "Fake CPU", "physical_cpus": 2, "virtualisation": "none"}
HOST = Host(
    fingerprint=hashlib.sha256(json.dumps(_FACTS, sort_keys=True).encode()).hexdigest(),
    name_sha256="b" * 64,
    facts=_FACTS,
)


class InlineWorker(Worker):
    """A worker in this process: the same session, and every message through JSON as on the wire."""

    def __init__(self, catalog: Catalog, clocks: Clocks, open_meter: OpenMeter) -> None:
        self._on_progress: OnProgress | None = None
        self._session = Session(lambda: catalog, self._progress, clocks, open_meter=open_meter)
        self.stopped = False
        self.ended = False

    @property
    def pid(self) -> int:
        """This process."""
        return os.getpid()

    def exchange(self, action: str, fields: JsonObject, on_progress: OnProgress | None = None) -> JsonObject:
        """Handle the message here; errors are converted as they are between processes."""
        self._on_progress = on_progress
        message = json.loads(json.dumps({"do": action, **fields}, allow_nan=False))
        try:
            answer: JsonObject = json.loads(json.dumps(self._session.handle(message), allow_nan=False))
        except Exception as problem:
            raise error_from(failure_at(problem, action, self._session.subject)) from problem
        return answer

    def stop(self) -> None:
        """Record it."""
        self.stopped = True

    def resume(self) -> None:
        """Record it."""
        self.stopped = False

    def end(self) -> None:
        """Release the system, as the end of a process does, and record it."""
        self._session.close(CloseRequest())
        self.ended = True

    def _progress(self, text: str) -> None:
        if self._on_progress:
            self._on_progress(text)


class FakeMachine(LocalMachine):
    """A machine on which everything is known: time passes on `clock`, energy is `watts` times it.

    It idles at these watts too; without `watts` it has no meter. No other process works on it, unless
    `sampler` shows it. `opener` opens meters from their specs, in place of fakes on this clock. Devices and
    the trial of a meter are those of the real machine.
    """

    def __init__(
        self,
        catalog: Catalog,
        clock: FakeClock,
        *,
        watts: float | None = 10.0,
        cpus: Sequence[int] = (0, 1),
        sampler: FakeUsageSampler | None = None,
        window_ms: int = 0,
        opener: OpenMeter | None = None,
    ) -> None:
        self._catalog, self._clock, self._cpus, self._window_ms = catalog, clock, tuple(cpus), window_ms
        self._meter = FakeMeter(watts, clock) if watts is not None else None
        self._sampler = sampler or FakeUsageSampler(clock)
        self._opener = opener or (lambda spec: open_any(spec, clock))

    def hold_cpus(self, on_busy: OnBusy, report: Callable[[str], None]) -> AbstractContextManager[None]:
        """Hold nothing: no other process measures on it."""
        del on_busy, report
        return nullcontext()

    def launch(
        self,
        cpus: Sequence[int],
        threads: int,
        side: Side | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Worker:
        """Return a worker in this process."""
        del cpus, threads, variables
        clock = self._clock
        counters = WorkCounters(reason="this machine is a fake")
        clocks = Clocks(clock, clock, clock.advance, lambda: counters)
        worker = InlineWorker(self._catalog, clocks, self._opener)
        return OtherVersionWorker(worker, side.ref) if side else worker

    def choose_meter(self, device: str, wanted: str | None = None) -> MeterChoice:
        """Return the fake meter."""
        del device, wanted
        skipped = () if self._meter else (("rapl", "there is no powercap tree", "Run on bare metal."),)
        return MeterChoice(self._meter, skipped)

    def open_meter(self, spec: Mapping[str, JsonValue]) -> Meter:
        """Open the meter."""
        return self._opener(spec)

    def cpus(self) -> Sequence[int]:
        """Return the CPUs that the test named."""
        return self._cpus

    def spare_cpus(self, cpus: Sequence[int]) -> Sequence[int]:
        """Return none, so that clients stay where the tests run."""
        del cpus
        return ()

    def host(self) -> Host:
        """Return the fixed host."""
        return HOST

    def software(self) -> dict[str, str]:
        """Return one library."""
        return {"python": "3.11.0"}

    def revision(self) -> Revision | None:
        """Return None."""
        return None

    def memory(self, pid: int) -> Memory:
        """Return the same for all workers."""
        del pid
        return Memory(peak_bytes=100_000_000, counted_as="RSS")

    def held_bytes(self, pid: int) -> int:
        """Return the same for all workers."""
        del pid
        return 50_000_000

    def memory_limit_bytes(self) -> int | None:
        """Return room for all workers."""
        return 2**36

    def usage_sampler(self, cpus: Sequence[int]) -> UsageSampler:
        """Return the sampler of the test."""
        return self._sampler(cpus)

    def core_latency_probe(self, cpus: Sequence[int]) -> CoreLatencyProbe:
        """Return a probe that measures nothing."""
        del cpus
        return NoCoreLatencyProbe()

    def snapshot(self, cpus: Sequence[int]) -> MachineSnapshot:
        """Return an empty snapshot."""
        del cpus
        return MachineSnapshot()

    def cpu_time_by_process(self) -> Mapping[int, tuple[str, float]]:
        """Return no processes."""
        return {}

    def ray_cpu_time(self) -> Mapping[int, tuple[str, float]]:
        """Return no processes: Ray has not started it."""
        return {}

    def process_usage(self) -> ProcessUsage:
        """Return that workers used all the time there was."""
        now_ns = self._clock.now_ns
        return ProcessUsage(wall_ns=now_ns, parent_ns=0, workers_ns=now_ns, pollers=0)

    def now(self) -> datetime:
        """Return the fixed date."""
        return NOON

    def clock(self) -> int:
        """Return the time on the fake clock."""
        return self._clock()

    def sleep(self, seconds: float) -> None:
        """Move the fake clock on."""
        self._clock.advance(round(seconds * 1e9))

    def window_ms(self, requested_ms: int) -> int:
        """Return the test's length: a clock without noise needs no long windows."""
        del requested_ms
        return self._window_ms

    def suffix(self) -> str:
        """Return the same end for every run's name."""
        return "0001"


def altered(machine: MachineT, **methods: Callable[..., object]) -> MachineT:
    """Return a copy of a machine with other methods; AttributeError for a name that it does not have."""
    copied = copy.copy(machine)
    for name, method in methods.items():
        getattr(copied, name)
        setattr(copied, name, method)
    return copied


def open_any(spec: Mapping[str, JsonValue], clock: Callable[[], int] = time.monotonic_ns) -> Meter:
    """Open a fake on a clock of the test's, and any other meter as a worker does."""
    from harness.measurement.energy.combined import open_combined
    from harness.measurement.energy.selection import open_meter

    if spec["meter"] == "joint":
        return open_combined(spec, lambda part: open_any(part, clock))
    return open_fake(spec, clock) if spec["meter"] == "fake" else open_meter(spec)

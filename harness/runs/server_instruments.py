"""What a model server is measured with: instruments that claim only what they cover of it."""

import os
from contextlib import suppress

import psutil

from harness.common.errors import MeasurementError
from harness.common.json_types import JsonObject
from harness.common.procfs import TreeCpuTime
from harness.measurement.energy.counters.coverage import CoverageMeter
from harness.measurement.energy.external.distant import open_distant
from harness.measurement.energy.meter import Meter
from harness.measurement.machine.memory import PeakMemoryTracker
from harness.measurement.machine.outside import OutsideProcesses, place_of
from harness.measurement.machine.perf_events import WorkCounters
from harness.records.journal_entries import PeakMemory
from harness.systems.server import METER_FACTS, ServerDefinition


def instruments_of(
    server: ServerDefinition, meter: Meter | None, counters: WorkCounters
) -> tuple[Meter | None, WorkCounters]:
    """Return the meter and the counters of a server, given those of the worker.

    The CPU time of processes that the user named counts as that of the worker from here on. MeasurementError
    if they are not there, or an agent on the server's machine does not answer.
    """
    place = place_of(server)
    if place == "named processes":
        outside = OutsideProcesses(server.pid, server.cgroup)
        outside.cpu_ns()
        TreeCpuTime.count_also(outside.cpu_ns)
    if place != "below the worker":
        counters = WorkCounters(reason="the server does not run below the worker")
    if server.meter:
        return open_distant(server.meter, os.environ, server.name), counters
    return meter and CoverageMeter(meter, place), counters


def meter_facts(server: ServerDefinition | None, meter: Meter | None) -> JsonObject:
    """Return the facts of a meter that is not the run's, for the record of its cell."""
    return {METER_FACTS: meter.describe()} if server and server.meter and meter else {}


def release_instruments() -> None:
    """Count the CPU time of the worker's own tree alone again."""
    TreeCpuTime.count_also(None)


def memory_of(server: ServerDefinition) -> PeakMemory | None:
    """Return the memory of a server that somebody else has started; None for one below the worker."""
    if server.command:
        return None
    tracker = PeakMemoryTracker()
    if server.pid:
        with suppress(MeasurementError, psutil.Error):
            tracker.sample(server.pid)
    peak = tracker.peak()
    return PeakMemory(peak_bytes=peak.peak_bytes, counted_as=peak.counted_as) if peak else PeakMemory()

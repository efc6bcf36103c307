"""What a run needs of the world, in one place, so that a test can hand it another world."""

import os
import secrets
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from harness.common.errors import MeasurementError
from harness.measurement.energy.check import MeterCheck
from harness.measurement.energy.meter import Meter, MeterChoice
from harness.measurement.machine.core_latency import CoreLatencyProbe, core_latency_probe
from harness.measurement.machine.devices import VISIBLE, check_device
from harness.measurement.machine.interference import (
    InterferenceWatch,
    ProcessUsage,
    UsageSampler,
    process_usage,
)
from harness.records.record import Host, MachineSnapshot, Memory, Revision
from harness.records.side import Side
from harness.runs.worker.other_version import OtherVersionWorker, worker_module
from harness.runs.worker.process import Launch, ProcessWorker, Worker


def _choose(device: str, wanted: str | None = None) -> MeterChoice:
    from harness.measurement.energy.selection import choose_meter

    return choose_meter(device, wanted)


def _host() -> Host:
    from harness.measurement.machine.host import fingerprint

    return fingerprint()


def _software() -> dict[str, str]:
    from harness.measurement.machine.host import software

    return software()


def _memory(pid: int) -> Memory:
    from harness.measurement.machine.memory import PeakMemoryTracker

    watched = PeakMemoryTracker()
    watched.sample(pid)
    peak = watched.peak()
    if peak is None:
        raise MeasurementError("the worker's memory could not be read.", where=f"process {pid}")
    return Memory(peak_bytes=peak.peak_bytes, counted_as=peak.counted_as)


def _held_bytes(pid: int) -> int:
    from harness.measurement.machine.memory import held_bytes

    return held_bytes(pid)


def _memory_limit_bytes() -> int | None:
    from harness.common.procfs import memory_limit_bytes

    return memory_limit_bytes()


def _cpus() -> Sequence[int]:
    """Return one CPU per physical core among those this process may use."""
    from harness.common.procfs import physical_cpus

    return physical_cpus(os.sched_getaffinity(0))


def _look(cpus: Sequence[int]) -> UsageSampler:
    """Return who looks at these CPUs and the others of the same cores."""
    from harness.common.procfs import siblings

    return InterferenceWatch(sorted({each for cpu in cpus for each in siblings(cpu) or (cpu,)})).look


def _exchange(cpus: Sequence[int]) -> CoreLatencyProbe:
    from harness.catalog import load_core_latency

    return core_latency_probe(cpus, load_core_latency())


def _moment(cpus: Sequence[int]) -> MachineSnapshot:
    from harness.measurement.machine.conditions import take_snapshot
    from harness.measurement.machine.gpu import gpu_snapshots, nvml_module

    return take_snapshot(cpus, gpus=gpu_snapshots(nvml_module()))


def _board(device: str) -> int | None:
    from harness.measurement.machine.gpu import board_number, nvml_module

    return board_number(nvml_module(), device, os.environ.get(VISIBLE))


def _processes() -> Mapping[int, tuple[str, float]]:
    from harness.measurement.machine.conditions import cpu_time_by_process

    return cpu_time_by_process(os.getpid())


def _open_meter(spec: Mapping[str, Any]) -> Meter:
    from harness.measurement.energy.selection import open_meter

    return open_meter(spec)


def _try_meter(meter: Meter) -> MeterCheck:
    from harness.measurement.energy.trial import try_meter

    return try_meter(meter)


def _peaks(threads: int) -> dict[str, dict[str, Any]] | str:
    from harness.catalog import load_peaks

    found = load_peaks().cores([threads])
    return found if isinstance(found, str) else dict(found[str(threads)]["arithmetic"])


def _as_asked(window_ms: int) -> int:
    return window_ms


def _now() -> datetime:
    return datetime.now(UTC)


def _launch_side(side: Side) -> Launch:
    def launch(cpus: Sequence[int], threads: int) -> Worker:
        python = side.python or sys.executable
        module = worker_module(python, side.source)
        worker = ProcessWorker(cpus, threads, python=python, source=side.source, module=module)
        return OtherVersionWorker(worker, side.ref)

    return launch


def _launch_in(variables: Mapping[str, str]) -> Launch:
    return partial(ProcessWorker, variables=variables)


def _revision() -> Revision | None:
    from harness.measurement.machine.git_revision import revision_of

    return revision_of(Path.cwd())


@dataclass(frozen=True, slots=True)
class Machine:
    """This machine: its workers, meters, memory, clock on the wall, and a name for each new run.

    `look` returns who looks at CPUs while a worker works, `moment` what moves by itself, `processes` the CPU
    seconds of others by process, `usage` what this process and its workers have used.
    """

    launch: Launch = ProcessWorker
    launch_side: Callable[[Side], Launch] = _launch_side
    """Given a side of a gate, starts workers of its code."""
    launch_in: Callable[[Mapping[str, str]], Launch] = _launch_in
    """Given the environment variables of a rung, starts workers that have them."""
    revision: Callable[[], Revision | None] = _revision
    """Which commit of the project in the working folder is under test."""
    choose_meter: Callable[..., MeterChoice] = _choose
    """Given a device, and the meter that a user named if one did."""
    host: Callable[[], Host] = _host
    software: Callable[[], dict[str, str]] = _software
    memory: Callable[[int], Memory] = _memory
    held_bytes: Callable[[int], int] = _held_bytes
    """What a worker holds of the memory now, with its children; `memory` is its peak."""
    memory_limit_bytes: Callable[[], int | None] = _memory_limit_bytes
    now: Callable[[], datetime] = _now
    clock: Callable[[], int] = time.perf_counter_ns
    cpus: Callable[[], Sequence[int]] = _cpus
    try_meter: Callable[[Meter], MeterCheck] = _try_meter
    check_device: Callable[[str], None] = check_device
    board: Callable[[str], int | None] = _board
    """Which of the driver's boards a device is."""
    open_meter: Callable[[Mapping[str, Any]], Meter] = _open_meter
    look: Callable[[Sequence[int]], UsageSampler] = _look
    exchange: Callable[[Sequence[int]], CoreLatencyProbe] = _exchange
    """Who answers how fast the first and the last of these CPUs exchange a cache line."""
    moment: Callable[[Sequence[int]], MachineSnapshot] = _moment
    processes: Callable[[], Mapping[int, tuple[str, float]]] = _processes
    usage: Callable[[], ProcessUsage] = process_usage
    peaks: Callable[[int], dict[str, dict[str, Any]] | str] = _peaks
    """Given threads, operations per second by precision with the instruction, or why they are not known."""
    sleep: Callable[[float], None] = time.sleep
    window_ms: Callable[[int], int] = _as_asked
    """How long windows must be here at least, given what the profile asks."""
    suffix: Callable[[], str] = field(default=lambda: secrets.token_hex(2))

    def launch_of(self, side: Side | None, variables: Mapping[str, str] | None = None) -> Launch:
        """Return what starts the workers of a side, or of no side in particular, with these variables."""
        if side:
            return self.launch_side(side)
        return self.launch_in(variables) if variables else self.launch


def chosen_meter(machine: Machine, device: str, wanted: str) -> MeterChoice:
    """Return the meter of a device; `wanted` is the one that a user named, or nothing."""
    return machine.choose_meter(device, wanted) if wanted else machine.choose_meter(device)

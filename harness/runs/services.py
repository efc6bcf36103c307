"""What a run needs from the machine it runs on: protocols, and the machine of this process.

Machine = WorkerLauncher + Meters + Observer + Timekeeper
  LocalMachine                       the real one
  harness.testing.world.FakeMachine  the one of tests
"""

import os
import secrets
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from harness.common.errors import MeasurementError
from harness.common.json_types import JsonValue
from harness.measurement.energy.check import MeterCheck
from harness.measurement.energy.meter import Meter, MeterChoice
from harness.measurement.machine import devices
from harness.measurement.machine.core_latency import CoreLatencyProbe, core_latency_probe
from harness.measurement.machine.host_lock import OnBusy, cores_of, hold_cpus
from harness.measurement.machine.interference import (
    InterferenceWatch,
    ProcessUsage,
    UsageSampler,
    process_usage,
)
from harness.records.record import ComputePeak, Host, MachineSnapshot, Memory, Revision
from harness.records.side import Side
from harness.runs.worker.other_version import OtherVersionWorker, worker_module
from harness.runs.worker.process import ProcessWorker, Worker


class WorkerLauncher(Protocol):
    """Starts workers, on CPUs that no other measurement uses."""

    def hold_cpus(self, on_busy: OnBusy, report: Callable[[str], None]) -> AbstractContextManager[None]:
        """Hold the CPUs of this process; where another measurement holds one: wait, refuse or share it.

        MeasurementError names the holder where it is refused; `report` receives whom is waited for.
        """

    def launch(
        self,
        cpus: Sequence[int],
        threads: int,
        side: Side | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Worker:
        """Start a worker on these CPUs with this many threads.

        It runs the code of `side`, or this program's. `variables` are added to its environment, unless it
        belongs to a side.
        """


class Meters(Protocol):
    """Chooses, tries and opens energy meters."""

    def choose_meter(self, device: str, wanted: str | None = None) -> MeterChoice:
        """Return the meter of a device: the one named by `wanted`, or the first that works."""

    def try_meter(self, meter: Meter) -> MeterCheck:
        """Return whether the meter moves while a CPU works, and how finely."""

    def open_meter(self, spec: Mapping[str, JsonValue]) -> Meter:
        """Open the meter that `meter_spec` described."""


class Observer(Protocol):
    """Reads what the machine is and what happens on it."""

    def cpus(self) -> Sequence[int]:
        """Return one CPU for each physical core that this process may use."""

    def spare_cpus(self, cpus: Sequence[int]) -> Sequence[int]:
        """Return the CPUs that this process may use, without these and the others of their cores."""

    def check_device(self, device: str) -> None:
        """Raise DeviceError unless the device is there."""

    def board(self, device: str) -> int | None:
        """Return the driver's number of the board that a device is; None for a CPU."""

    def host(self) -> Host:
        """Return the fingerprint of the machine."""

    def software(self) -> dict[str, str]:
        """Return the versions of the libraries that matter."""

    def revision(self) -> Revision | None:
        """Return the commit of the project in the working folder; None where there is none."""

    def memory(self, pid: int) -> Memory:
        """Return the peak memory of a worker, with its children."""

    def held_bytes(self, pid: int) -> int:
        """Return the memory that a worker holds now, with its children."""

    def memory_limit_bytes(self) -> int | None:
        """Return the memory that all workers may take together; None where it is unknown."""

    def usage_sampler(self, cpus: Sequence[int]) -> UsageSampler:
        """Return what samples CPU use, on these CPUs and on the others of the same cores."""

    def core_latency_probe(self, cpus: Sequence[int]) -> CoreLatencyProbe:
        """Return what measures how fast the first and the last of these CPUs exchange a cache line."""

    def snapshot(self, cpus: Sequence[int]) -> MachineSnapshot:
        """Return what changes by itself: load, frequency, temperature, boards."""

    def cpu_time_by_process(self) -> Mapping[int, tuple[str, float]]:
        """Return the name and the CPU seconds of every process of others, by pid."""

    def ray_cpu_time(self) -> Mapping[int, tuple[str, float]]:
        """Return the same of Ray's processes, if Ray has started this one."""

    def process_usage(self) -> ProcessUsage:
        """Return what this process and its ended workers have used so far."""

    def peaks(self, threads: int) -> Mapping[str, ComputePeak] | str:
        """Measure the cores' peaks, by precision, or return why that is not possible."""


class Timekeeper(Protocol):
    """Clocks, and the name of a run."""

    def now(self) -> datetime:
        """Return the date and time in UTC."""

    def clock(self) -> int:
        """Return monotonic nanoseconds."""

    def sleep(self, seconds: float) -> None:
        """Sleep."""

    def window_ms(self, requested_ms: int) -> int:
        """Return how long windows must last here at least, given what the profile requests."""

    def suffix(self) -> str:
        """Return the random end of a run's name."""


class Machine(WorkerLauncher, Meters, Observer, Timekeeper, Protocol):
    """Everything that a run needs from the machine it runs on."""


class LocalMachine:
    """The machine that this process runs on."""

    def hold_cpus(self, on_busy: OnBusy, report: Callable[[str], None]) -> AbstractContextManager[None]:
        """Lock the cores of these CPUs for the whole host."""
        return hold_cpus(cores_of(self.cpus()), on_busy, report)

    def launch(
        self,
        cpus: Sequence[int],
        threads: int,
        side: Side | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Worker:
        """Start a worker process."""
        if side is None:
            return ProcessWorker(cpus, threads, variables=variables or {})
        python = side.python or sys.executable
        module = worker_module(python, side.source)
        worker = ProcessWorker(cpus, threads, python=python, source=side.source, module=module)
        return OtherVersionWorker(worker, side.ref)

    def choose_meter(self, device: str, wanted: str | None = None) -> MeterChoice:
        """Choose from the table of meters."""
        from harness.measurement.energy.selection import choose_meter

        return choose_meter(device, wanted)

    def try_meter(self, meter: Meter) -> MeterCheck:
        """Read the meter while a CPU works."""
        from harness.measurement.energy.trial import try_meter

        return try_meter(meter)

    def open_meter(self, spec: Mapping[str, JsonValue]) -> Meter:
        """Open the meter."""
        from harness.measurement.energy.selection import open_meter

        return open_meter(spec)

    def cpus(self) -> Sequence[int]:
        """Return one CPU for each physical core that this process may use."""
        from harness.common.procfs import physical_cpus

        return physical_cpus(os.sched_getaffinity(0))

    def spare_cpus(self, cpus: Sequence[int]) -> Sequence[int]:
        """Return the CPUs of other cores."""
        from harness.common.procfs import siblings

        taken = {sibling for cpu in cpus for sibling in siblings(cpu) or (cpu,)}
        return sorted(os.sched_getaffinity(0) - taken)

    def check_device(self, device: str) -> None:
        """Raise DeviceError unless the device is there."""
        devices.check_device(device)

    def board(self, device: str) -> int | None:
        """Look the device up in the driver."""
        from harness.measurement.machine.gpu import board_number, nvml_module

        return board_number(nvml_module(), device, os.environ.get(devices.VISIBLE))

    def host(self) -> Host:
        """Return the fingerprint of the machine."""
        from harness.measurement.machine.host import fingerprint

        return fingerprint()

    def software(self) -> dict[str, str]:
        """Return the versions of the libraries that matter."""
        from harness.measurement.machine.host import software

        return software()

    def revision(self) -> Revision | None:
        """Return the commit in the working folder."""
        from harness.measurement.machine.git_revision import revision_of

        return revision_of(Path.cwd())

    def memory(self, pid: int) -> Memory:
        """Read the peak memory; MeasurementError where the kernel hides it."""
        from harness.measurement.machine.memory import PeakMemoryTracker

        tracker = PeakMemoryTracker()
        tracker.sample(pid)
        peak = tracker.peak()
        if peak is None:
            raise MeasurementError("the worker's memory could not be read.", where=f"process {pid}")
        return Memory(peak_bytes=peak.peak_bytes, counted_as=peak.counted_as)

    def held_bytes(self, pid: int) -> int:
        """Read the memory in shares that add up over workers."""
        from harness.measurement.machine.memory import held_bytes

        return held_bytes(pid)

    def memory_limit_bytes(self) -> int | None:
        """Return the limit of the machine or of the control group."""
        from harness.common.procfs import memory_limit_bytes

        return memory_limit_bytes()

    def usage_sampler(self, cpus: Sequence[int]) -> UsageSampler:
        """Watch these CPUs and their SMT siblings."""
        from harness.common.procfs import siblings

        watched = {sibling for cpu in cpus for sibling in siblings(cpu) or (cpu,)}
        return InterferenceWatch(sorted(watched)).look

    def core_latency_probe(self, cpus: Sequence[int]) -> CoreLatencyProbe:
        """Start two threads on these CPUs."""
        from harness.catalog import load_core_latency

        return core_latency_probe(cpus, load_core_latency())

    def snapshot(self, cpus: Sequence[int]) -> MachineSnapshot:
        """Read it from the kernel and the driver."""
        from harness.measurement.machine.conditions import take_snapshot
        from harness.measurement.machine.gpu import gpu_snapshots, nvml_module

        return take_snapshot(cpus, gpus=gpu_snapshots(nvml_module()))

    def cpu_time_by_process(self) -> Mapping[int, tuple[str, float]]:
        """Read all processes but this one and its children."""
        from harness.measurement.machine.conditions import cpu_time_by_process

        return cpu_time_by_process(os.getpid())

    def ray_cpu_time(self) -> Mapping[int, tuple[str, float]]:
        """Find them by what the kernel shows of this process and of its ancestors."""
        from harness.measurement.machine.conditions import ray_cpu_time

        return ray_cpu_time(os.getpid())

    def process_usage(self) -> ProcessUsage:
        """Return what this process and its ended workers have used so far."""
        return process_usage()

    def peaks(self, threads: int) -> Mapping[str, ComputePeak] | str:
        """Measure the cores' peaks with a compiled program."""
        from harness.catalog import load_peaks

        measured = load_peaks().cores([threads])
        if isinstance(measured, str):
            return measured
        return {
            precision: ComputePeak(instruction=peak["instruction"], before=peak["per_second"])
            for precision, peak in measured[str(threads)]["arithmetic"].items()
        }

    def now(self) -> datetime:
        """Return the date and time in UTC."""
        return datetime.now(UTC)

    def clock(self) -> int:
        """Return monotonic nanoseconds."""
        return time.perf_counter_ns()

    def sleep(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)

    def window_ms(self, requested_ms: int) -> int:
        """Return what the profile requests."""
        return requested_ms

    def suffix(self) -> str:
        """Return four random hexadecimal digits."""
        return secrets.token_hex(2)


def chosen_meter(machine: Meters, device: str, wanted: str) -> MeterChoice:
    """Return the meter of a device; `wanted` is the one that a user named, or empty."""
    return machine.choose_meter(device, wanted) if wanted else machine.choose_meter(device)

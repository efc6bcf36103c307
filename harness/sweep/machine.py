"""What a run needs of the world, in one place, so that a test can hand it another world."""

import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from harness.device import check_device
from harness.errors import MeasurementError
from harness.meters.base import Choice
from harness.record import Host, Memory
from harness.sweep.launch import Launch, ProcessWorker


def _choose(device: str) -> Choice:
    from harness.meters.choose import choose

    return choose(device)


def _host() -> Host:
    from harness.host import fingerprint

    return fingerprint()


def _software() -> dict[str, str]:
    from harness.host import software

    return software()


def _memory(pid: int) -> Memory:
    from harness.memory import PeakMemory

    watched = PeakMemory()
    watched.sample(pid)
    peak = watched.peak()
    if peak is None:
        raise MeasurementError("the worker's memory could not be read.", where=f"process {pid}")
    return Memory(peak_bytes=peak.peak_bytes, counted_as=peak.counted_as)


def _memory_limit_bytes() -> int | None:
    from harness.kernel import memory_limit_bytes

    return memory_limit_bytes()


def _cpus() -> Sequence[int]:
    """Return one CPU per physical core among those this process may use."""
    from harness.kernel import physical_cpus

    return physical_cpus(os.sched_getaffinity(0))


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Machine:
    """This machine: its workers, meters, memory, clock on the wall, and a name for each new run."""

    launch: Launch = ProcessWorker
    choose_meter: Callable[[str], Choice] = _choose
    host: Callable[[], Host] = _host
    software: Callable[[], dict[str, str]] = _software
    memory: Callable[[int], Memory] = _memory
    memory_limit_bytes: Callable[[], int | None] = _memory_limit_bytes
    now: Callable[[], datetime] = _now
    cpus: Callable[[], Sequence[int]] = _cpus
    check_device: Callable[[str], None] = check_device
    suffix: Callable[[], str] = field(default=lambda: secrets.token_hex(2))

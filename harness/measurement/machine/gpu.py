"""NVIDIA boards as the driver describes them: facts for the fingerprint, and snapshots of what changes.

Every function takes NVML (the module pynvml, or an object with the same functions). Without a driver there
are no boards. A value that a board does not have is `UNKNOWN` or None, never a default.
"""

import importlib
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress

from harness.common.json_types import JsonObject, JsonValue
from harness.measurement.machine.gpu_boards import (
    BoardUnavailable,
    Handle,
    Nvml,
    boards_of,
    open_boards,
    query,
    text,
)
from harness.records.record import GpuSnapshot

UNKNOWN = "unavailable, because the driver does not tell"
"""A part of the fingerprint: with another wording, the same machine would count as another one."""

_SM_CLOCK = 1  # NVML_CLOCK_SM
_MEMORY_CLOCK = 2  # NVML_CLOCK_MEM
_TEMPERATURE = 0  # NVML_TEMPERATURE_GPU

_POLICIES = {"power": 0, "thermal": 1}  # NVML_PERF_POLICY_POWER, NVML_PERF_POLICY_THERMAL

REASONS = {
    0x0000000000000002: "applications_clocks",
    0x0000000000000004: "power_cap",
    0x0000000000000008: "hardware",
    0x0000000000000010: "sync_boost",
    0x0000000000000020: "thermal",
    0x0000000000000040: "thermal",
    0x0000000000000080: "power_brake",
    0x0000000000000100: "display_clocks",
}
"""NVML's bits of clock event reasons (nvml.h); 1 is idle, which reduces no clock."""


def nvml_module() -> Nvml | None:
    """Return the module pynvml, or None if it is not installed."""
    try:
        return importlib.import_module("pynvml")
    except ImportError:
        return None


def facts(nvml: Nvml | None) -> list[JsonObject]:
    """Return the constant facts of each board that affect speed: name, memory, driver, limits, modes."""
    return [_facts_of(nvml, handle) for _, handle in _boards(nvml)]


def gpu_snapshots(nvml: Nvml | None, ours: Collection[int] = ()) -> tuple[GpuSnapshot, ...]:
    """Return the present state of each board; processes in `ours` do not count as foreign."""
    return tuple(_snapshot(nvml, index, handle, ours) for index, handle in _boards(nvml))


def board_number(nvml: Nvml | None, device: str, visible: str | None) -> int | None:
    """Return the driver's number of the board behind `cuda:N`; None on a CPU, or if it is unknown.

    `visible` is the value of `CUDA_VISIBLE_DEVICES`. For a MIG instance, the result is its board's number.
    """
    kind, _, index = device.partition(":")
    if kind != "cuda" or nvml is None:
        return None
    try:
        (board,) = open_boards(boards_of(int(index or 0), visible), nvml)
    except (BoardUnavailable, ValueError):
        return None
    number = board.zone.name.partition("-")[2]
    return int(number) if number.isdigit() else None


def _boards(nvml: Nvml | None) -> Iterator[tuple[int, Handle]]:
    """Yield the number and handle of each board; nothing without a driver."""
    if nvml is None:
        return
    try:
        nvml.nvmlInit()
        count = int(nvml.nvmlDeviceGetCount())
    except nvml.NVMLError:
        return
    for index in range(count):
        with suppress(nvml.NVMLError):
            yield index, nvml.nvmlDeviceGetHandleByIndex(index)


def _facts_of(nvml: Nvml, handle: Handle) -> JsonObject:
    def fact(call: Callable[[], JsonValue]) -> JsonValue:
        value = query(nvml, call)
        return UNKNOWN if value is None else value

    return {
        "name": fact(lambda: text(nvml.nvmlDeviceGetName(handle))),
        "memory_mib": fact(lambda: int(nvml.nvmlDeviceGetMemoryInfo(handle).total) // 2**20),
        "driver": fact(lambda: text(nvml.nvmlSystemGetDriverVersion())),
        "vbios": fact(lambda: text(nvml.nvmlDeviceGetVbiosVersion(handle))),
        "max_sm_clock_mhz": fact(lambda: int(nvml.nvmlDeviceGetMaxClockInfo(handle, _SM_CLOCK))),
        "power_limit_mw": fact(lambda: int(nvml.nvmlDeviceGetEnforcedPowerLimit(handle))),
        "ecc": fact(lambda: _on_or_off(nvml.nvmlDeviceGetEccMode(handle)[0])),
        "mig": fact(lambda: _on_or_off(nvml.nvmlDeviceGetMigMode(handle)[0])),
        "persistence": fact(lambda: _on_or_off(nvml.nvmlDeviceGetPersistenceMode(handle))),
    }


def _snapshot(nvml: Nvml, index: int, handle: Handle, ours: Collection[int]) -> GpuSnapshot:
    def foreign_processes() -> int:
        return sum(process.pid not in ours for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle))

    def violation_ns(kind: str) -> Callable[[], int]:
        return lambda: int(nvml.nvmlDeviceGetViolationStatus(handle, _POLICIES[kind]).violationTime)

    bits = query(nvml, lambda: int(nvml.nvmlDeviceGetCurrentClocksEventReasons(handle))) or 0
    return GpuSnapshot(
        index=index,
        name=query(nvml, lambda: text(nvml.nvmlDeviceGetName(handle))) or UNKNOWN,
        temperature_c=query(nvml, lambda: int(nvml.nvmlDeviceGetTemperature(handle, _TEMPERATURE))),
        sm_clock_mhz=query(nvml, lambda: int(nvml.nvmlDeviceGetClockInfo(handle, _SM_CLOCK))),
        memory_clock_mhz=query(nvml, lambda: int(nvml.nvmlDeviceGetClockInfo(handle, _MEMORY_CLOCK))),
        power_limit_mw=query(nvml, lambda: int(nvml.nvmlDeviceGetEnforcedPowerLimit(handle))),
        throttled_by=tuple(dict.fromkeys(name for bit, name in REASONS.items() if bits & bit)),
        held_back_ns={kind: ns for kind in _POLICIES if (ns := query(nvml, violation_ns(kind))) is not None},
        foreign=query(nvml, foreign_processes),
    )


def _on_or_off(mode: int) -> str:
    return "on" if mode else "off"

"""What NVIDIA's driver says of its boards: facts for the fingerprint, and what moves by itself.

Every function takes NVML (the module pynvml, or anything shaped like it). Without a driver there are no
boards; what one board does not tell is said so or None, never a default.
"""

import importlib
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from typing import Any

from harness.measurement.machine.gpu_boards import BoardUnavailable, boards_of, open_boards
from harness.records.record import GpuSnapshot

Nvml = Any

UNKNOWN = "unavailable, because the driver does not tell"

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
"""NVML's bits of clock event reasons (nvml.h); 1 is idle, which holds nothing down."""


def nvml_module() -> Nvml | None:
    """Return pynvml, or None where it is not installed."""
    try:
        return importlib.import_module("pynvml")
    except ImportError:
        return None


def facts(nvml: Nvml | None) -> list[dict[str, Any]]:
    """Return what bears on speed and stays, board by board: name, memory, driver, limits, modes."""
    return [_facts_of(nvml, handle) for _, handle in _boards(nvml)]


def gpu_snapshots(nvml: Nvml | None, ours: Collection[int] = ()) -> tuple[GpuSnapshot, ...]:
    """Return what moves, board by board; processes in `ours` are not foreign."""
    return tuple(_moment_of(nvml, index, handle, ours) for index, handle in _boards(nvml))


def board_number(nvml: Nvml | None, device: str, visible: str | None) -> int | None:
    """Return the driver's number of the board that `cuda:N` is; None on a CPU, or where it does not tell.

    `visible` is `CUDA_VISIBLE_DEVICES`; a MIG instance is on the board that it is a part of.
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


def _boards(nvml: Nvml | None) -> Iterator[tuple[int, Any]]:
    """Yield number and handle of each board; none without a driver."""
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


def _facts_of(nvml: Nvml, handle: Any) -> dict[str, Any]:  # noqa: ANN401 -- NVML's handle
    def ask(read: Callable[[], Any]) -> Any:  # noqa: ANN401 -- facts are any JSON value
        found = _asked(nvml, read)
        return UNKNOWN if found is None else found

    return {
        "name": ask(lambda: _text(nvml.nvmlDeviceGetName(handle))),
        "memory_mib": ask(lambda: int(nvml.nvmlDeviceGetMemoryInfo(handle).total) // 2**20),
        "driver": ask(lambda: _text(nvml.nvmlSystemGetDriverVersion())),
        "vbios": ask(lambda: _text(nvml.nvmlDeviceGetVbiosVersion(handle))),
        "max_sm_clock_mhz": ask(lambda: int(nvml.nvmlDeviceGetMaxClockInfo(handle, _SM_CLOCK))),
        "power_limit_mw": ask(lambda: int(nvml.nvmlDeviceGetEnforcedPowerLimit(handle))),
        "ecc": ask(lambda: _on(nvml.nvmlDeviceGetEccMode(handle)[0])),
        "mig": ask(lambda: _on(nvml.nvmlDeviceGetMigMode(handle)[0])),
        "persistence": ask(lambda: _on(nvml.nvmlDeviceGetPersistenceMode(handle))),
    }


def _moment_of(nvml: Nvml, index: int, handle: Any, ours: Collection[int]) -> GpuSnapshot:  # noqa: ANN401
    def running() -> int:
        return sum(each.pid not in ours for each in nvml.nvmlDeviceGetComputeRunningProcesses(handle))

    def violated(kind: str) -> Callable[[], int]:
        return lambda: int(nvml.nvmlDeviceGetViolationStatus(handle, _POLICIES[kind]).violationTime)

    bits = _asked(nvml, lambda: int(nvml.nvmlDeviceGetCurrentClocksEventReasons(handle))) or 0
    return GpuSnapshot(
        index=index,
        name=_asked(nvml, lambda: _text(nvml.nvmlDeviceGetName(handle))) or UNKNOWN,
        temperature_c=_asked(nvml, lambda: int(nvml.nvmlDeviceGetTemperature(handle, _TEMPERATURE))),
        sm_clock_mhz=_asked(nvml, lambda: int(nvml.nvmlDeviceGetClockInfo(handle, _SM_CLOCK))),
        memory_clock_mhz=_asked(nvml, lambda: int(nvml.nvmlDeviceGetClockInfo(handle, _MEMORY_CLOCK))),
        power_limit_mw=_asked(nvml, lambda: int(nvml.nvmlDeviceGetEnforcedPowerLimit(handle))),
        throttled_by=tuple(dict.fromkeys(name for bit, name in REASONS.items() if bits & bit)),
        held_back_ns={kind: ns for kind in _POLICIES if (ns := _asked(nvml, violated(kind))) is not None},
        foreign=_asked(nvml, running),
    )


def _asked(nvml: Nvml, read: Callable[[], Any]) -> Any:  # noqa: ANN401
    """Return the answer, or None where this board or this version of NVML has none."""
    try:
        return read()
    except (nvml.NVMLError, AttributeError):
        return None


def _on(mode: int) -> str:
    return "on" if mode else "off"


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value

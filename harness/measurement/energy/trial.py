"""The trial of a meter on this machine: its check, and what remains where a part of it cannot be used.

    meter --check--> a dead memory counter   --> packages alone, all memory left out
                     a dead package          --> the same zone by another interface, or none of this meter
                     mirrors of one counter  --> the first of them

A remainder is whole: it covers the same parts of every socket. Each zone that is left out has a reason in the
meter's facts and in its check.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from harness.measurement.energy.check import MeterCheck, check_meter
from harness.measurement.energy.counters.meter import CounterMeter
from harness.measurement.energy.meter import Meter, SelectableMeter
from harness.measurement.energy.nvml import TRAITS, NvmlMeter, names_of
from harness.measurement.machine.gpu_boards import BoardUnavailable, Nvml, load_nvml, open_boards

SAME_PARTS = "left out as well, so that the sum covers the same parts of each socket"

TryMeter = Callable[[Meter], MeterCheck]
"""Checks a meter."""


def readable_part(meter: SelectableMeter) -> SelectableMeter:
    """Return the meter without zones that cannot be read now; the meter itself if the rest is not whole."""
    part: SelectableMeter | None = meter
    while isinstance(part, CounterMeter) and (reasons := part.unreadable()):
        part = _without(part, _complete(part, reasons, ()), ())
    return part or meter


def usable_part(meter: Meter, try_meter: TryMeter) -> tuple[Meter, MeterCheck]:
    """Check a meter, leave out what the check found dead or mirrored, and check what remains.

    The check that is returned is that of the returned meter, and names all that was left out. It has
    `moved` False if no whole part of the meter can be used.
    """
    check = try_meter(meter)
    left_out: dict[str, str] = {}
    while unusable := {**dict(check.left_out), **_dead(check)}:
        mirrors = dict(check.left_out)
        reasons = _complete(meter, unusable, mirrors)
        part = _without(meter, reasons, mirrors) if isinstance(meter, CounterMeter) else None
        if part is None:
            reason = "; ".join(f"{zone}: {reason}" for zone, reason in unusable.items())
            return meter, replace(check, moved=False, reason=reason)
        left_out |= reasons
        meter, check = part, try_meter(part)
    return meter, replace(check, left_out=tuple(left_out.items()))


def _dead(check: MeterCheck) -> dict[str, str]:
    return {zone.zone: zone.reason for zone in check.zones if zone.reason}


def _complete(meter: Meter, reasons: Mapping[str, str], mirrors: Collection[str]) -> dict[str, str]:
    """Return why zones are left out; one dead memory takes all memory with it."""
    memory = [zone.name for zone in meter.zones() if zone.scope == "dram"]
    is_dead = any(name in reasons and name not in mirrors for name in memory)
    return {**(dict.fromkeys(memory, SAME_PARTS) if is_dead else {}), **reasons}


def _without(
    meter: CounterMeter, reasons: Mapping[str, str], mirrors: Collection[str]
) -> CounterMeter | None:
    """Return the meter without these zones, or None if what remains is not whole.

    A package that is dead must be shown by another interface, or by the platform's counter if no package is
    left. That this user may not read a package is no reason to read less.
    """
    memory = [zone.name for zone in meter.zones() if zone.scope == "dram"]
    lost = {name for name in reasons if name not in mirrors and name not in memory}
    if any(reasons[name].startswith("permission denied") for name in lost):
        return None
    part = meter.without(reasons)
    if part is None or not part.zones():
        return None
    is_platform = {zone.scope for zone in part.zones()} == {"system"}
    return part if is_platform or {zone.name for zone in part.zones()} >= lost else None


def try_meter(meter: Meter) -> MeterCheck:
    """Check a meter in real time, for 1.5 s at most, and about 0.05 s if its counters are fast."""
    return check_meter(meter, power=power_of(meter))


def power_of(meter: Meter, nvml: Nvml = None) -> Callable[[], int | None] | None:
    """Return a function that reads the power of the meter's zones in microwatts; None without a sensor.

    Only NVML has a power sensor beside its counter. On boards since Ampere it shows the mean of a second, so
    it lags behind a load that has just begun.
    """
    if not isinstance(meter, NvmlMeter):
        return None
    try:
        library = load_nvml(nvml)
        boards = open_boards(names_of(meter.spec()["boards"]), library)
    except BoardUnavailable:
        return None

    def microwatts() -> int | None:
        try:
            milliwatts = [int(library.nvmlDeviceGetPowerUsage(board.handle)) for board in boards]
        except library.NVMLError:
            return None
        return 1000 * sum(milliwatts) if max(milliwatts) <= 1000 * TRAITS.ceiling_watts else None

    return microwatts

"""The trial of a meter on this machine: its check, compared with a power sensor if there is one."""

from collections.abc import Callable

from harness.measurement.energy.check import MeterCheck, check_meter
from harness.measurement.energy.meter import Meter
from harness.measurement.energy.nvml import TRAITS, NvmlMeter, names_of
from harness.measurement.machine.gpu_boards import BoardUnavailable, Nvml, load_nvml, open_boards


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

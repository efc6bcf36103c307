"""How a meter of this machine is tried: its check, with the power sensor beside it where it has one."""

from collections.abc import Callable
from typing import Any

from harness.measurement.energy.check import MeterCheck, check_meter
from harness.measurement.energy.meter import Meter
from harness.measurement.energy.nvml import NvmlMeter, names_of
from harness.measurement.machine.gpu_boards import BoardUnavailable, load_nvml, open_boards


def try_meter(meter: Meter) -> MeterCheck:
    """Try a meter in real time; a second and a half at most, a twentieth where its counter is fast."""
    return check_meter(meter, power=power_of(meter))


def power_of(meter: Meter, nvml: Any = None) -> Callable[[], int | None] | None:  # noqa: ANN401 -- a module
    """Return what reads the power of what a meter covers, in microwatts; None where nothing does.

    Of the meters here NVML alone has a sensor beside its counter. On boards since Ampere it shows the mean of
    a second, so it lags behind a load that has just begun.
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
            return 1000 * sum(int(library.nvmlDeviceGetPowerUsage(board.handle)) for board in boards)
        except library.NVMLError:
            return None

    return microwatts

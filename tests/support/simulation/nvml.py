"""A stand-in for pynvml whose boards have the counters of a simulated machine, with known energy."""

from collections.abc import Mapping

from nvml import FakeBoard, FakeNvml, NvmlError
from simulation.counter import Fault, SimulatedCounter

FAULT_MESSAGES: dict[Fault, str] = {"denied": "Insufficient Permissions", "gone": "GPU is lost"}


class SimulatedNvml(FakeNvml):
    """One board per counter; a fault of a counter makes its functions fail, or is part of their result."""

    def __init__(self, counters: Mapping[int, SimulatedCounter]) -> None:
        super().__init__()
        self._counters = {f"GPU-00000000-0000-0000-0000-{index:012d}": counters[index] for index in counters}
        self.boards = tuple(
            FakeBoard(uuid, model=f"Simulated board {index}") for index, uuid in enumerate(self._counters)
        )
        self.power_factor = 1.0
        """The value of the power sensors, as a multiple of the true power."""

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: FakeBoard) -> int:  # noqa: N802
        """Return millijoules since the driver was loaded."""
        return self._counter(handle).shown_uj // 1000

    def nvmlDeviceGetPowerUsage(self, handle: FakeBoard) -> int:  # noqa: N802
        """Return the mean power over the last update in milliwatts."""
        return round(1000 * self.power_factor * self._counter(handle).watts)

    def _counter(self, handle: FakeBoard) -> SimulatedCounter:
        counter = self._counters[handle.uuid]
        if counter.fault in FAULT_MESSAGES:
            raise NvmlError(FAULT_MESSAGES[counter.fault])
        return counter

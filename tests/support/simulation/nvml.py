"""An object shaped like the module pynvml, whose boards count joules that are known."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace

from simulation.counter import Fault, SimulatedCounter

FAULT_WORDS: dict[Fault, str] = {"denied": "Insufficient Permissions", "gone": "GPU is lost"}


class NvmlError(Exception):
    """What NVML raises."""


class SimulatedNvml:
    """Boards by index, each with a counter of the simulated machine.

    It has the functions of NVML that meters call, under their own names; a fault of a counter makes them
    raise, or stands in what they return.
    """

    NVMLError = NvmlError

    def __init__(self, boards: Mapping[int, SimulatedCounter]) -> None:
        self._boards = boards
        self.strangers: dict[int, Sequence[int]] = {}
        """Processes that compute on a board, by its index."""
        self.held_down = 0
        """NVML's bits of what holds clocks down."""
        self.memory_bytes = 80 * 2**30
        self.power_factor = 1.0
        """What the power sensors show, as a multiple of the truth."""

    def nvmlInit(self) -> None:  # noqa: N802
        """Do nothing: there is no driver."""

    def nvmlShutdown(self) -> None:  # noqa: N802
        """Do nothing."""

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        """Return the number of boards."""
        return len(self._boards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        """Return the board's index as its handle."""
        if index not in self._boards:
            raise NvmlError("Invalid Argument")
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> int:  # noqa: N802
        """Return the index of the board with this UUID."""
        for index in self._boards:
            if self.nvmlDeviceGetUUID(index) == uuid:
                return index
        raise NvmlError("Not Found")

    def nvmlDeviceGetUUID(self, handle: int) -> str:  # noqa: N802
        """Return a UUID made from the index."""
        return f"GPU-00000000-0000-0000-0000-{handle:012d}"

    def nvmlDeviceGetName(self, handle: int) -> str:  # noqa: N802
        """Return a name that says what it is."""
        return f"Simulated board {handle}"

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:  # noqa: N802
        """Return millijoules since the driver was loaded."""
        return self._board(handle).shown_uj // 1000

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:  # noqa: N802
        """Return milliwatts: the mean over the last update."""
        return round(1000 * self.power_factor * self._board(handle).watts)

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:  # noqa: N802
        """Return the bytes of its memory."""
        del handle
        return SimpleNamespace(total=self.memory_bytes)

    def nvmlDeviceGetTemperature(self, handle: int, kind: int) -> int:  # noqa: N802
        """Return a warm board's degrees."""
        del handle, kind
        return 60

    def nvmlDeviceGetClockInfo(self, handle: int, kind: int) -> int:  # noqa: N802
        """Return megahertz of its multiprocessors (1) or memory (2)."""
        del handle
        return {1: 1980, 2: 2619}[kind]

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: int) -> int:  # noqa: N802
        """Return what holds clocks down."""
        del handle
        return self.held_down

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: int) -> int:  # noqa: N802
        """Return milliwatts."""
        del handle
        return 700_000

    def nvmlDeviceGetEccMode(self, handle: int) -> list[int]:  # noqa: N802
        """Return the mode now and after the next start: on."""
        del handle
        return [1, 1]

    def nvmlDeviceGetMigMode(self, handle: int) -> list[int]:  # noqa: N802
        """Return the mode now and after the next start: off."""
        del handle
        return [0, 0]

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[SimpleNamespace]:  # noqa: N802
        """Return the strangers."""
        return [SimpleNamespace(pid=pid) for pid in self.strangers.get(handle, ())]

    def _board(self, handle: int) -> SimulatedCounter:
        board = self._boards[handle]
        if board.fault in FAULT_WORDS:
            raise NvmlError(FAULT_WORDS[board.fault])
        return board

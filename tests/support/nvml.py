"""A stand-in for pynvml, with boards whose values a test sets, and with calls that fail."""

from collections.abc import Collection
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any


class NvmlError(Exception):
    """Stands for `pynvml.NVMLError`."""


@dataclass
class FakeBoard:
    """One board: its counter, its state, its MIG instances, and the processes that compute on it.

    `broken` holds the names of NVML's functions that fail on this board.
    """

    uuid: str = "GPU-00"
    millijoules: int = 1_000_000
    milliwatts: int = 100_000
    model: str = "A board"
    architecture: int = 9
    instances: tuple[str, ...] = ()
    users: tuple[int, ...] = ()
    broken: set[str] = field(default_factory=set)
    memory_bytes: int = 80 * 2**30
    temperature_c: int = 60
    clocks_mhz: tuple[int, int] = (1980, 2619)
    """Of the multiprocessors and of the memory."""
    clock_events: int = 0
    """NVML's bits of reasons that reduce clocks."""
    violation_ns: int = 0


class FakeNvml:
    """The functions of NVML that meters and fingerprints call, under their own names.

    `broken` holds the names of functions that fail for all boards.
    """

    NVMLError = NvmlError

    def __init__(self, *boards: FakeBoard, broken: Collection[str] = ()) -> None:
        self.boards = boards or (FakeBoard(),)
        self.broken = (broken,) if isinstance(broken, str) else tuple(broken)

    def __getattribute__(self, name: str) -> Any:
        function = super().__getattribute__(name)
        if not name.startswith("nvml"):
            return function

        def call(*arguments: Any) -> Any:
            if name in self.broken or any(name in getattr(board, "broken", ()) for board in arguments):
                raise NvmlError("Not Supported")
            return function(*arguments)

        return call

    def nvmlInit(self) -> None:  # noqa: N802 -- NVML's names, here and below
        pass

    def nvmlShutdown(self) -> None:  # noqa: N802
        pass

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "550.54"

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.boards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> FakeBoard:  # noqa: N802
        if index >= len(self.boards):
            raise NvmlError("Invalid Argument")
        return self.boards[index]

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> Any:  # noqa: N802
        for board in self.boards:
            if uuid == board.uuid:
                return board
            if uuid in board.instances:
                return SimpleNamespace(uuid=uuid, parent=board)
        raise NvmlError("Not Found")

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, handle: Any) -> FakeBoard:  # noqa: N802
        board: FakeBoard = handle.parent
        return board

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: FakeBoard) -> int:  # noqa: N802
        return len(handle.instances)

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: FakeBoard, at: int) -> Any:  # noqa: N802
        return SimpleNamespace(uuid=handle.instances[at], parent=handle)

    def nvmlDeviceGetMigMode(self, handle: FakeBoard) -> list[int]:  # noqa: N802
        return [int(bool(handle.instances))] * 2

    def nvmlDeviceGetUUID(self, handle: Any) -> bytes:  # noqa: N802
        uuid: str = handle.uuid
        return uuid.encode()

    def nvmlDeviceGetIndex(self, handle: FakeBoard) -> int:  # noqa: N802
        return next(index for index, board in enumerate(self.boards) if board is handle)

    def nvmlDeviceGetName(self, handle: FakeBoard) -> bytes:  # noqa: N802
        return handle.model.encode()

    def nvmlDeviceGetArchitecture(self, handle: FakeBoard) -> int:  # noqa: N802
        return handle.architecture

    def nvmlDeviceGetComputeRunningProcesses(self, handle: FakeBoard) -> list[Any]:  # noqa: N802
        return [SimpleNamespace(pid=pid) for pid in handle.users]

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: FakeBoard) -> int:  # noqa: N802
        return handle.millijoules

    def nvmlDeviceGetPowerUsage(self, handle: FakeBoard) -> int:  # noqa: N802
        return handle.milliwatts

    def nvmlDeviceGetMemoryInfo(self, handle: FakeBoard) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(total=handle.memory_bytes)

    def nvmlDeviceGetVbiosVersion(self, _handle: FakeBoard) -> str:  # noqa: N802
        return "96.00"

    def nvmlDeviceGetMaxClockInfo(self, handle: FakeBoard, kind: int) -> int:  # noqa: N802
        return self.nvmlDeviceGetClockInfo(handle, kind)

    def nvmlDeviceGetClockInfo(self, handle: FakeBoard, kind: int) -> int:  # noqa: N802
        return handle.clocks_mhz[kind - 1]

    def nvmlDeviceGetTemperature(self, handle: FakeBoard, _kind: int) -> int:  # noqa: N802
        return handle.temperature_c

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: FakeBoard) -> int:  # noqa: N802
        return handle.clock_events

    def nvmlDeviceGetViolationStatus(self, handle: FakeBoard, _policy: int) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(violationTime=handle.violation_ns)

    def nvmlDeviceGetEnforcedPowerLimit(self, _handle: FakeBoard) -> int:  # noqa: N802
        return 700_000

    def nvmlDeviceGetEccMode(self, _handle: FakeBoard) -> list[int]:  # noqa: N802
        return [1, 1]

    def nvmlDeviceGetPersistenceMode(self, _handle: FakeBoard) -> int:  # noqa: N802
        return 1

"""A stand-in for pynvml with boards, UUIDs, MIG instances, foreign processes and broken calls."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any


class NvmlError(Exception):
    """What the stand-in raises."""


@dataclass
class FakeBoard:
    """One board: its counter, its power, its name, what it is cut into and who uses it."""

    uuid: str = "GPU-00"
    millijoules: int = 1_000_000
    milliwatts: int = 100_000
    model: str = "A board"
    architecture: int = 9
    instances: tuple[str, ...] = ()
    users: tuple[int, ...] = ()
    broken: set[str] = field(default_factory=set)


class FakeNvml:
    """Boards by index; `broken` names a call that fails for all of them, a board's own those of its own."""

    NVMLError = NvmlError

    def __init__(self, *boards: FakeBoard, broken: str | None = None) -> None:
        self.boards = boards or (FakeBoard(),)
        self.broken = broken

    def nvmlInit(self) -> None:  # noqa: N802 -- NVML's names, here and below
        self._check("init")

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.boards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> FakeBoard:  # noqa: N802
        self._check("index")
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
        found: FakeBoard = handle.parent
        return found

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: FakeBoard) -> int:  # noqa: N802
        return len(handle.instances)

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: FakeBoard, at: int) -> Any:  # noqa: N802
        return SimpleNamespace(uuid=handle.instances[at], parent=handle)

    def nvmlDeviceGetMigMode(self, handle: FakeBoard) -> list[int]:  # noqa: N802
        if not handle.instances:
            raise NvmlError("Not Supported")
        return [1, 1]

    def nvmlDeviceGetUUID(self, handle: Any) -> bytes:  # noqa: N802
        uuid: str = handle.uuid
        return uuid.encode()

    def nvmlDeviceGetIndex(self, handle: FakeBoard) -> int:  # noqa: N802
        return next(at for at, board in enumerate(self.boards) if board is handle)

    def nvmlDeviceGetName(self, handle: FakeBoard) -> bytes:  # noqa: N802
        return handle.model.encode()

    def nvmlDeviceGetArchitecture(self, handle: FakeBoard) -> int:  # noqa: N802
        return handle.architecture

    def nvmlDeviceGetComputeRunningProcesses(self, handle: FakeBoard) -> list[Any]:  # noqa: N802
        return [SimpleNamespace(pid=pid) for pid in handle.users]

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: FakeBoard) -> int:  # noqa: N802
        self._check("energy", handle)
        return handle.millijoules

    def nvmlDeviceGetPowerUsage(self, handle: FakeBoard) -> int:  # noqa: N802
        self._check("power", handle)
        return handle.milliwatts

    def _check(self, call: str, board: FakeBoard | None = None) -> None:
        if call == self.broken or (board and call in board.broken):
            raise NvmlError("Not Supported")

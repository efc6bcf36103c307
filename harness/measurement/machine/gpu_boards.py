"""NVIDIA boards: from CUDA's names for devices to NVML's handles.

    --device cuda:1, CUDA_VISIBLE_DEVICES=3,GPU-5a --boards_of--> GPU-5a --open_boards--> handle, zone

NVML numbers all boards, whichever of them CUDA may see, in the order of their slots. CUDA accepts an index, a
UUID or the beginning of one, or a MIG instance, and stops at the first name that is none of these. A MIG
instance has no energy counter, but its board has; the energy of other users of the board is counted with it.
"""

import importlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import psutil

from harness.common.json_types import JsonObject
from harness.records.reading import Zone

Nvml: TypeAlias = Any
"""The module pynvml, or an object with the same functions."""

Handle: TypeAlias = Any
"""NVML's handle of a board or a MIG instance."""

Names = tuple[int | str, ...]
"""NVML's names of boards: indexes, UUIDs and MIG instances."""

T = TypeVar("T")

INSTALL = "Install NVIDIA's driver and the distribution nvidia-ml-py; nvidia-smi lists the boards."
UNKNOWN = "CUDA_VISIBLE_DEVICES names a GPU that NVML does not list"
HIDDEN = "CUDA_VISIBLE_DEVICES shows no such GPU"
SHOW = "Change or unset CUDA_VISIBLE_DEVICES, or use another --device; nvidia-smi -L lists the names."
MIG = "the board's energy, shared by its MIG instances"
_NAME = re.compile(r"\d+|GPU-[0-9a-fA-F-]*|MIG-.+")


class BoardUnavailable(Exception):
    """A board that cannot be opened, with the reason and the remedy."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason, remedy)
        self.reason, self.remedy = reason, remedy


@dataclass(frozen=True, slots=True)
class GpuBoard:
    """One board: NVML's handle, its zone of energy, its model, and whether it is split into MIG instances."""

    handle: Handle
    zone: Zone
    model: str
    mig: bool


def boards_of(device: int | None, visible: str | None) -> Names | None:
    """Return NVML's names for CUDA's device number, or for all devices that CUDA sees if that is None.

    `visible` is the value of `CUDA_VISIBLE_DEVICES`. The result None stands for all boards, and an empty
    tuple for a number that CUDA cannot see. NVML counts boards in the order of their slots, and workers are
    started so that CUDA does too (`CUDA_DEVICE_ORDER`).
    """
    if visible is None:
        return None if device is None else (device,)
    names: list[int | str] = []
    for part in visible.split(","):
        name = part.strip()
        if not _NAME.fullmatch(name):
            break  # as CUDA does, also at -1
        names.append(int(name) if name.isdigit() else name)
    if len(set(names)) < len(names):
        names = []  # CUDA shows no device if a name occurs twice
    return tuple(names) if device is None else tuple(names[device : device + 1])


def load_nvml(nvml: Nvml) -> Nvml:
    """Return the given module or, for None, pynvml; BoardUnavailable if that is not installed."""
    try:
        return importlib.import_module("pynvml") if nvml is None else nvml
    except ImportError:
        raise BoardUnavailable("the Python module pynvml is missing", INSTALL) from None


def open_boards(names: Names | None, nvml: Nvml) -> tuple[GpuBoard, ...]:
    """Open each named board once, or all boards; BoardUnavailable with NVML's message if that fails."""
    if names == ():
        raise BoardUnavailable(HIDDEN, SHOW)
    try:
        nvml.nvmlInit()
        all_names = range(int(nvml.nvmlDeviceGetCount())) if names is None else names
        boards = {board.zone.name: board for board in (_open(name, nvml) for name in all_names)}
    except nvml.NVMLError as error:
        raise BoardUnavailable(nvml_message(error), nvml_remedy(nvml_message(error), INSTALL)) from None
    if not boards:
        raise BoardUnavailable("NVML lists no board", INSTALL)
    return tuple(boards.values())


def facts(board: GpuBoard, nvml: Nvml, own: Callable[[], set[int]]) -> JsonObject:
    """Return the facts of a board for the record: its zone, its model, and whether others use it."""
    return {
        "zone": board.zone.name,
        "scope": board.zone.scope,
        "board": board.model,
        "shared": MIG if board.mig else _others(board, nvml, own),
    }


def own_processes() -> set[int]:
    """Return the ids of this process, its ancestors and its descendants."""
    process = psutil.Process()
    relatives = (*process.parents(), *process.children(recursive=True))
    return {os.getpid(), *(relative.pid for relative in relatives)}


def query(nvml: Nvml, call: Callable[..., T], *arguments: object) -> T | None:
    """Return the result of a call to NVML, or None if this board or this version of NVML lacks it."""
    try:
        return call(*arguments)
    except (AttributeError, nvml.NVMLError):
        return None


def text(value: str | bytes) -> str:
    """Return NVML's text, which older versions of its module return as bytes."""
    return value.decode() if isinstance(value, bytes) else value


def nvml_message(error: Exception) -> str:
    """Return the reason for an error of NVML."""
    return f"NVML reports: {error}"


REMEDIES = {
    "version mismatch": "The driver was updated and the old one is still loaded: reboot.",
    "insufficient permissions": "Join the group that owns /dev/nvidia*; start a container with --gpus.",
    "driver not loaded": "Load the driver: sudo modprobe nvidia; if that fails, see dmesg.",
    "function not found": "Update NVIDIA's driver: this one is older than the function.",
    "library not found": "Install NVIDIA's driver; in a container, start it with --gpus all.",
    "gpu is lost": "The board no longer answers: look for Xid in dmesg, and reboot.",
    "reset": "Ask the administrator to reset the board: nvidia-smi names it.",
    "insufficient external power": "Connect the board's power cables.",
    "invalid argument": SHOW,
    "not found": SHOW,
    "unknown error": "In a container that lost its devices, start it again; else look for NVRM in dmesg.",
}
"""What to do about an error of NVML, by a part of its text (nvmlErrorString)."""


def nvml_remedy(reason: str, otherwise: str) -> str:
    """Return what to do about a reason that holds an error of NVML; `otherwise` for one that fits no row."""
    return next((remedy for part, remedy in REMEDIES.items() if part in reason.lower()), otherwise)


def _others(board: GpuBoard, nvml: Nvml, own: Callable[[], set[int]]) -> str:
    compute = query(nvml, lambda: nvml.nvmlDeviceGetComputeRunningProcesses(board.handle))
    graphics = query(nvml, lambda: nvml.nvmlDeviceGetGraphicsRunningProcesses(board.handle))
    if compute is None:
        return "unknown: NVML does not list the processes on the board"
    others = {int(process.pid) for process in (*compute, *(graphics or ()))} - own()
    return f"shared by {len(others)} other processes" if others else "no other process is seen"


def _open(name: int | str, nvml: Nvml) -> GpuBoard:
    named_mig = isinstance(name, str) and name.startswith("MIG-")
    handle = _handle(name, nvml)
    mode = query(nvml, lambda: nvml.nvmlDeviceGetMigMode(handle))
    mig = named_mig or bool(mode and mode[0])
    index = name if isinstance(name, int) else query(nvml, lambda: nvml.nvmlDeviceGetIndex(handle))
    # never the UUID: it would identify the machine in the record
    zone = Zone(f"gpu-{'x' if index is None else index}", "shared board" if mig else "board")
    return GpuBoard(handle, zone, text(nvml.nvmlDeviceGetName(handle)), mig)


def _handle(name: int | str, nvml: Nvml) -> Handle:
    if isinstance(name, int):
        return nvml.nvmlDeviceGetHandleByIndex(name)
    if name.startswith("MIG-GPU-"):  # the form before driver 470: MIG-GPU-UUID/GI/CI
        return _handle(name[len("MIG-") :].partition("/")[0], nvml)
    try:
        handle = nvml.nvmlDeviceGetHandleByUUID(name)
    except nvml.NVMLError as error:
        return _by_prefix(name, nvml, error)
    if name.startswith("MIG-"):
        return nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle)
    return handle


def _by_prefix(name: str, nvml: Nvml, error: Exception) -> Handle:
    """Return the only board whose UUID, or that of one of its MIG instances, begins with a name."""
    handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(int(nvml.nvmlDeviceGetCount()))]
    matching = [
        handle for handle in handles if any(uuid.startswith(name) for uuid in _uuids(handle, name, nvml))
    ]
    if not matching:
        raise BoardUnavailable(UNKNOWN, SHOW) from error
    if len(matching) > 1:
        raise BoardUnavailable(f"{name} is the beginning of {len(matching)} UUIDs", SHOW)
    return matching[0]


def _uuids(handle: Handle, name: str, nvml: Nvml) -> Iterator[str]:
    """Yield the UUID of a board or, if the name is a MIG instance's, those of the board's instances."""
    parts = _instances(handle, nvml) if name.startswith("MIG-") else [handle]
    uuids = (query(nvml, nvml.nvmlDeviceGetUUID, part) for part in parts)
    yield from (text(uuid) for uuid in uuids if uuid is not None)


def _instances(handle: Handle, nvml: Nvml) -> list[Handle]:
    """Return the MIG instances of a board; their numbers need not be consecutive."""
    count = int(query(nvml, lambda: nvml.nvmlDeviceGetMaxMigDeviceCount(handle)) or 0)
    instances = (
        query(nvml, lambda index: nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index), index)
        for index in range(count)
    )
    return [instance for instance in instances if instance is not None]

"""NVIDIA boards by the names that CUDA is given, as NVML knows them.

    --device cuda:1, CUDA_VISIBLE_DEVICES=3,GPU-5a --boards_of--> GPU-5a --open_boards--> handle, zone

NVML counts all boards whatever CUDA was told to see, and in the order of their slots. CUDA takes an index, a
UUID or the beginning of one, or a MIG instance, and stops at the first name it cannot read. A MIG instance
has no counter of its own: its board has, and whoever else works there is counted with it.
"""

import importlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psutil

from harness.records.reading import Zone

INSTALL = "Install NVIDIA's driver and the distribution nvidia-ml-py; nvidia-smi lists the boards."
HIDDEN = "CUDA_VISIBLE_DEVICES shows no such GPU"
SHOW = "Change or unset CUDA_VISIBLE_DEVICES, or name another --device; nvidia-smi -L lists the names."
MIG = "the board's energy, shared by its MIG instances"
_NAME = re.compile(r"\d+|GPU-[0-9a-fA-F-]*|MIG-.+")

Names = tuple[int | str, ...]


class BoardUnavailable(Exception):
    """A board that cannot be opened: `args` are why, and what would allow it; it becomes an obstacle."""


@dataclass(frozen=True, slots=True)
class GpuBoard:
    """One board: NVML's handle, the zone its energy is, its model, and whether it is cut into instances."""

    handle: Any
    zone: Zone
    model: str
    mig: bool


def boards_of(device: int | None, visible: str | None) -> Names | None:
    """Return NVML's names for CUDA's device number, or for all it sees (None); `visible` is the variable.

    None stands for every board there is; nothing at all for a number that CUDA cannot see. NVML counts boards
    in the order of their slots, and workers are started so that CUDA does too (`CUDA_DEVICE_ORDER`).
    """
    if visible is None:
        return None if device is None else (device,)
    names: list[int | str] = []
    for word in visible.split(","):
        name = word.strip()
        if not _NAME.fullmatch(name):
            break  # as CUDA does, -1 included
        names.append(int(name) if name.isdigit() else name)
    if len(set(names)) < len(names):
        names = []  # CUDA shows no device where one is named twice
    return tuple(names) if device is None else tuple(names[device : device + 1])


def load_nvml(nvml: Any) -> Any:  # noqa: ANN401 -- a module
    """Return the module pynvml, or the stand-in that was given; Missing where there is none."""
    try:
        return importlib.import_module("pynvml") if nvml is None else nvml
    except ImportError:
        raise BoardUnavailable("the Python module pynvml is missing", INSTALL) from None


def open_boards(names: Names | None, nvml: Any) -> tuple[GpuBoard, ...]:  # noqa: ANN401 -- a module
    """Open each named board once, or all there are; Missing with NVML's own words where that fails."""
    if names == ():
        raise BoardUnavailable(HIDDEN, SHOW)
    try:
        nvml.nvmlInit()
        wanted = range(int(nvml.nvmlDeviceGetCount())) if names is None else names
        boards = {board.zone.name: board for board in (_open(name, nvml) for name in wanted)}
    except nvml.NVMLError as error:
        raise BoardUnavailable(f"NVML says: {error}", INSTALL) from None
    if not boards:
        raise BoardUnavailable("NVML lists no board", INSTALL)
    return tuple(boards.values())


def facts(board: GpuBoard, nvml: Any, own: Callable[[], set[int]]) -> dict[str, Any]:  # noqa: ANN401
    """Return what is said of a board in the record: its model, and who else uses it."""
    return {
        "zone": board.zone.name,
        "scope": board.zone.scope,
        "board": board.model,
        "shared": MIG if board.mig else _others(board, nvml, own),
    }


def own_processes() -> set[int]:
    """Return this process, those above it and those below it."""
    me = psutil.Process()
    return {os.getpid(), *(each.pid for each in (*me.parents(), *me.children(recursive=True)))}


def asked(nvml: Any, call: str, *words: Any) -> Any:  # noqa: ANN401 -- NVML's answers
    """Return what NVML answers to a question that not every board or driver knows, or None."""
    try:
        return getattr(nvml, call)(*words)
    except (AttributeError, nvml.NVMLError):
        return None


def text(value: str | bytes) -> str:
    """Return NVML's text, which older versions of its module give as bytes."""
    return value.decode() if isinstance(value, bytes) else value


def _others(board: GpuBoard, nvml: Any, own: Callable[[], set[int]]) -> str:  # noqa: ANN401
    kinds = ("nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetGraphicsRunningProcesses")
    found = [asked(nvml, kind, board.handle) for kind in kinds]
    if found[0] is None:
        return "unknown: NVML does not tell who uses the board"
    others = {int(each.pid) for each in (*found[0], *(found[1] or ()))} - own()
    return f"shared by {len(others)} other processes" if others else "no other process is seen"


def _open(name: int | str, nvml: Any) -> GpuBoard:  # noqa: ANN401
    named_mig = isinstance(name, str) and name.startswith("MIG-")
    handle = _handle(name, nvml)
    mode = asked(nvml, "nvmlDeviceGetMigMode", handle)
    mig = named_mig or bool(mode and mode[0])
    index = name if isinstance(name, int) else asked(nvml, "nvmlDeviceGetIndex", handle)
    # never the UUID: it would name the machine in the record
    zone = Zone(f"gpu-{'x' if index is None else index}", "shared board" if mig else "board")
    return GpuBoard(handle, zone, text(nvml.nvmlDeviceGetName(handle)), mig)


def _handle(name: int | str, nvml: Any) -> Any:  # noqa: ANN401 -- NVML's handle
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


def _by_prefix(name: str, nvml: Any, error: Exception) -> Any:  # noqa: ANN401
    """Return the only board whose UUID, or that of one of its instances, begins with a name."""
    every = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(int(nvml.nvmlDeviceGetCount()))]
    found = [each for each in every if any(uuid.startswith(name) for uuid in _uuids(each, name, nvml))]
    if not found:
        raise error
    if len(found) > 1:
        raise BoardUnavailable(f"{name} is the beginning of {len(found)} UUIDs", SHOW)
    return found[0]


def _uuids(handle: Any, name: str, nvml: Any) -> Iterator[str]:  # noqa: ANN401
    parts: Sequence[Any] = (handle,)
    if name.startswith("MIG-"):
        most = int(asked(nvml, "nvmlDeviceGetMaxMigDeviceCount", handle) or 0)
        parts = [asked(nvml, "nvmlDeviceGetMigDeviceHandleByIndex", handle, at) for at in range(most)]
    for part in parts:
        uuid = None if part is None else asked(nvml, "nvmlDeviceGetUUID", part)
        if uuid is not None:
            yield text(uuid)

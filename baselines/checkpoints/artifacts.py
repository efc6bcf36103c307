"""How artifacts are named and left on disk: one cache key function, one manifest format.

Two artifacts are the same if the recipe and its version, the parents, the task's labels, the library versions
and whatever else was handed to `cache_key` are the same; nothing here looks at a path.
"""

import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.common.errors import StoreError
from harness.systems.interface import Artifact, Cache, EnergyProbe
from harness.workload.tasks.base import Task

MANIFEST = "manifest.json"
"""The file in every artifact's folder that says what it is."""

# what changes which kernel an int8 or bf16 library picks, on x86 and on Arm
_X86 = ("avx", "avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
_ARM = ("asimddp", "i8mm", "bf16", "sve")


def _unmetered() -> str:
    return "unavailable, because nobody measured it"


def cache_key(recipe: str, number: int, task: Task, parents: Sequence[str], **settings: Any) -> str:  # noqa: ANN401 -- JSON values
    """Return the sha256 that names an artifact: `recipe` at version `number`, its parents, task and settings.

    `settings` are JSON values: library versions, CPU flags where a choice was measured, lengths. Tasks
    that are answered by one model share its artifacts.
    """
    parts = {
        "recipe": [recipe, number],
        "task": [task.model_task, list(task.labels)],
        "parents": list(parents),
        "settings": settings,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def library_versions(*distributions: str) -> dict[str, str]:
    """Return the installed versions without importing anything; of ONNX Runtime, whichever is installed."""
    return {name: _version(name) for name in distributions}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        if name != "onnxruntime":
            raise
        return version("onnxruntime-gpu")  # the same module, with CUDA's provider


def missing_modules(*modules: str) -> str | None:
    """Say which modules are not installed, with the command that installs them; None if all are there."""
    absent = [name for name in modules if find_spec(name) is None]
    if not absent:
        return None
    return f"needs {' and '.join(absent)}: pip install {' '.join(absent)}"


def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> tuple[str, ...]:
    """Return the instruction sets that decide which kernels run, sorted, led by the machine type.

    Where there is no `cpuinfo` (macOS, Windows) only the machine type is known.
    """
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    found = next((line for line in lines if line.startswith(("flags", "Features"))), ":")
    return (platform.machine(), *sorted({*_X86, *_ARM}.intersection(found.partition(":")[2].split())))


def cpu_has_bf16() -> bool:
    """Say whether the CPU has instructions that make bfloat16 faster than float32, on x86 or on Arm."""
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(cpu_flags())


def find_or_make(
    cache: Cache,
    key: str,
    make: Callable[[Path], Mapping[str, Any]],
    clock: Callable[[], float] = time.perf_counter,
    energy: EnergyProbe | None = None,
) -> Artifact:
    """Return the artifact under `key`, or let `make` fill its folder and return its manifest.

    The manifest gains `key`, `seconds` and `energy`; the artifact's `fresh` is True if it was made just now.
    """
    found = cache.find(key)
    if found is not None:
        return found
    with cache.writing(key) as folder:
        started, spent = clock(), energy() if energy else _unmetered
        facts = make(folder)
        cost = {"seconds": round(clock() - started, 3), "energy": spent()}
        manifest = {**cost, **facts, "key": key}
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    made = cache.find(key)
    if made is None:
        raise StoreError("the cache does not hold what was just written to it.", where=key[:12])
    return replace(made, fresh=True)


def link(source: str | Path, target: str | Path) -> None:
    """Put a file of one artifact into another; the bytes are shared where the disk allows it."""
    try:
        os.link(source, target)
    except OSError:  # another disk, or a file system without links
        shutil.copyfile(source, target)


def link_all(artifact: Path, folder: Path) -> None:
    """Put all files of one artifact into a folder of another, which is made."""
    shutil.copytree(artifact.resolve(), folder, copy_function=link)

"""Cache keys and manifests of artifacts: how they are named and written to disk.

Two artifacts have the same key if recipe, recipe version, parents, the task's labels, library versions and
the other settings given to `cache_key` are equal. Paths never enter a key.
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
from harness.common.json_types import JsonValue
from harness.systems.interface import Artifact, Cache, EnergyProbe
from harness.workload.tasks.base import Task
from harness.workload.tasks.multi_label import MultiLabelTask

MANIFEST = "manifest.json"
"""The file in every artifact's folder that describes it."""

UNMETERED = "unavailable, because nobody measured it"
"""A manifest's `energy` where no meter was running."""

# the flags that change which kernel an int8 or bf16 library picks, on x86 and on Arm
_X86_FLAGS = ("avx", "avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
_ARM_FLAGS = ("asimddp", "i8mm", "bf16", "sve")


def cache_key(
    recipe: str, recipe_version: int, task: Task, parents: Sequence[str], **settings: JsonValue
) -> str:
    """Return the sha256 that names an artifact.

    `settings` holds whatever else decides the artifact: library versions, CPU flags where a choice was
    measured, lengths. Tasks that are answered by one model share its artifacts.
    """
    parts = {
        "recipe": [recipe, recipe_version],
        "task": [task.model_task, list(task.labels), *_threshold(task)],
        "parents": list(parents),
        "settings": settings,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _threshold(task: Task) -> tuple[float, ...]:
    """Return the threshold of a multi-label task: it decides the answers that recipes score and compare."""
    return (task.threshold,) if isinstance(task, MultiLabelTask) else ()


def library_versions(*distributions: str) -> dict[str, str]:
    """Return the installed versions without importing the libraries.

    The version under `onnxruntime` is that of onnxruntime-gpu where only that is installed.
    """
    return {name: _version(name) for name in distributions}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        if name != "onnxruntime":
            raise
        return version("onnxruntime-gpu")  # the same module, with the CUDA provider


def missing_modules(*modules: str) -> str | None:
    """Return which modules are not installed, with the command that installs them; None if all are."""
    missing = [name for name in modules if find_spec(name) is None]
    if not missing:
        return None
    return f"needs {' and '.join(missing)}: pip install {' '.join(missing)}"


def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> tuple[str, ...]:
    """Return the machine type, then the instruction sets that decide which kernels run, sorted.

    Without `cpuinfo` (macOS, Windows) only the machine type is returned.
    """
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    flags_line = next((line for line in lines if line.startswith(("flags", "Features"))), ":")
    flags = flags_line.partition(":")[2].split()
    return (platform.machine(), *sorted({*_X86_FLAGS, *_ARM_FLAGS}.intersection(flags)))


def cpu_has_bf16() -> bool:
    """Return whether the CPU has instructions that make bfloat16 faster than float32, on x86 or on Arm."""
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(cpu_flags())


def find_or_make(
    cache: Cache,
    key: str,
    make: Callable[[Path], Mapping[str, Any]],
    clock: Callable[[], float] = time.perf_counter,
    energy: EnergyProbe | None = None,
) -> Artifact:
    """Return the artifact under `key`; if there is none, `make` fills its folder and returns its manifest.

    `key`, `seconds` and `energy` are added to the manifest. `fresh` of the artifact is True if it was made
    by this call.
    """
    artifact = cache.find(key)
    if artifact is not None:
        return artifact
    with cache.writing(key) as folder:
        started, read_energy = clock(), energy() if energy else None
        fields = make(folder)
        cost = {
            "seconds": round(clock() - started, 3),
            "energy": read_energy() if read_energy else UNMETERED,
        }
        manifest = {**cost, **fields, "key": key}
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    artifact = cache.find(key)
    if artifact is None:
        raise StoreError(
            "the cache does not hold the artifact that was just written to it.",
            where=key[:12],
            remedy="Check whether another process empties the cache: `bench cache list`.",
        )
    return replace(artifact, fresh=True)


def link(source: str | Path, target: str | Path) -> None:
    """Hard-link a file of one artifact into another, or copy it where the disk has no links."""
    try:
        os.link(source, target)
    except OSError:  # another disk, or a file system without links
        shutil.copyfile(source, target)


def link_all(artifact: Path, folder: Path) -> None:
    """Link all files of one artifact into a new folder of another."""
    shutil.copytree(artifact.resolve(), folder, copy_function=link)

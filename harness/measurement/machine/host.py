"""The fingerprint of machine and software: what bears on speed, so that unlike runs are not compared.

A fact that the kernel does not tell is the text `unavailable, because ...`. What moves by itself (steal time,
current frequency, heat) is no fact, as each run would be a machine of its own;
harness/measurement/machine/conditions.py has it.
"""

import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.common.files import base_names
from harness.common.procfs import (
    ROOT,
    cpu_list,
    cpu_quota,
    cpuinfo,
    flags_of,
    memory_limit_bytes,
    physical_cpus,
    ram_bytes,
    read,
)
from harness.measurement.machine.gpu import facts as gpu_facts
from harness.measurement.machine.gpu import nvml_module
from harness.records.record import Host

__all__ = ["fingerprint", "host_changes", "software"]

FLAGS = (
    # x86: what decides which int8 and bf16 kernels an engine picks
    *("avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_tile", "amx_int8", "amx_bf16"),
    # Arm: asimd is NEON, asimddp the int8 dot product, i8mm the int8 matrix product
    *("asimd", "asimddp", "sve", "sve2", "i8mm", "bf16"),
)

DISTRIBUTIONS = (
    *("fastformers-bench", "torch", "transformers", "tokenizers", "accelerate", "safetensors", "numpy"),
    *("onnx", "onnxruntime", "onnxruntime-gpu", "openvino", "nvidia-ml-py", "codecarbon", "psutil"),
    *("scipy", "scikit-learn"),
)

SETTINGS = (
    "OMP_",
    "GOMP_",
    "KMP_",
    "MKL_",
    "OPENBLAS_",
    "ONEDNN_",
    "DNNL_",
    "ORT_",
    "TORCH_",
    "GLIBC_TUNABLES",
    "MALLOC_",
    "LD_PRELOAD",
)
"""Beginnings of the variables by which users tune threads, kernels and allocators without a line of code."""

OVERRIDDEN = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Set for each worker by the harness (harness/runs/worker/process.py), so what the user set has no effect."""

_CONTAINER_WORDS = ("docker", "kubepods", "containerd", "libpod", "lxc")
_SILENT = "unavailable, because the kernel does not tell"


def fingerprint(
    root: Path = ROOT,
    *,
    affinity: Iterable[int] | None = None,
    machine: str | None = None,
    name: str | None = None,
    environ: Mapping[str, str] | None = None,
    gpus: Callable[[], list[dict[str, Any]]] = lambda: gpu_facts(nvml_module()),
) -> Host:
    """Return the facts of this machine that bear on speed, and their sha256.

    `affinity` is what this process may run on, `machine` the architecture, `name` the host's name, `environ`
    the environment; each is asked from the operating system unless given. `gpus` asks the driver.
    """
    cpus = sorted(os.sched_getaffinity(0) if affinity is None else affinity)
    info = cpuinfo(root)
    facts = {
        **_processor(info, machine or platform.machine()),
        **_shape(cpus, root),
        **_clocking(cpus, root),
        **_limits(root),
        **_memory_habits(root),
        "clocksource": read(root / "sys/devices/system/clocksource/clocksource0/current_clocksource")
        or _SILENT,
        "settings": settings(os.environ if environ is None else environ),
        "gpus": gpus(),
        "kernel": read(root / "proc/sys/kernel/osrelease") or _SILENT,
        "virtualisation": _virtualisation(info, root),
        "container": _container(root),
    }
    return Host(
        fingerprint=_sha256(json.dumps(facts, sort_keys=True)),
        name_sha256=_sha256(name or platform.node()),
        facts=facts,
    )


def host_changes(before: Host, after: Host) -> tuple[str, ...]:
    """Return, in words, every fact that differs: `governor: performance, then powersave`."""
    keys = [*before.facts, *(key for key in after.facts if key not in before.facts)]
    pairs = [(key, before.facts.get(key, _SILENT), after.facts.get(key, _SILENT)) for key in keys]
    return tuple(f"{key}: {_words(old)}, then {_words(new)}" for key, old, new in pairs if old != new)


def software(names: Iterable[str] = DISTRIBUTIONS) -> dict[str, str]:
    """Return the versions of Python and of the installed among `names`; imports none of them."""
    versions = {"python": platform.python_version()}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _words(fact: Any) -> str:  # noqa: ANN401 -- a fact is any JSON value
    if isinstance(fact, Mapping):
        fact = [f"{name}={value}" for name, value in fact.items()]
    return " ".join(map(str, fact)) or "none" if isinstance(fact, list) else str(fact)


def _processor(info: dict[str, str], machine: str) -> dict[str, Any]:
    """Return model and features; Arm names its parts by number only."""
    part = [f"{key} {info[f'CPU {key}']}" for key in ("implementer", "part") if f"CPU {key}" in info]
    model = info.get("model name") or (f"Arm {', '.join(part)}" if part else _SILENT)
    flags = flags_of(info)
    return {
        "cpu_model": model,
        "architecture": machine,
        "family": info.get("cpu family") or info.get("CPU architecture") or _SILENT,
        "model": info.get("model") or info.get("CPU part") or _SILENT,
        "stepping": info.get("stepping") or info.get("CPU revision") or _SILENT,
        "microcode": info.get("microcode") or _SILENT,
        "flags": [flag for flag in FLAGS if flag in flags],
    }


def _shape(cpus: list[int], root: Path) -> dict[str, Any]:
    """Return how many CPUs there are, and how many of them this process may use."""
    system = root / "sys/devices/system"
    online = read(system / "cpu/online")
    smt = {"0": "off", "1": "on"}.get(read(system / "cpu/smt/active") or "", _SILENT)
    return {
        "logical_cpus": len(cpu_list(online)) if online else _SILENT,
        "usable_logical_cpus": len(cpus),
        "usable_physical_cpus": len(physical_cpus(cpus, root)),
        "smt": smt,
        "numa_nodes": len(list((system / "node").glob("node[0-9]*"))) or _SILENT,
    }


def _clocking(cpus: list[int], root: Path) -> dict[str, Any]:
    """Return governor, boost, preference and the limits of frequency; CPUs that differ are joined by `/`."""
    system = root / "sys/devices/system/cpu"

    def over_cpus(file: str) -> str | None:
        values = {read(system / f"cpu{cpu}/cpufreq" / file) for cpu in cpus}
        return "/".join(sorted(value for value in values if value)) or None

    no_turbo, boost = read(system / "intel_pstate/no_turbo"), read(system / "cpufreq/boost")
    off = {"1": True, "0": False}.get(no_turbo or "", boost == "0" if boost else None)
    hidden = "unavailable, because the kernel shows no frequency control"
    return {
        "governor": over_cpus("scaling_governor") or hidden,
        "boost": hidden if off is None else "off" if off else "on",
        "max_frequency_khz": over_cpus("cpuinfo_max_freq") or hidden,
        "frequency_limits_khz": " to ".join(limits) if (limits := _limits_of(over_cpus)) else hidden,
        "energy_performance_preference": over_cpus("energy_performance_preference") or hidden,
    }


def _limits_of(over_cpus: Callable[[str], str | None]) -> list[str]:
    """Return the lowest and highest frequency that the policy allows now, or nothing."""
    found = [over_cpus("scaling_min_freq"), over_cpus("scaling_max_freq")]
    return [text for text in found if text] if all(found) else []


def _memory_habits(root: Path) -> dict[str, Any]:
    """Return how the kernel treats large pages, swap and pages on other NUMA nodes."""
    pages = read(root / "sys/kernel/mm/transparent_hugepage/enabled") or ""
    chosen = pages.partition("[")[2].partition("]")[0]
    return {
        "transparent_huge_pages": chosen or _SILENT,
        "swappiness": read(root / "proc/sys/vm/swappiness") or _SILENT,
        "numa_balancing": read(root / "proc/sys/kernel/numa_balancing") or _SILENT,
    }


def settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment's settings of threads, kernels and allocators, base names in place of paths."""
    return {
        name: base_names(value)
        for name, value in sorted(environ.items())
        if name.startswith(SETTINGS) and name not in OVERRIDDEN
    }


def _limits(root: Path) -> dict[str, Any]:
    """Return memory and cgroup limits; RAM to 0.1 GiB, as what the kernel itself takes differs by boot."""
    ram, limit = ram_bytes(root), memory_limit_bytes(root)
    return {
        "ram_gib": round(ram / 2**30, 1) if ram else _SILENT,
        "cgroup_memory_limit_bytes": limit if limit and limit != ram else "none",
        "cgroup_cpu_quota": cpu_quota(root) or "none",
    }


def _virtualisation(info: dict[str, str], root: Path) -> str:
    """Return whether a hypervisor shows itself: x86 has a flag for it, other architectures have none."""
    vendor = read(root / "sys/class/dmi/id/sys_vendor")
    if "hypervisor" in flags_of(info):
        return f"virtual machine ({vendor})" if vendor else "virtual machine"
    if "flags" in info:
        return "none"
    return "unavailable, because this architecture has no flag for it"


def _container(root: Path) -> str:
    """Return which container this runs in, by the marks that runtimes leave."""
    marks = {"docker": root / ".dockerenv", "podman": root / "run/.containerenv"}
    for kind, mark in marks.items():
        if mark.exists():
            return kind
    groups = read(root / "proc/1/cgroup") or ""
    return next((word for word in _CONTAINER_WORDS if word in groups), "none seen")

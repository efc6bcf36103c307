"""The fingerprint of a machine: the facts that affect speed, so that unlike machines are not compared.

A fact that the kernel does not show is the text `unavailable, because ...`. Values that change by themselves
(steal time, current frequency, heat) are not among the facts, or each run would have its own machine; they
are in harness/measurement/machine/conditions.py. All texts here are hashed: another wording would make
another machine of the same one, so they must not change.
"""

import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from harness.common.files import base_names
from harness.common.json_types import JsonObject, JsonValue
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
from harness.measurement.machine import gpu
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
"""Prefixes of the environment variables that tune threads, kernels and allocators."""

OVERRIDDEN = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""The harness sets these for each worker (harness/runs/worker/process.py), so the user's do not matter."""

_CONTAINER_NAMES = ("docker", "kubepods", "containerd", "libpod", "lxc")
_UNKNOWN = "unavailable, because the kernel does not tell"


def fingerprint(
    root: Path = ROOT,
    *,
    affinity: Iterable[int] | None = None,
    machine: str | None = None,
    name: str | None = None,
    environ: Mapping[str, str] | None = None,
    gpus: Callable[[], list[JsonObject]] = lambda: gpu.facts(gpu.nvml_module()),
) -> Host:
    """Return the facts of this machine that affect speed, and their sha256.

    `affinity` are the CPUs that this process may use, `machine` is the architecture, `name` the host's name,
    `environ` the environment; each is read from the operating system unless it is given. `gpus` returns the
    facts of the boards.
    """
    cpus = sorted(os.sched_getaffinity(0) if affinity is None else affinity)
    info = cpuinfo(root)
    facts = {
        **_processor(info, machine or platform.machine()),
        **_cpu_counts(cpus, root),
        **_frequency_settings(cpus, root),
        **_limits(root),
        **_memory_settings(root),
        "clocksource": read(root / "sys/devices/system/clocksource/clocksource0/current_clocksource")
        or _UNKNOWN,
        "settings": settings(os.environ if environ is None else environ),
        "gpus": gpus(),
        "kernel": read(root / "proc/sys/kernel/osrelease") or _UNKNOWN,
        "virtualisation": _virtualisation(info, root),
        "container": _container(root),
    }
    return Host(
        fingerprint=_sha256(json.dumps(facts, sort_keys=True)),
        name_sha256=_sha256(name or platform.node()),
        facts=facts,
    )


def host_changes(before: Host, after: Host) -> tuple[str, ...]:
    """Return every fact that differs as text: `governor: performance, then powersave`."""
    keys = [*before.facts, *(key for key in after.facts if key not in before.facts)]
    pairs = [(key, before.facts.get(key, _UNKNOWN), after.facts.get(key, _UNKNOWN)) for key in keys]
    return tuple(f"{key}: {_as_text(old)}, then {_as_text(new)}" for key, old, new in pairs if old != new)


def software(names: Iterable[str] = DISTRIBUTIONS) -> dict[str, str]:
    """Return the versions of Python and of the installed distributions among `names`; imports none."""
    versions = {"python": platform.python_version()}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _as_text(fact: JsonValue) -> str:
    if isinstance(fact, Mapping):
        fact = [f"{name}={value}" for name, value in fact.items()]
    return " ".join(map(str, fact)) or "none" if isinstance(fact, list) else str(fact)


def _processor(info: dict[str, str], machine: str) -> JsonObject:
    """Return model and features; Arm processors have numbers instead of names."""
    part = [f"{key} {info[f'CPU {key}']}" for key in ("implementer", "part") if f"CPU {key}" in info]
    model = info.get("model name") or (f"Arm {', '.join(part)}" if part else _UNKNOWN)
    flags = flags_of(info)
    return {
        "cpu_model": model,
        "architecture": machine,
        "family": info.get("cpu family") or info.get("CPU architecture") or _UNKNOWN,
        "model": info.get("model") or info.get("CPU part") or _UNKNOWN,
        "stepping": info.get("stepping") or info.get("CPU revision") or _UNKNOWN,
        "microcode": info.get("microcode") or _UNKNOWN,
        "flags": [flag for flag in FLAGS if flag in flags],
    }


def _cpu_counts(cpus: list[int], root: Path) -> JsonObject:
    """Return the number of CPUs, and of those that this process may use."""
    system = root / "sys/devices/system"
    online = read(system / "cpu/online")
    smt = {"0": "off", "1": "on"}.get(read(system / "cpu/smt/active") or "", _UNKNOWN)
    return {
        "logical_cpus": len(cpu_list(online)) if online else _UNKNOWN,
        "usable_logical_cpus": len(cpus),
        "usable_physical_cpus": len(physical_cpus(cpus, root)),
        "smt": smt,
        "numa_nodes": len(list((system / "node").glob("node[0-9]*"))) or _UNKNOWN,
    }


def _frequency_settings(cpus: list[int], root: Path) -> JsonObject:
    """Return governor, boost, preference and frequency limits; values of different CPUs are joined by `/`."""
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
    """Return the lowest and highest frequency that the policy allows now, or an empty list."""
    limits = [over_cpus("scaling_min_freq"), over_cpus("scaling_max_freq")]
    return [text for text in limits if text] if all(limits) else []


def _memory_settings(root: Path) -> JsonObject:
    """Return the kernel's settings for large pages, swap and pages on other NUMA nodes."""
    pages = read(root / "sys/kernel/mm/transparent_hugepage/enabled") or ""
    chosen = pages.partition("[")[2].partition("]")[0]
    return {
        "transparent_huge_pages": chosen or _UNKNOWN,
        "swappiness": read(root / "proc/sys/vm/swappiness") or _UNKNOWN,
        "numa_balancing": read(root / "proc/sys/kernel/numa_balancing") or _UNKNOWN,
    }


def settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment's settings of threads, kernels and allocators; paths become base names."""
    return {
        name: base_names(value)
        for name, value in sorted(environ.items())
        if name.startswith(SETTINGS) and name not in OVERRIDDEN
    }


def _limits(root: Path) -> JsonObject:
    """Return memory and cgroup limits; RAM to 0.1 GiB, as the kernel's own share differs between boots."""
    ram, limit = ram_bytes(root), memory_limit_bytes(root)
    return {
        "ram_gib": round(ram / 2**30, 1) if ram else _UNKNOWN,
        "cgroup_memory_limit_bytes": limit if limit and limit != ram else "none",
        "cgroup_cpu_quota": cpu_quota(root) or "none",
    }


def _virtualisation(info: dict[str, str], root: Path) -> str:
    """Return whether this is a virtual machine: x86 has a flag for it, other architectures have none."""
    vendor = read(root / "sys/class/dmi/id/sys_vendor")
    if "hypervisor" in flags_of(info):
        return f"virtual machine ({vendor})" if vendor else "virtual machine"
    if "flags" in info:
        return "none"
    return "unavailable, because this architecture has no flag for it"


def _container(root: Path) -> str:
    """Return the kind of container, by the files that container runtimes create."""
    files = {"docker": root / ".dockerenv", "podman": root / "run/.containerenv"}
    for kind, file in files.items():
        if file.exists():
            return kind
    groups = read(root / "proc/1/cgroup") or ""
    return next((name for name in _CONTAINER_NAMES if name in groups), "none seen")

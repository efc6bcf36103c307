"""Kernel files about energy counters, by a list of what may be copied: no serial number, no host name."""

from collections.abc import Iterator
from pathlib import Path

from harness.common import procfs
from harness.measurement.machine.perf_events import PARANOID

ZONE_FILES = ("name", "max_energy_range_uj", "enabled", "constraint_*_name", "constraint_*_power_limit_uw")
POWERCAP, HWMON = "sys/class/powercap", "sys/class/hwmon"
PERF = "sys/bus/event_source/devices/power"
LONGEST = 200
"""A longer text is not one of these files' own."""


def machine_files(root: Path = procfs.ROOT) -> dict[str, str]:
    """Return the text of each file that lists energy counters, by its path below `root`."""
    texts = {path.relative_to(root).as_posix(): procfs.read(path) for path in _paths(root)}
    return {path: text for path, text in sorted(texts.items()) if text is not None and len(text) <= LONGEST}


def _paths(root: Path) -> Iterator[Path]:
    for zone in (root / POWERCAP).glob("intel-rapl*"):
        for name in ZONE_FILES:
            yield from zone.glob(name)
    for label in (root / HWMON).glob("hwmon*/energy*_label"):
        yield from (label, label.with_name("name"))
    yield from (root / PERF / "type", root / PERF / "cpumask", root / PARANOID)
    yield from (root / PERF).glob("events/energy-*")
    for cpu in procfs.cpu_list(procfs.read(root / PERF / "cpumask") or ""):
        topology = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
        yield from (topology / "physical_package_id", topology / "die_id")

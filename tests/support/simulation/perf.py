"""The kernel's perf events of a simulated machine: files that list the events, and their counts.

SimulatedMachine.counter(zone) --SimulatedPerf--> counts since an event was opened, in units of 2^-32 J
"""

import errno
from collections.abc import Mapping
from pathlib import Path

from simulation.machine import SimulatedMachine

SCALE = "2.3283064365386962890625e-10"
COUNTS_PER_UJ = 2**32 / 1e6
EVENTS = {"package": ("energy-pkg", 2), "dram": ("energy-ram", 3), "psys": ("energy-psys", 5)}


class SimulatedPerf:
    """Events on CPUs: `zones` holds the zones of each CPU of the mask, by the name of what they count.

    `packages` holds the package and die of each CPU. `root` is the root of the file system that lists them.
    """

    def __init__(
        self,
        machine: SimulatedMachine,
        root: Path,
        zones: Mapping[int, Mapping[str, str]],
        packages: Mapping[int, tuple[int, int]],
    ) -> None:
        self._machine, self._zones = machine, zones
        self._opened: list[tuple[str, int]] = []
        counted = {kind for by_kind in zones.values() for kind in by_kind}
        files = {"type": "23", "cpumask": ",".join(map(str, zones))}
        for kind in counted:
            name, config = EVENTS[kind]
            files |= {
                f"events/{name}": f"event=0x{config:02x}",
                f"events/{name}.scale": SCALE,
                f"events/{name}.unit": "Joules",
            }
        _write(root / "sys/bus/event_source/devices/power", files)
        for cpu, (package, die) in packages.items():
            topology = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
            _write(topology, {"physical_package_id": str(package), "die_id": str(die)})

    def open(self, kind: int, config: int, cpu: int) -> int:
        """Open an event: it counts from now on."""
        del kind
        name = next(name for name, (_, number) in EVENTS.items() if number == config)
        zone = self._zones[cpu][name]
        if self._machine.counter(zone).fault == "denied":
            raise PermissionError(errno.EACCES, "Permission denied")
        self._opened.append((zone, self._machine.counter(zone).shown_uj))
        return len(self._opened) - 1

    def read(self, handle: int) -> int:
        """Return the count."""
        zone, before = self._opened[handle]
        return round((self._machine.counter(zone).shown_uj - before) * COUNTS_PER_UJ)

    def close(self, handle: int) -> None:
        """Do nothing: no file is open."""


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")

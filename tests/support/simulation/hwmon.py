"""The hwmon files of a simulated machine: what amd_energy shows of its counters.

SimulatedMachine.counter(zone) --show--> energyN_input, with a label for each socket
"""

import os
from collections.abc import Mapping
from pathlib import Path

from simulation.machine import SimulatedMachine


class SimulatedHwmon:
    """One driver's folder below `root`; `zones` holds the zone behind each label, `Esocket0`, ..."""

    def __init__(
        self, machine: SimulatedMachine, root: Path, zones: Mapping[str, str], driver: str = "amd_energy"
    ) -> None:
        self._machine, self.root = machine, root
        self._folder = root / f"hwmon{len(list(root.glob('hwmon*')))}"
        self._folder.mkdir(parents=True)
        self._zones = tuple(zones.values())
        (self._folder / "name").write_text(f"{driver}\n")
        for number, label in enumerate(zones, 1):
            (self._folder / f"energy{number}_label").write_text(f"{label}\n")
        self.show()

    def show(self) -> None:
        """Write the present value of every counter; one that has not counted yet has 1 uJ."""
        for number, zone in enumerate(self._zones, 1):
            value = self._machine.counter(zone).shown_uj
            handle = os.open(self._folder / f"energy{number}_input", os.O_WRONLY | os.O_CREAT, 0o644)
            os.pwrite(handle, b"%019d\n" % (value + 1), 0)
            os.close(handle)

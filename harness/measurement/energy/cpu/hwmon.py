"""Energy counters under hwmon: those of AMD's sockets (drivers amd_energy and zenergy), and similar ones.

    /sys/class/hwmon/hwmon3/name            amd_energy
                           /energy9_label   Esocket0
                           /energy9_input   microjoules

Only the label states what a counter covers, so any driver that labels its sockets is read. Cores lie inside
their socket and are left out, and so is every unknown label (Linux, Documentation/hwmon: amd_energy and
sysfs-interface).
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.common.json_types import JsonObject
from harness.measurement.energy.counters.counter import CounterTraits
from harness.measurement.energy.counters.meter import (
    Clock,
    FileCounter,
    FileCounterMeter,
    ReadText,
    read_text,
)
from harness.measurement.energy.cpu.rapl import CEILING_WATTS, QUANTUM_UJ, UPDATE_NS
from harness.measurement.energy.meter import MeterSpec
from harness.records.reading import Zone

HWMON = Path("/sys/class/hwmon")

ALLOW = (
    "To allow it until the next boot: sudo chmod a+r /sys/class/hwmon/hwmon*/energy*_input. These counters "
    "leak the same secrets as RAPL (CVE-2020-8694). To allow it permanently for one group: docs/meters.md."
)
NO_COUNTER = "Load the driver amd_energy or zenergy on an AMD server; most other machines have RAPL instead."
_SOCKET, _CORE = re.compile(r"Esocket(\d+)"), re.compile(r"Ecore\d+")


@dataclass(frozen=True, slots=True)
class HwmonSurvey:
    """The sockets with their files, the drivers that show them, and (label, reason) for what is left out."""

    files: dict[Zone, Path]
    drivers: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]


class HwmonMeter(FileCounterMeter):
    """Reads the sockets at both edges of a window.

    No file states where a counter wraps around. Drivers that add up in 64 bits never wrap; if a register of
    32 bits shows through, the samples in between see it decrease, and the reading is unavailable.
    """

    name = "hwmon"

    def __init__(
        self,
        root: Path = HWMON,
        clock: Clock = time.monotonic_ns,
        *,
        read_text: ReadText = read_text,
        ceiling_watts: int = CEILING_WATTS,
    ) -> None:
        survey = survey_hwmon(root, read_text)
        self._root, self._source = root, f"hwmon {'+'.join(survey.drivers)}"
        traits = CounterTraits(self._source, UPDATE_NS, QUANTUM_UJ, ceiling_watts)
        counters = tuple(FileCounter(zone, file, traits) for zone, file in survey.files.items())
        super().__init__(counters, survey.left_out, clock, read_text)

    def describe(self) -> JsonObject:
        """Return the source, the update period, and the labels that were left out: one of each kind."""
        return {
            "source": self._source,
            "update_period_ns": UPDATE_NS,
            "read_in_between_every_s": self._every_s and round(self._every_s, 1),
            "zones": [{"zone": zone.name, "scope": zone.scope} for zone in self.zones()],
            "left_out": [list(pair) for pair in self._left_out],
        }

    def spec(self) -> JsonObject:
        """Return the arguments that open this meter in another process."""
        return {"meter": "hwmon", "root": str(self._root)}

    def obstacle(self) -> tuple[str, str] | None:
        """Return why the meter cannot be used here, and the remedy; None if every socket is readable."""
        if not self._counters:
            return "no hwmon driver shows the energy of a socket", NO_COUNTER
        for zone, sample in zip(self.zones(), self._take(), strict=True):
            if sample.reason:
                return f"{zone.name}: {sample.reason}", ALLOW
            if sample.microjoules == 0:
                return f"{zone.name}: the counter reads 0", NO_COUNTER
        return None


def open_hwmon(spec: MeterSpec) -> HwmonMeter:
    """Open the meter that `HwmonMeter.spec` described."""
    return HwmonMeter(Path(spec["root"]))


def survey_hwmon(root: Path, read_text: ReadText) -> HwmonSurvey:
    """Read a hwmon tree; a socket that two drivers show counts once."""
    files: dict[Zone, Path] = {}
    drivers: dict[str, None] = {}
    left_out: dict[str, str] = {}
    for driver, label, file in _labelled_files(root, read_text):
        socket = _SOCKET.fullmatch(label)
        zone = Zone(f"package-{socket[1]}" if socket else label, "package")
        if socket and zone not in files:
            files[zone] = file
            drivers[driver] = None
        elif socket:
            left_out[f"{driver}: {label}"] = "the same socket by another driver"
        elif _CORE.fullmatch(label):
            left_out[f"{driver}: Ecore*"] = "lie inside their socket"
        else:
            left_out[f"{driver}: {label}"] = "what it covers is unknown"
    return HwmonSurvey(files, tuple(drivers), tuple(left_out.items()))


def _labelled_files(root: Path, read_text: ReadText) -> Iterator[tuple[str, str, Path]]:
    """Yield driver, label and file of every energy counter; without a label, the file's own name."""
    for folder in sorted(root.glob("hwmon*"), key=_number):
        for file in sorted(folder.glob("energy*_input"), key=_number):
            label = file.with_name(file.name.replace("_input", "_label"))
            yield (
                _text(folder / "name", read_text) or folder.name,
                _text(label, read_text) or file.name,
                file,
            )


def _number(path: Path) -> int:
    return int("0" + re.sub(r"\D", "", path.name))


def _text(path: Path, read_text: ReadText) -> str:
    try:
        return read_text(path).strip()
    except (OSError, UnicodeDecodeError):
        return ""

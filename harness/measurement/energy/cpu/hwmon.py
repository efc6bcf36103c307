"""Energy counters under hwmon: AMD's of sockets (drivers amd_energy and zenergy) and others of that shape.

    /sys/class/hwmon/hwmon3/name            amd_energy
                           /energy9_label   Esocket0
                           /energy9_input   microjoules

What a counter covers is told by its label alone, so any driver that labels its sockets is read; cores lie
inside their socket and are left out, as is every label of unknown meaning (Linux, Documentation/hwmon:
amd_energy, and sysfs-interface).
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.measurement.energy.counters.counter import CounterTraits, Sample, look_every_s
from harness.measurement.energy.counters.sampler import Sampler, readings
from harness.measurement.energy.cpu.rapl import (
    CEILING_WATTS,
    QUANTUM_UJ,
    UPDATE_NS,
    ReadText,
    read_text,
    sampled,
)
from harness.records.reading import Grade, Reading, Zone

HWMON = Path("/sys/class/hwmon")

ALLOW = (
    "Until the next start: sudo chmod a+r /sys/class/hwmon/hwmon*/energy*_input. It shows the same secrets "
    "as RAPL (CVE-2020-8694); for one group, and for good: docs/meters.md."
)
NO_COUNTER = "Load the driver amd_energy or zenergy on an AMD server; most machines offer RAPL instead."
_SOCKET, _CORE = re.compile(r"Esocket(\d+)"), re.compile(r"Ecore\d+")


@dataclass(frozen=True, slots=True)
class HwmonCounter:
    """A socket and the file that holds its counter."""

    zone: Zone
    file: Path


@dataclass(frozen=True, slots=True)
class HwmonSurvey:
    """The sockets that are read, the drivers they belong to, and (label, why) for what is left out."""

    counters: tuple[HwmonCounter, ...]
    drivers: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]


class HwmonMeter:
    """Reads the sockets at both edges of a window.

    No file says where a counter wraps. Drivers that add up in 64 bits never do; where a register of 32 bits
    shows through, the looks in between see it step back, and the reading is unavailable.
    """

    def __init__(
        self,
        root: Path = HWMON,
        clock: Callable[[], int] = time.monotonic_ns,
        *,
        read_text: ReadText = read_text,
        ceiling_watts: int = CEILING_WATTS,
    ) -> None:
        self._root, self._clock, self._read_text = root, clock, read_text
        self._survey = survey(root, read_text)
        self._traits = CounterTraits(
            f"hwmon {'+'.join(self._survey.drivers)}", UPDATE_NS, QUANTUM_UJ, ceiling_watts
        )
        self._every_s = look_every_s((None, self._traits) for _ in self._survey.counters)

    @property
    def name(self) -> str:
        """Its name in the table of meters."""
        return "hwmon"

    @property
    def grade(self) -> Grade:
        """The best grade its readings can have."""
        return "measured"

    def zones(self) -> tuple[Zone, ...]:
        """Return the sockets; all may be summed."""
        return tuple(counter.zone for counter in self._survey.counters)

    def start(self) -> Sampler[tuple[Sample, ...]]:
        """Read the first edge: one sample per socket."""
        return Sampler(self._take, self._every_s)

    def read(self, mark: Sampler[tuple[Sample, ...]]) -> tuple[Reading, ...]:
        """Read the second edge."""
        return readings(mark, self.zones(), self.traits())

    def traits(self) -> tuple[CounterTraits, ...]:
        """Return what is known of each zone's counter."""
        return (self._traits,) * len(self._survey.counters)

    def describe(self) -> dict[str, Any]:
        """Return source and steps, and what was left out and why: a label of each kind, not every core."""
        return {
            "source": self._traits.source,
            "update_period_ns": UPDATE_NS,
            "read_in_between_every_s": self._every_s and round(self._every_s, 1),
            "zones": [{"zone": zone.name, "scope": zone.scope} for zone in self.zones()],
            "left_out": [list(pair) for pair in self._survey.left_out],
        }

    def spec(self) -> dict[str, Any]:
        """Return what opens this meter again in another process."""
        return {"meter": "hwmon", "root": str(self._root)}

    def obstacle(self) -> tuple[str, str] | None:
        """Return why it cannot be used here and what would allow it; None if every socket can be read."""
        if not self._survey.counters:
            return "no driver under hwmon counts the energy of sockets", NO_COUNTER
        for zone, sample in zip(self.zones(), self._take(), strict=True):
            if sample.reason:
                return f"{zone.name}: {sample.reason}", ALLOW
            if sample.microjoules == 0:
                return f"{zone.name}: the counter reads 0", NO_COUNTER
        return None

    def _take(self) -> tuple[Sample, ...]:
        return tuple(sampled(counter.file, self._read_text, self._clock) for counter in self._survey.counters)


def open_hwmon(spec: Mapping[str, Any]) -> HwmonMeter:
    """Open the meter that `HwmonMeter.spec` described."""
    return HwmonMeter(Path(spec["root"]))


def survey(root: Path = HWMON, read_text: ReadText = read_text) -> HwmonSurvey:
    """Return the sockets under a hwmon tree; a socket that two drivers show counts once."""
    counters: dict[str, HwmonCounter] = {}
    drivers: dict[str, None] = {}
    left_out: dict[str, str] = {}
    for driver, label, file in _labelled(root, read_text):
        socket = _SOCKET.fullmatch(label)
        name = f"package-{socket[1]}" if socket else label
        if socket and name not in counters:
            counters[name] = HwmonCounter(Zone(name, "package"), file)
            drivers[driver] = None
        elif socket:
            left_out[f"{driver}: {label}"] = "the same socket by another driver"
        elif _CORE.fullmatch(label):
            left_out[f"{driver}: Ecore*"] = "lie inside their socket"
        else:
            left_out[f"{driver}: {label}"] = "what it covers is unknown"
    return HwmonSurvey(tuple(counters.values()), tuple(drivers), tuple(left_out.items()))


def _labelled(root: Path, read_text: ReadText) -> Iterator[tuple[str, str, Path]]:
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

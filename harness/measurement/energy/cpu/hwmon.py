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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.common.json_types import JsonObject
from harness.measurement.energy.counters.counter import CounterTraits
from harness.measurement.energy.counters.meter import (
    Clock,
    FileCounter,
    FileCounterMeter,
    ReadText,
    denied,
    read_text,
)
from harness.measurement.energy.cpu.rapl import CEILING_WATTS, FAILED, NOTHING, QUANTUM_UJ, UPDATE_NS
from harness.measurement.energy.meter import MeterSpec
from harness.records.reading import Zone

HWMON = Path("/sys/class/hwmon")

ALLOW = (
    "To allow it until the next boot: sudo chmod a+r /sys/class/hwmon/hwmon*/energy*_input. These counters "
    "leak the same secrets as RAPL (CVE-2020-8694). To allow it permanently for one group: "
    "docs/reference/meters.md."
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
        excluded: Mapping[str, str] | None = None,
    ) -> None:
        survey = survey_hwmon(root, read_text, excluded or {})
        self._root, self._source = root, f"hwmon {'+'.join(survey.drivers)}"
        self._ceiling_watts = ceiling_watts
        traits = CounterTraits(self._source, UPDATE_NS, QUANTUM_UJ, ceiling_watts)
        counters = tuple(FileCounter(zone, file, traits) for zone, file in survey.files.items())
        super().__init__(counters, survey.left_out, clock, read_text, excluded)

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
        return {"meter": "hwmon", "root": str(self._root), "excluded": self._excluded}

    def without(self, reasons: Mapping[str, str]) -> "HwmonMeter":
        """Return this meter without some sockets; one that a second driver shows is read there."""
        excluded = self._keys_of(reasons)
        return HwmonMeter(
            self._root,
            self._clock,
            read_text=self._read_text,
            ceiling_watts=self._ceiling_watts,
            excluded=excluded,
        )

    def unreadable(self) -> dict[str, str]:
        """Return why sockets cannot be read now, by name; one that reads 0 has no counter."""
        samples = zip(self.zones(), self._take(), strict=True)
        reasons = {
            zone.name: sample.reason or ("the counter reads 0" if sample.microjoules == 0 else "")
            for zone, sample in samples
        }
        return {name: reason for name, reason in reasons.items() if reason}

    def obstacle(self) -> tuple[str, str] | None:
        """Return why the meter cannot be used here, and the remedy; None if every socket is readable."""
        if not self._counters:
            return "no hwmon driver shows the energy of a socket", NO_COUNTER
        for zone, reason in self.unreadable().items():
            return f"{zone}: {reason}", _remedy(reason)
        return None


def open_hwmon(spec: MeterSpec) -> HwmonMeter:
    """Open the meter that `HwmonMeter.spec` described."""
    return HwmonMeter(Path(spec["root"]), excluded=spec.get("excluded"))


def survey_hwmon(root: Path, read_text: ReadText, excluded: Mapping[str, str] = NOTHING) -> HwmonSurvey:
    """Read a hwmon tree; a socket that two drivers show counts once.

    `excluded` holds files that must not be read, as `FileCounter.key`, with why.
    """
    files: dict[Zone, Path] = {}
    drivers: dict[str, None] = {}
    left_out: dict[str, str] = {}
    for driver, label, file in _labelled_files(root, read_text):
        socket = _SOCKET.fullmatch(label)
        zone = Zone(f"package-{socket[1]}" if socket else label, "package")
        if reason := excluded.get(f"{file.parent.name}/{file.name}"):
            left_out[f"{driver}: {label}"] = reason
        elif socket and zone not in files:
            files[zone] = file
            drivers[driver] = None
        elif socket:
            left_out[f"{driver}: {label}"] = "the same socket by another driver"
        elif _CORE.fullmatch(label):
            left_out[f"{driver}: Ecore*"] = "lie inside their socket"
        else:
            left_out[f"{driver}: {label}"] = "what it covers is unknown"
    return HwmonSurvey(files, tuple(drivers), tuple(left_out.items()))


def _remedy(reason: str) -> str:
    """Return what to do about a counter that cannot be read for this reason."""
    if reason.startswith(denied("")):
        return ALLOW
    return NO_COUNTER if reason == "the counter reads 0" else FAILED


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

"""RAPL: the energy counters of Intel and AMD processors, as the kernel's powercap tree shows them.

    intel-rapl:0        package-0   cores, caches and memory controller of one socket
    intel-rapl:0:0        core      inside package-0
    intel-rapl:0:1        dram      not part of package-0, though its folder is below
    intel-rapl:1        psys        the whole platform; contains the packages
    intel-rapl-mmio:0   package-0   the same counter through another interface

Packages and their memory are added up. Zones inside a package or around it are left out, and so is the second
interface to the same counter (Intel's manual, volume 3B, chapter on power management; Linux, powercap).
"""

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from harness.common.json_types import JsonObject
from harness.measurement.energy.counters.counter import CounterTraits, longest_window_s
from harness.measurement.energy.counters.meter import (
    Clock,
    FileCounter,
    FileCounterMeter,
    ReadText,
    denied,
    read_text,
)
from harness.measurement.energy.meter import MeterSpec
from harness.records.reading import Scope, Zone

POWERCAP = Path("/sys/class/powercap")
COUNTER = "energy_uj"
NOTHING: Mapping[str, str] = MappingProxyType({})

UPDATE_NS = 1_000_000  # the counters are updated about every millisecond (Haehnel et al. 2012)
QUANTUM_UJ = 61.04  # 2^-14 J, the coarser of the two common units; used if the range is unreadable
CEILING_WATTS = 1_000  # twice the 500 W of the largest server processors of 2025
COUNTER_BITS = 32  # the energy status register is 32 bits wide, so range / 2^32 is one unit

ALLOW = (
    "Only root may read RAPL since CVE-2020-8694 (power readings leak secrets). To allow it until the next "
    "boot: sudo chmod a+r /sys/class/powercap/intel-rapl*:*/*energy*_uj. To allow it permanently for one "
    "group: the udev rule in docs/reference/meters.md."
)
NO_TREE = "Run on a physical Intel or AMD machine with the kernel module intel_rapl_msr; VMs have no RAPL."
NO_PACKAGE = (
    "The driver found no package: look for intel_rapl in the kernel log (dmesg), or update the kernel, which "
    "must know this processor."
)
DENIED = denied(COUNTER)
FAILED = "Look into the kernel log (dmesg): the zone is listed, but reading it fails."
MASKED = "Start the container with --security-opt systempaths=unconfined (Docker) or unmask=ALL (Podman)."
CONTAINS = "contains the packages"
ALONE = "the kernel shows no package beside it"


@dataclass(frozen=True, slots=True)
class RaplSurvey:
    """The contents of a powercap tree: the counters to read, and (zone, reason) for those left out.

    `names` are those of all zones. `broken` is the number of folders that are listed and cannot be opened: a
    container hides their targets.
    """

    counters: tuple[FileCounter, ...]
    left_out: tuple[tuple[str, str], ...]
    names: tuple[str, ...] = ()
    broken: int = 0


class RaplMeter(FileCounterMeter):
    """Reads packages and their memory at both edges of a window.

    A window in which a counter could wrap around twice is sampled in between as well, by a thread that sleeps
    otherwise.
    """

    name = "rapl"

    def __init__(
        self,
        root: Path = POWERCAP,
        clock: Clock = time.monotonic_ns,
        *,
        read_text: ReadText = read_text,
        ceiling_watts: int = CEILING_WATTS,
        excluded: Mapping[str, str] | None = None,
    ) -> None:
        survey = survey_powercap(root, read_text, ceiling_watts, excluded or {})
        super().__init__(survey.counters, survey.left_out, clock, read_text, excluded)
        self._root, self._ceiling_watts, self._survey = root, ceiling_watts, survey

    def describe(self) -> JsonObject:
        """Return the source, the update period, each zone's limits, and the zones that were left out."""
        return {
            "source": "RAPL powercap",
            "update_period_ns": UPDATE_NS,
            "read_in_between_every_s": self._every_s and round(self._every_s, 1),
            "zones": [_facts(counter) for counter in self._counters],
            "left_out": [list(pair) for pair in self._left_out],
        }

    def spec(self) -> JsonObject:
        """Return the arguments that open this meter in another process."""
        return {"meter": "rapl", "root": str(self._root), "excluded": self._excluded}

    def without(self, reasons: Mapping[str, str]) -> "RaplMeter":
        """Return this meter without some zones; one that a second interface shows is read there."""
        excluded = self._keys_of(reasons)
        return RaplMeter(
            self._root,
            self._clock,
            read_text=self._read_text,
            ceiling_watts=self._ceiling_watts,
            excluded=excluded,
        )

    def obstacle(self) -> tuple[str, str] | None:
        """Return why the meter cannot be used here, and the remedy; None if every zone is readable."""
        if self._survey.broken:
            return f"{self._survey.broken} zones are listed, but a container hides what they link to", MASKED
        if not self._counters and self._survey.names:
            return f"the kernel shows {', '.join(self._survey.names)}, and no package zone", NO_PACKAGE
        if not self._counters:
            return "the kernel shows no RAPL package zone", NO_TREE
        for zone, reason in self.unreadable().items():
            return f"{zone}: {reason}", ALLOW if reason == DENIED else FAILED
        return None


def open_rapl(spec: MeterSpec) -> RaplMeter:
    """Open the meter that `RaplMeter.spec` described."""
    return RaplMeter(Path(spec["root"]), excluded=spec.get("excluded"))


def survey_powercap(
    root: Path, read_text: ReadText, ceiling_watts: int = CEILING_WATTS, excluded: Mapping[str, str] = NOTHING
) -> RaplSurvey:
    """Read a powercap tree; folders that are the same by link, or by name through two drivers, count once.

    `excluded` holds files that must not be read, as `FileCounter.key`, with why. Where a driver shows two
    zones of one name, both are kept: only their values show whether they are one counter.
    """
    names = {folder: _zone_name(folder, read_text) for folder in _folders(root)}
    folder_by_zone: dict[str, Path] = {}
    left_out: list[tuple[str, str]] = []
    for folder, name in names.items():
        if name is None:
            continue
        twin = folder_by_zone.get(name)
        if reason := excluded.get(f"{folder.name}/{COUNTER}"):
            left_out.append((f"{name} ({folder.name})", reason))
        elif twin is None:
            folder_by_zone[name] = folder
        elif _driver(twin) == _driver(folder):
            folder_by_zone[f"{name} ({folder.name})"] = folder
        else:
            left_out.append((f"{name} ({folder.name})", f"the same zone as {twin.name}"))
    scopes = {zone: _scope(str(names[folder])) for zone, folder in folder_by_zone.items()}
    counted = _counted(scopes)
    return RaplSurvey(
        tuple(
            _counter(folder_by_zone[zone], zone, scope, read_text, ceiling_watts)
            for zone, scope in counted.items()
        ),
        (
            *((zone, reason or ALONE) for zone, (_, reason) in scopes.items() if zone not in counted),
            *left_out,
        ),
        tuple(name for name in names.values() if name),
        list(names.values()).count(None),
    )


def _counted(scopes: Mapping[str, tuple[Scope | None, str]]) -> dict[str, Scope]:
    """Return the zones to add up: packages with their memory, or psys alone where there is no package."""
    counted = {zone: scope for zone, (scope, _) in scopes.items() if scope}
    if "package" in counted.values():
        return counted
    platforms = [zone for zone, (_, reason) in scopes.items() if reason == CONTAINS]
    return {platforms[0]: "system"} if len(platforms) == 1 else {}


def quantum_uj(range_uj: int | None) -> float:
    """Return the counter's unit in microjoules: its range over 2^32, or else the coarser common unit."""
    return QUANTUM_UJ if range_uj is None else range_uj / 2**COUNTER_BITS


def _folders(root: Path) -> Iterator[Path]:
    """Yield each zone's folder once, parents first, `intel-rapl:` before `intel-rapl-mmio:`.

    The kernel lists all zones flat, as links into a nested tree; copies of it may have the nested folders
    only.
    """
    folders: dict[Path, Path] = {}
    for parents in ("", "intel-rapl*/", "intel-rapl*/intel-rapl*/"):
        for folder in root.glob(f"{parents}intel-rapl*:*"):
            folders.setdefault(folder.resolve(), folder)
    yield from sorted(folders.values(), key=_sort_key)


def _sort_key(folder: Path) -> tuple[str, tuple[int, ...]]:
    """Sort by driver, then by numbers, so that the tenth socket follows the ninth."""
    numbers = folder.name.split(":")[1:]
    return _driver(folder).replace("intel-rapl", "", 1), tuple(map(int, filter(str.isdecimal, numbers)))


def _driver(folder: Path) -> str:
    return folder.name.partition(":")[0]


def _zone_name(folder: Path, read_text: ReadText) -> str | None:
    """Return the zone's name, prefixed by its parent's: `package-0/dram`; None if it cannot be read."""
    try:
        own = read_text(folder / "name").strip()
        driver, *numbers = folder.name.split(":")
        if len(numbers) < 2:  # noqa: PLR2004 -- driver:package:zone
            return own
        parent = f"{driver}:{numbers[0]}"
        parent_folder = folder.parent if folder.parent.name == parent else folder.parent / parent
        return f"{read_text(parent_folder / 'name').strip()}/{own}"
    except (OSError, UnicodeDecodeError):
        return None


def _scope(name: str) -> tuple[Scope | None, str]:
    """Return the scope of a zone that can be added up, or None and the reason why it cannot."""
    own = name.rpartition("/")[2]
    if own == name and own.startswith("package-"):
        return "package", ""
    if own == "dram":
        return "dram", ""
    if own in ("core", "uncore"):
        return None, "lies inside its package"
    if own.startswith("psys"):  # a second one is psys-1
        return None, CONTAINS
    return None, "what it covers is unknown"


def _counter(folder: Path, name: str, scope: Scope, read_text: ReadText, ceiling_watts: int) -> FileCounter:
    range_uj: int | None = None
    with contextlib.suppress(OSError, ValueError):  # without a range a wrap-around is never corrected
        range_uj = max(0, int(read_text(folder / "max_energy_range_uj"))) or None
    source = "RAPL powercap, psys" if scope == "system" else "RAPL powercap"
    traits = CounterTraits(source, UPDATE_NS, quantum_uj(range_uj), ceiling_watts)
    return FileCounter(Zone(name, scope, range_uj), folder / COUNTER, traits)


def _facts(counter: FileCounter) -> JsonObject:
    zone = counter.zone
    return {
        "zone": zone.name,
        "scope": zone.scope,
        "range_uj": zone.range_uj,
        "quantum_uj": round(counter.traits.quantum_uj, 3),
        "longest_window_s": zone.range_uj and round(longest_window_s(zone.range_uj, counter.traits), 1),
    }

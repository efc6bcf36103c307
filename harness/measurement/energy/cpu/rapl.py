"""RAPL: the energy counters of Intel and AMD processors, through the kernel's powercap tree.

    intel-rapl:0        package-0   cores, caches and memory controller of one socket
    intel-rapl:0:0        core      inside package-0
    intel-rapl:0:1        dram      beside package-0, though it hangs below it
    intel-rapl:1        psys        the whole platform; contains the packages
    intel-rapl-mmio:0   package-0   the same counter by another road

Packages and their memory are added up; what lies inside a package or around it is left out, as is the second
road to the same counter (Intel's manual, volume 3B, chapter on power management; Linux, powercap).
"""

import errno
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.measurement.energy.counters.counter import CounterTraits, Sample, longest_window_s, look_every_s
from harness.measurement.energy.counters.sampler import Sampler, readings
from harness.records.reading import Grade, Reading, Scope, Zone

POWERCAP = Path("/sys/class/powercap")

UPDATE_NS = 1_000_000  # the counters step about every millisecond (Haehnel et al. 2012)
QUANTUM_UJ = 61.04  # 2^-14 J, the coarser of the two common units; used where the range cannot be read
CEILING_WATTS = 1_000  # twice the 500 W of the largest server processors of 2025
COUNTER_BITS = 32  # the energy status register is 32 bits wide, so range / 2^32 is one unit

ALLOW = (
    "Reading RAPL is root's alone since CVE-2020-8694 (secrets leak through power readings). Until the next "
    "start: sudo chmod a+r /sys/class/powercap/intel-rapl*:*/*energy*_uj. For one group, "
    "and for good: the udev rule in docs/meters.md."
)
NO_TREE = "Run on a physical Intel or AMD machine with the kernel module intel_rapl_msr; VMs have no RAPL."
DENIED = "permission denied on energy_uj"
FAILED = "See the kernel's log: the zone is listed and answers with an error."
MASKED = "Start the container with --security-opt systempaths=unconfined (Docker) or unmask=ALL (Podman)."

ReadText = Callable[[Path], str]


def read_text(path: Path) -> str:
    """Return a small kernel file's text; one open, one read, one close."""
    handle = os.open(path, os.O_RDONLY)
    try:
        return os.read(handle, 64).decode("ascii")
    finally:
        os.close(handle)


@dataclass(frozen=True, slots=True)
class RaplCounter:
    """A zone and the folder that holds its counter."""

    zone: Zone
    folder: Path
    traits: CounterTraits


@dataclass(frozen=True, slots=True)
class RaplSurvey:
    """What a powercap tree holds: the counters to read, and (zone, why) for those left out."""

    counters: tuple[RaplCounter, ...]
    left_out: tuple[tuple[str, str], ...]
    broken: int = 0
    """folders that are listed but lead nowhere: a container hides what they link to"""


class RaplMeter:
    """Reads packages and their memory at both edges of a window.

    `clock` is a monotonic clock in nanoseconds. Files are opened for each read, about 10 microseconds
    apiece, so that a zone which goes away is noticed. A window that lasts so long that a counter could wrap
    twice is read in between as well, by a thread that otherwise sleeps.
    """

    def __init__(
        self,
        root: Path = POWERCAP,
        clock: Callable[[], int] = time.monotonic_ns,
        *,
        read_text: ReadText = read_text,
        ceiling_watts: int = CEILING_WATTS,
    ) -> None:
        self._root, self._clock, self._read_text = root, clock, read_text
        self._survey = survey(root, read_text, ceiling_watts)
        self._every_s = look_every_s((each.zone.range_uj, each.traits) for each in self._survey.counters)

    @property
    def name(self) -> str:
        """Its name in the table of meters."""
        return "rapl"

    @property
    def grade(self) -> Grade:
        """The best grade its readings can have."""
        return "measured"

    def zones(self) -> tuple[Zone, ...]:
        """Return packages and their memory, duplicates dropped; all may be summed."""
        return tuple(counter.zone for counter in self._survey.counters)

    def start(self) -> Sampler[tuple[Sample, ...]]:
        """Read the first edge: one sample per zone."""
        return Sampler(self._take, self._every_s)

    def read(self, mark: Sampler[tuple[Sample, ...]]) -> tuple[Reading, ...]:
        """Read the second edge."""
        return readings(mark, self.zones(), self.traits())

    def traits(self) -> tuple[CounterTraits, ...]:
        """Return what is known of each zone's counter."""
        return tuple(counter.traits for counter in self._survey.counters)

    def describe(self) -> dict[str, Any]:
        """Return source, steps and limits of each zone, and what was left out and why."""
        return {
            "source": "RAPL powercap",
            "update_period_ns": UPDATE_NS,
            "read_in_between_every_s": self._every_s and round(self._every_s, 1),
            "zones": [_facts(counter) for counter in self._survey.counters],
            "left_out": [list(pair) for pair in self._survey.left_out],
        }

    def spec(self) -> dict[str, Any]:
        """Return what opens this meter again in another process."""
        return {"meter": "rapl", "root": str(self._root)}

    def obstacle(self) -> tuple[str, str] | None:
        """Return why it cannot be used here and what would allow it; None if every zone can be read."""
        if self._survey.broken:
            return f"{self._survey.broken} zones are listed, but a container hides what they link to", MASKED
        if not self._survey.counters:
            return "the kernel shows no RAPL package zone", NO_TREE
        for zone, sample in zip(self.zones(), self._take(), strict=True):
            if sample.reason:
                return f"{zone.name}: {sample.reason}", ALLOW if sample.reason == DENIED else FAILED
        return None

    def _take(self) -> tuple[Sample, ...]:
        return tuple(
            sampled(counter.folder / "energy_uj", self._read_text, self._clock)
            for counter in self._survey.counters
        )


def open_rapl(spec: Mapping[str, Any]) -> RaplMeter:
    """Open the meter that `RaplMeter.spec` described."""
    return RaplMeter(Path(spec["root"]))


def sampled(file: Path, read_text: ReadText, clock: Callable[[], int]) -> Sample:
    """Read one counter file in microjoules, or say why it could not be read."""
    try:
        text = read_text(file)
        return Sample(clock(), int(text))
    except OSError as error:
        return Sample(clock(), None, _why(error, file.name))
    except ValueError:
        return Sample(clock(), None, f"{file.name} holds no number")


def survey(root: Path, read_text: ReadText = read_text, ceiling_watts: int = CEILING_WATTS) -> RaplSurvey:
    """Walk a powercap tree; folders that are the same by link or by name count once."""
    counters: list[RaplCounter] = []
    left_out: list[tuple[str, str]] = []
    seen: dict[str, str] = {}
    broken = 0
    for folder in _folders(root):
        name = _zone_name(folder, read_text)
        if name is None:
            broken += 1
        elif name in seen:
            left_out.append((f"{name} ({folder.name})", f"the same zone as {seen[name]}"))
        else:
            seen[name] = folder.name
            scope, why = _place(name)
            if scope is None:
                left_out.append((name, why))
            else:
                counters.append(_counter(folder, name, scope, read_text, ceiling_watts))
    return RaplSurvey(tuple(counters), tuple(left_out), broken)


def quantum_uj(range_uj: int | None) -> float:
    """Return the counter's unit in microjoules: its range over 2^32, or the coarser usual one if unknown."""
    return QUANTUM_UJ if range_uj is None else range_uj / 2**COUNTER_BITS


def _folders(root: Path) -> Iterator[Path]:
    """Yield zone folders once each, parents first, `intel-rapl:` before `intel-rapl-mmio:`.

    The kernel lists every zone flat, as links into a nested tree; some copies of it have the nesting only.
    """
    found: dict[Path, Path] = {}
    for above in ("", "intel-rapl*/", "intel-rapl*/intel-rapl*/"):
        for folder in root.glob(f"{above}intel-rapl*:*"):
            found.setdefault(folder.resolve(), folder)
    yield from sorted(found.values(), key=_order)


def _order(folder: Path) -> tuple[str, tuple[int, ...]]:
    """Sort by driver, then by numbers, so that the tenth socket follows the ninth."""
    driver, *numbers = folder.name.split(":")
    return driver.replace("intel-rapl", "", 1), tuple(int(number) for number in numbers if number.isdigit())


def _zone_name(folder: Path, read_text: ReadText) -> str | None:
    """Return the zone's name with its parent's before it, `package-0/dram`; None if it cannot be read."""
    try:
        own = read_text(folder / "name").strip()
        driver, *numbers = folder.name.split(":")
        if len(numbers) < 2:  # noqa: PLR2004 -- driver:package:zone
            return own
        parent = f"{driver}:{numbers[0]}"
        above = folder.parent if folder.parent.name == parent else folder.parent / parent
        return f"{read_text(above / 'name').strip()}/{own}"
    except OSError:
        return None


def _place(name: str) -> tuple[Scope | None, str]:
    """Return the scope of a zone that may be summed, or None and the reason why it may not."""
    own = name.rpartition("/")[2]
    if own == name and own.startswith("package-"):
        return "package", ""
    if own == "dram":
        return "dram", ""
    if own in ("core", "uncore"):
        return None, "lies inside its package"
    if own == "psys":
        return None, "contains the packages"
    return None, "what it covers is unknown"


def _counter(folder: Path, name: str, scope: Scope, read_text: ReadText, ceiling_watts: int) -> RaplCounter:
    range_uj: int | None = None
    try:
        range_uj = int(read_text(folder / "max_energy_range_uj")) or None
    except (OSError, ValueError):
        range_uj = None  # then no wrap is ever corrected
    traits = CounterTraits("RAPL powercap", UPDATE_NS, quantum_uj(range_uj), ceiling_watts)
    return RaplCounter(Zone(name, scope, range_uj), folder, traits)


def _facts(counter: RaplCounter) -> dict[str, Any]:
    zone = counter.zone
    return {
        "zone": zone.name,
        "scope": zone.scope,
        "range_uj": zone.range_uj,
        "quantum_uj": round(counter.traits.quantum_uj, 3),
        "longest_window_s": zone.range_uj and round(longest_window_s(zone.range_uj, counter.traits), 1),
    }


def _why(error: OSError, file: str) -> str:
    """Say what went wrong with a counter file, without its path."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"permission denied on {file}"
    if error.errno in (errno.ENOENT, errno.ENODEV):
        return "the zone is gone"
    return f"{file} could not be read ({error.strerror or 'unknown error'})"

"""Readings that were recorded are played back: for tests, and to look into what a machine far away has seen.

    {"meter": "rapl", "zones": [{"zone": "package-0", "scope": "package", "range_uj": 262143328850, ...}]}
    {"window": 0, "at_ns": 1000, "zone": "package-0", "microjoules": 5000000}
    {"window": 0, "at_ns": 2000, "zone": "package-0", "microjoules": 7000000}

One JSON object a line: what was read, then every sample as it was read, before any wrap was put right. Each
window that is opened gets the next one of the recording, whatever the time. The energy was used by another
run, so it is never called measured.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from harness.common.errors import UsageError
from harness.measurement.energy.counters.counter import CounterTraits, Sample, reading, unavailable
from harness.measurement.energy.counters.sampler import Sampler
from harness.measurement.energy.cpu.rapl import CEILING_WATTS, QUANTUM_UJ, UPDATE_NS
from harness.measurement.energy.meter import Meter
from harness.records.reading import Grade, Reading, Zone

RECORD = "Record one with harness.measurement.energy.external.replay.Recorder: see docs/meters.md."
PLAIN = CounterTraits("counters of unknown origin", UPDATE_NS, QUANTUM_UJ, CEILING_WATTS)

Window = dict[str, list[Sample]]
"""Samples of each zone, in order."""


class CountingMeter(Meter, Protocol):
    """A meter of cumulative counters, which can be recorded."""

    def traits(self) -> Sequence[CounterTraits]:
        """Return what is known of each zone's counter."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What a file holds: the meter, its zones with what is known of them, and the windows."""

    meter: str
    zones: tuple[tuple[Zone, CounterTraits], ...]
    windows: tuple[Window, ...]


class ReplayMeter:
    """Plays back a recording. `file` is one of JSON lines."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._next = 0
        self._obstacle: tuple[str, str] | None = None
        self._recording = Recording("nothing", (), ())
        try:
            self._recording = read_recording(file)
        except UsageError as error:
            self._obstacle = (error.message, error.remedy or RECORD)

    @property
    def name(self) -> str:
        """Its name in the table of meters."""
        return "replay"

    @property
    def grade(self) -> Grade:
        """The best grade its readings can have: another run used this energy."""
        return "modelled"

    def zones(self) -> tuple[Zone, ...]:
        """Return the zones of the recording."""
        return tuple(zone for zone, _ in self._recording.zones)

    def start(self) -> Window | None:
        """Take the next window of the recording, or none if it has ended."""
        at, self._next = self._next, self._next + 1
        return self._recording.windows[at] if at < len(self._recording.windows) else None

    def read(self, mark: Window | None) -> tuple[Reading, ...]:
        """Return what the window held."""
        return tuple(self._reading(zone, traits, mark) for zone, traits in self._recording.zones)

    def describe(self) -> dict[str, Any]:
        """Return what was recorded; the file's name is the user's own."""
        return {
            "source": f"replay of {self._recording.meter}",
            "file": self._file.name,
            "windows": len(self._recording.windows),
            "means": "another run used this energy",
        }

    def spec(self) -> dict[str, Any]:
        """Return what opens this meter again in another process, from its first window."""
        return {"meter": "replay", "file": str(self._file.resolve())}

    def obstacle(self) -> tuple[str, str] | None:
        """Return why it cannot be used here and what would allow it, or None."""
        return self._obstacle

    def _reading(self, zone: Zone, traits: CounterTraits, window: Window | None) -> Reading:
        source = f"replay of {traits.source}"
        samples = (window or {}).get(zone.name, [])
        if len(samples) < 2:  # noqa: PLR2004 -- a window has two edges
            return unavailable(
                zone, source, 0, "the recording has ended" if window is None else "not recorded"
            )
        found = reading(zone, samples[0], samples[-1], traits, samples[1:-1])
        return replace(found, source=source, grade="modelled" if found.grade == "measured" else found.grade)


def open_replay(spec: Mapping[str, Any]) -> ReplayMeter:
    """Open the meter that `ReplayMeter.spec` described."""
    return ReplayMeter(Path(spec["file"]))


class Recorder:
    """Reads with a meter of counters, and appends every sample of each window to a file."""

    def __init__(self, meter: CountingMeter, file: Path) -> None:
        self._meter, self._file, self._window = meter, file, 0
        zones = [
            {"zone": zone.name, "scope": zone.scope, "range_uj": zone.range_uj, **asdict(traits)}
            for zone, traits in zip(meter.zones(), meter.traits(), strict=True)
        ]
        file.write_text(json.dumps({"meter": meter.name, "zones": zones}) + "\n", encoding="utf-8")

    def start(self) -> Sampler[tuple[Sample, ...]]:
        """Read the first edge."""
        mark: Sampler[tuple[Sample, ...]] = self._meter.start()
        return mark

    def read(self, mark: Sampler[tuple[Sample, ...]]) -> tuple[Reading, ...]:
        """Read the second edge, and write the window down."""
        found = self._meter.read(mark)
        names = [zone.name for zone in self._meter.zones()]
        lines = [
            {"window": self._window, "zone": name, **asdict(sample)}
            for row in mark.rows
            for name, sample in zip(names, row, strict=True)
        ]
        with self._file.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
        self._window += 1
        return found


def read_recording(file: Path) -> Recording:
    """Return what a file holds; UsageError naming the line that is not of the form.

    Without a first line about the zones, each is taken for a package; without `window`, two samples of a zone
    make one.
    """
    meter, zones, windows = "counters", dict[str, tuple[Zone, CounterTraits]](), dict[int, Window]()
    seen: dict[str, int] = {}
    for number, line in _lines(file):
        try:
            if "zones" in line:
                meter, zones = str(line.get("meter", meter)), dict(_zones(line["zones"]))
                continue
            name = str(line["zone"])
            zones.setdefault(name, (Zone(name, "package"), PLAIN))
            at = int(line.get("window", seen.get(name, 0) // 2))
            seen[name] = seen.get(name, 0) + 1
            windows.setdefault(at, {}).setdefault(name, []).append(_sample(line))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(
                f"{file.name}, line {number}: it is no sample ({error}).", remedy=RECORD
            ) from None
    if not windows:
        raise UsageError(f"{file.name} holds no sample.", remedy=RECORD)
    return Recording(meter, tuple(zones.values()), tuple(windows[at] for at in sorted(windows)))


def _lines(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise UsageError(f"{file.name} cannot be read.", remedy="Name a file of JSON lines.") from None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except ValueError:
            raise UsageError(f"{file.name}, line {number}: it is no JSON.", remedy=RECORD) from None
        if not isinstance(found, dict):
            raise UsageError(f"{file.name}, line {number}: it is no JSON object.", remedy=RECORD)
        yield number, found


def _zones(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, tuple[Zone, CounterTraits]]]:
    for row in rows:
        zone = Zone(str(row["zone"]), row.get("scope", "package"), row.get("range_uj"))
        known = {name: row.get(name, value) for name, value in asdict(PLAIN).items()}
        yield zone.name, (zone, CounterTraits(**known))


def _sample(line: Mapping[str, Any]) -> Sample:
    value = line["microjoules"]
    reason = line.get("reason") or (None if value is not None else "it could not be read")
    return Sample(int(line["at_ns"]), None if value is None else int(value), reason)

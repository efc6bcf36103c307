"""A meter that replays recorded samples: for tests, and to examine the counters of another machine.

    {"meter": "rapl", "zones": [{"zone": "package-0", "scope": "package", "range_uj": 262143328850, ...}]}
    {"window": 0, "at_ns": 1000, "zone": "package-0", "microjoules": 5000000}
    {"window": 0, "at_ns": 2000, "zone": "package-0", "microjoules": 7000000}

One JSON object per line: first the zones, then every sample as it was read, before wrap-arounds are
corrected. Each window that is opened gets the next window of the recording, whatever the time. Another run
used this energy, so it is never called measured.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

from harness.common.errors import UsageError
from harness.common.inputs.files import JOURNAL, InvalidText, decode_text, read_input
from harness.common.inputs.json_text import parse_json_object
from harness.common.json_types import JsonObject
from harness.measurement.energy.counters.counter import CounterTraits, Sample, reading, unavailable
from harness.measurement.energy.counters.meter import Samples
from harness.measurement.energy.counters.sampler import Sampler
from harness.measurement.energy.cpu.rapl import CEILING_WATTS, QUANTUM_UJ, UPDATE_NS
from harness.measurement.energy.meter import Meter, MeterSpec
from harness.records.reading import Grade, Reading, Zone

RECORD = "Record one with harness.measurement.energy.external.replay.Recorder: see docs/reference/meters.md."
DEFAULT_TRAITS = CounterTraits("counters of unknown origin", UPDATE_NS, QUANTUM_UJ, CEILING_WATTS)

Window = dict[str, list[Sample]]
"""The samples of each zone, in the order of time."""


class RecordableMeter(Meter, Protocol):
    """A meter of cumulative counters, which can be recorded."""

    def traits(self) -> Sequence[CounterTraits]:
        """Return the properties of each zone's counter."""


@dataclass(frozen=True, slots=True)
class Recording:
    """The contents of a file: the meter's name, its zones with their counters' properties, its windows."""

    meter: str
    zones: tuple[tuple[Zone, CounterTraits], ...]
    windows: tuple[Window, ...]


class ReplayMeter:
    """Replays a recording; `file` holds JSON lines."""

    name = "replay"
    grade: Grade = "modelled"

    def __init__(self, file: Path) -> None:
        self._file = file
        self._next = 0
        self._obstacle: tuple[str, str] | None = None
        self._recording = Recording("nothing", (), ())
        try:
            self._recording = read_recording(file)
        except UsageError as error:
            self._obstacle = (error.message.removesuffix("."), error.remedy or RECORD)

    def zones(self) -> tuple[Zone, ...]:
        """Return the zones of the recording."""
        return tuple(zone for zone, _ in self._recording.zones)

    def start(self) -> Window | None:
        """Return the next window of the recording, or None at its end."""
        index, self._next = self._next, self._next + 1
        return self._recording.windows[index] if index < len(self._recording.windows) else None

    def read(self, mark: Window | None) -> tuple[Reading, ...]:
        """Return the readings of the window."""
        return tuple(self._reading(zone, traits, mark) for zone, traits in self._recording.zones)

    def describe(self) -> JsonObject:
        """Return the recorded meter, the base name of the file, and the number of windows."""
        return {
            "source": f"replay of {self._recording.meter}",
            "file": self._file.name,
            "windows": len(self._recording.windows),
            "means": "another run used this energy",
        }

    def spec(self) -> JsonObject:
        """Return the arguments that open this meter in another process, at its first window."""
        return {"meter": "replay", "file": str(self._file.resolve())}

    def obstacle(self) -> tuple[str, str] | None:
        """Return why the meter cannot be used here, and the remedy, or None."""
        return self._obstacle

    def _reading(self, zone: Zone, traits: CounterTraits, window: Window | None) -> Reading:
        source = f"replay of {traits.source}"
        samples = (window or {}).get(zone.name, [])
        if len(samples) < 2:  # noqa: PLR2004 -- a window has two edges
            reason = (
                "the recording has ended" if window is None else "the zone was not recorded in this window"
            )
            return unavailable(zone, source, 0, reason)
        recorded = reading(zone, samples[0], samples[-1], traits, samples[1:-1])
        return replace(
            recorded, source=source, grade="modelled" if recorded.grade == "measured" else recorded.grade
        )


def open_replay(spec: MeterSpec) -> ReplayMeter:
    """Open the meter that `ReplayMeter.spec` described."""
    return ReplayMeter(Path(spec["file"]))


class Recorder:
    """Reads a meter of counters, and appends every sample of each window to a file."""

    def __init__(self, meter: RecordableMeter, file: Path) -> None:
        self._meter, self._file, self._window = meter, file, 0
        zones = [
            {"zone": zone.name, "scope": zone.scope, "range_uj": zone.range_uj, **asdict(traits)}
            for zone, traits in zip(meter.zones(), meter.traits(), strict=True)
        ]
        file.write_text(json.dumps({"meter": meter.name, "zones": zones}) + "\n", encoding="utf-8")

    def start(self) -> Sampler[Samples]:
        """Read the first edge."""
        mark: Sampler[Samples] = self._meter.start()
        return mark

    def read(self, mark: Sampler[Samples]) -> tuple[Reading, ...]:
        """Read the second edge, and write the samples of the window."""
        readings = self._meter.read(mark)
        names = [zone.name for zone in self._meter.zones()]
        lines = [
            {"window": self._window, "zone": name, **asdict(sample)}
            for samples in mark.samples
            for name, sample in zip(names, samples, strict=True)
        ]
        with self._file.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
        self._window += 1
        return readings


def read_recording(file: Path) -> Recording:
    """Return the recording in a file; UsageError with the number of a malformed line.

    Without a first line about the zones, each zone is taken for a package. Without `window`, two samples of a
    zone make a window.
    """
    meter, zones, windows = "counters", dict[str, tuple[Zone, CounterTraits]](), dict[int, Window]()
    samples_read: dict[str, int] = {}
    for number, line in _lines(file):
        try:
            if "zones" in line:
                meter, zones = str(line.get("meter", meter)), dict(_zones(line["zones"]))
                continue
            name = str(line["zone"])
            zones.setdefault(name, (Zone(name, "package"), DEFAULT_TRAITS))
            window = int(line.get("window", samples_read.get(name, 0) // 2))
            samples_read[name] = samples_read.get(name, 0) + 1
            windows.setdefault(window, {}).setdefault(name, []).append(_sample(line))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = f"without {error}" if isinstance(error, KeyError) else error
            raise UsageError(f"{file.name}, line {number}: not a sample ({reason}).", remedy=RECORD) from None
    if not windows:
        raise UsageError(f"{file.name} has no sample.", remedy=RECORD)
    return Recording(meter, tuple(zones.values()), tuple(windows[window] for window in sorted(windows)))


def _lines(file: Path) -> Iterator[tuple[int, JsonObject]]:
    try:
        text = decode_text(read_input(file, JOURNAL, UsageError))
    except (UsageError, InvalidText) as problem:
        reason = problem.message.removesuffix(".") if isinstance(problem, UsageError) else problem
        remedy = "Name a file of JSON lines."
        raise UsageError(f"{file.name} cannot be read: {reason}.", remedy=remedy) from None
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield number, parse_json_object(line)
        except InvalidText as problem:
            raise UsageError(f"{file.name}, line {number}: {problem}.", remedy=RECORD) from None


def _zones(rows: Sequence[JsonObject]) -> Iterator[tuple[str, tuple[Zone, CounterTraits]]]:
    for row in rows:
        zone = Zone(str(row["zone"]), row.get("scope", "package"), row.get("range_uj"))
        traits = {name: row.get(name, default) for name, default in asdict(DEFAULT_TRAITS).items()}
        yield zone.name, (zone, CounterTraits(**traits))


def _sample(line: JsonObject) -> Sample:
    value = line["microjoules"]
    reason = line.get("reason") or (None if value is not None else "it could not be read")
    return Sample(int(line["at_ns"]), None if value is None else int(value), reason)

"""What all meters of cumulative counters share: one sample per zone at both edges of a window.

start() --> Sampler: (sample, sample, ...) ... (sample, sample, ...) --read--> one reading per zone
"""

import errno
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.common.json_types import JsonObject
from harness.measurement.energy.counters.counter import CounterTraits, Sample, reading, sampling_interval_s
from harness.measurement.energy.counters.sampler import Sampler
from harness.records.reading import Grade, Reading, Zone

Samples = tuple[Sample, ...]
"""One sample per zone, in the order of the zones."""

Clock = Callable[[], int]
"""Returns monotonic nanoseconds."""

ReadText = Callable[[Path], str]
"""Returns the text of a small file; OSError if it cannot be read."""

_COUNT = re.compile(r"[0-9]{1,20}")
"""Microjoules: 64 bits have 20 digits. Python's int would also accept signs, spaces and underscores."""


class CounterMeter:
    """A meter of cumulative counters; a subclass sets `name`, and implements `traits` and `_take`.

    It sets `_zones` on construction, and `_every_s` if its counters must be sampled within a window.
    """

    name: str
    grade: Grade = "measured"
    _zones: tuple[Zone, ...] = ()
    _every_s: float | None = None

    def zones(self) -> tuple[Zone, ...]:
        """Return the zones that are read, without duplicates; their sum is meaningful."""
        return self._zones

    def traits(self) -> tuple[CounterTraits, ...]:
        """Return the properties of each zone's counter."""
        raise NotImplementedError

    def start(self) -> Sampler[Samples]:
        """Sample all zones at the first edge of a window."""
        return Sampler(self._take, self._every_s)

    def read(self, mark: Sampler[Samples]) -> tuple[Reading, ...]:
        """Sample all zones at the second edge, and return the energy of each."""
        samples_by_zone = zip(*mark.end(), strict=True)
        return tuple(
            reading(zone, samples[0], samples[-1], traits, samples[1:-1], mark.observer_ns)
            for zone, traits, samples in zip(self.zones(), self.traits(), samples_by_zone, strict=True)
        )

    def describe(self) -> JsonObject:
        """Return the facts for the record."""
        raise NotImplementedError

    def spec(self) -> JsonObject:
        """Return the arguments that open this meter in another process."""
        raise NotImplementedError

    def obstacle(self) -> tuple[str, str] | None:
        """Return why the meter cannot be used here, and the remedy, or None."""
        raise NotImplementedError

    def sample(self) -> Samples:
        """Return a sample of each zone now."""
        return self._take()

    def unreadable(self) -> dict[str, str]:
        """Return why zones cannot be read now, by name; empty if all can."""
        samples = zip(self.zones(), self._take(), strict=True)
        return {zone.name: sample.reason for zone, sample in samples if sample.reason}

    def without(self, reasons: Mapping[str, str]) -> "CounterMeter | None":
        """Return this meter without the counters of some zones, with why; None if it has no such form.

        A zone that another interface shows as well is then read there.
        """
        del reasons
        return None

    def _take(self) -> Samples:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class FileCounter:
    """A zone, and the file that shows its counter in microjoules."""

    zone: Zone
    file: Path
    traits: CounterTraits

    @property
    def key(self) -> str:
        """The file, and the folder that names its device: `intel-rapl:0/energy_uj`."""
        return f"{self.file.parent.name}/{self.file.name}"


class FileCounterMeter(CounterMeter):
    """A meter of counters that the kernel shows as files.

    Files are opened for each read, about 10 microseconds each, so that a zone that disappears is noticed.
    `excluded` holds the keys of files that must not be read, with why; the counters are without them.
    """

    def __init__(
        self,
        counters: Sequence[FileCounter],
        left_out: Sequence[tuple[str, str]],
        clock: Clock,
        read_text: ReadText,
        excluded: Mapping[str, str] | None = None,
    ) -> None:
        self._counters, self._left_out = counters, left_out
        self._excluded = dict(excluded or {})
        self._clock, self._read_text = clock, read_text
        self._zones = tuple(counter.zone for counter in counters)
        self._every_s = sampling_interval_s((counter.zone.range_uj, counter.traits) for counter in counters)

    def traits(self) -> tuple[CounterTraits, ...]:
        """Return the properties of each zone's counter."""
        return tuple(counter.traits for counter in self._counters)

    def _keys_of(self, reasons: Mapping[str, str]) -> dict[str, str]:
        """Return what is excluded, with the files of some more zones."""
        keys = {counter.key: counter.zone.name for counter in self._counters}
        more = {key: reasons[name] for key, name in keys.items() if name in reasons}
        return {**self._excluded, **more}

    def _take(self) -> Samples:
        return tuple(sample_file(counter.file, self._read_text, self._clock) for counter in self._counters)


def read_text(path: Path) -> str:
    """Return the text of a small kernel file, with one open, one read and one close."""
    handle = os.open(path, os.O_RDONLY)
    try:
        return os.read(handle, 64).decode("ascii")
    finally:
        os.close(handle)


def sample_file(file: Path, read_text: ReadText, clock: Clock) -> Sample:
    """Return a sample of a file that holds microjoules, with the reason if it cannot be read."""
    try:
        count = _COUNT.fullmatch(read_text(file).strip())
    except OSError as error:
        return Sample(clock(), None, _reason(error, file.name))
    except UnicodeDecodeError:
        count = None
    if count is None:
        return Sample(clock(), None, f"{file.name} does not hold a number")
    return Sample(clock(), int(count[0]))


def denied(file: str) -> str:
    """Return the reason for a file that this user may not read."""
    return f"permission denied on {file}"


def _reason(error: OSError, file: str) -> str:
    """Return why a counter's file cannot be read, without its path."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return denied(file)
    if error.errno in (errno.ENOENT, errno.ENODEV):
        return "the zone has disappeared"
    return f"{file} could not be read ({error.strerror or 'unknown error'})"

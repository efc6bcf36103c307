"""A meter of the user's own: a wall socket, a board controller, whatever writes time and joules or watts.

    file that grows, or command that prints ---> rows ---> the part of them under the window

The instrument has the machine's wall clock and its own pace. A window is cut out of its rows by the wall
clock; where the rows do not reach over both edges there is no reading. What stands between two rows is taken
from the line between them, and the resolution says how far apart the rows are.
"""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.measurement.energy.counters.counter import unavailable
from harness.measurement.energy.counters.sampler import Sampler
from harness.measurement.energy.external.rows import MalformedRows, Rows, joined, measured, pace_ns, parse
from harness.records.reading import Grade, Reading, Zone

PATIENCE_S = 10.0
"""How long a command may take, and how long a row after the window is waited for."""

WAIT_S = 0.1
"""Between two looks for a row after the window."""

STALE_S = 60.0
"""Rows that end longer ago than this have nobody who writes them."""

EVERY_S = 1.0
"""Between two starts of a command that shows watts; one that shows joules is asked at the edges alone."""

TAIL_BYTES = 4_000_000
"""What is read of a long file: its end."""

DRIFT_NS = 20_000_000
"""The wall clock and the monotonic one may part by so much in a window; more means that a clock was set."""

FORM = "Rows need `time` (seconds since the epoch) and `joules` or `watts`: see docs/meters.md."
RUNNING = "Start what writes the file before the run, and keep it running."
_NAMED = re.compile(r"([\w.-]+)=(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class RowSource:
    """Where rows come from: the user's name for it, and a file or the words of a command."""

    name: str
    file: Path | None
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OpenWindow:
    """An open window: its first edge on both clocks in nanoseconds, and what a command has printed so far."""

    wall_ns: int
    monotonic_ns: int
    seen: Sampler["Rows | str"] | None


class ExternalMeter:
    """Reads what an instrument wrote.

    `argument` is a file, or else a command as a shell would split it; `NAME=` before it says what it is.
    `wall` returns nanoseconds since the epoch, `clock` monotonic nanoseconds, `sleep` waits for seconds.
    """

    def __init__(
        self,
        argument: str,
        clock: Callable[[], int] = time.monotonic_ns,
        *,
        wall: Callable[[], int] = time.time_ns,
        sleep: Callable[[float], None] = time.sleep,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._argument, self._source = argument, source_of(argument)
        self._clock, self._wall, self._sleep, self._patience_s = clock, wall, sleep, patience_s
        self._zone = Zone(self._source.name, "system")
        self._first: Rows | str | None = None

    @property
    def name(self) -> str:
        """Its name in the table of meters."""
        return "external"

    @property
    def grade(self) -> Grade:
        """The best grade its readings can have."""
        return "measured"

    def zones(self) -> tuple[Zone, ...]:
        """Return its only zone, named by the user."""
        return (self._zone,)

    def start(self) -> OpenWindow:
        """Begin a window once a row was asked for; a command that shows watts is asked again every second."""
        if self._source.file:
            return OpenWindow(self._wall(), self._clock(), None)
        watts = isinstance(found := self._known(), Rows) and found.kind == "watts"
        track = Sampler(self._printed, EVERY_S if watts else None)
        return OpenWindow(self._wall(), self._clock(), track)

    def read(self, mark: OpenWindow) -> tuple[Reading, ...]:
        """End the window, then look for the rows around it."""
        end, span_ns = self._wall(), self._clock() - mark.monotonic_ns
        source, spent = f"external: {self._source.name}", mark.seen.observer_ns if mark.seen else 0
        if abs(end - mark.wall_ns - span_ns) > DRIFT_NS:
            return (unavailable(self._zone, source, span_ns, "the wall clock was set within the window"),)
        found = self._rows_until(end, mark.seen)
        cut = found if isinstance(found, str) else measured(found, mark.wall_ns, end)
        if isinstance(cut, str):
            return (unavailable(self._zone, source, span_ns, cut),)
        return (
            Reading(
                zone=self._zone.name,
                grade="measured",
                scope=self._zone.scope,
                source=source,
                microjoules=cut.microjoules,
                span_ns=span_ns,
                resolution_uj=cut.resolution_uj,
                samples=cut.samples,
                observer_ns=spent,
            ),
        )

    def describe(self) -> dict[str, Any]:
        """Return the user's name for it, what it shows and how often."""
        rows = self._known()
        gap_ns = pace_ns(rows.points) if isinstance(rows, Rows) else None
        return {
            "source": f"external: {self._source.name}",
            "reads": "a file" if self._source.file else "a command",
            "shows": rows.kind if isinstance(rows, Rows) else "unknown",
            "update_period_ns": gap_ns or round(EVERY_S * 1e9),
            "clock": "the wall clock of this machine",
        }

    def spec(self) -> dict[str, Any]:
        """Return what opens this meter again in another process; a file's path is made absolute."""
        file, words = self._source.file, shlex.join(self._source.words)
        return {"meter": "external", "argument": f"{self._source.name}={file.resolve() if file else words}"}

    def obstacle(self) -> tuple[str, str] | None:
        """Return why it cannot be used here and what would allow it, or None."""
        if not self._source.file and not self._source.words:
            return f"{self._argument!r} cannot be split into words", "Quote it as a shell would."
        if not self._source.file and not shutil.which(self._source.words[0]):
            return f"{self._source.words[0]} is neither a file nor a program", "Check its path."
        rows = self._first = self._rows()
        if isinstance(rows, str):
            return f"{self._source.name}: {rows}", FORM
        late_s = (self._wall() - rows.points[-1][0]) / 1e9
        if late_s > STALE_S:
            return f"{self._source.name}: its last row is {late_s:,.0f} s old", RUNNING
        return None

    def _known(self) -> "Rows | str":
        if self._first is None:
            self._first = self._rows()
        return self._first

    def _rows(self) -> "Rows | str":
        return self._written() if self._source.file else self._printed()

    def _rows_until(self, end_ns: int, seen: Sampler["Rows | str"] | None) -> "Rows | str":
        """Return the rows once they reach over a time, or as they are when patience ends."""
        waited = 0.0
        while True:
            rows = joined(seen.end()) if seen else self._written()
            if isinstance(rows, str) or rows.points[-1][0] >= end_ns or waited >= self._patience_s:
                return rows
            self._sleep(WAIT_S)
            waited += WAIT_S

    def _written(self) -> "Rows | str":
        file = self._source.file
        try:
            return parse(_tail(file)) if file else "it is no file"
        except OSError as error:
            return f"it cannot be read ({error.strerror})"
        except (MalformedRows, UnicodeDecodeError) as error:
            return str(error)

    def _printed(self) -> "Rows | str":
        try:
            return parse(output(self._source.words, self._patience_s))
        except (MalformedRows, UnicodeDecodeError) as error:
            return str(error)


def open_external(spec: Mapping[str, Any]) -> ExternalMeter:
    """Open the meter that `ExternalMeter.spec` described."""
    return ExternalMeter(spec["argument"])


def source_of(argument: str) -> RowSource:
    """Return what an argument names: `wall=readings.csv`, `readings.csv`, or `bmc=program with words`."""
    named = None if Path(argument).is_file() else _NAMED.fullmatch(argument)
    name, rest = (named[1], named[2]) if named else ("", argument)
    if Path(rest).is_file():
        return RowSource(name or Path(rest).name, Path(rest), ())
    try:
        words = tuple(shlex.split(rest))
    except ValueError:
        words = ()
    return RowSource(name or (Path(words[0]).name if words else "external"), None, words)


def output(words: tuple[str, ...], patience_s: float) -> str:
    """Run a command without a shell, in a process group of its own, and return what it printed.

    Unreadable if it cannot start, fails, or takes longer than it may; then all of its group is ended.
    """
    name = Path(words[0]).name
    try:
        process = subprocess.Popen(  # noqa: S603 -- the user named it, and no shell reads it
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise MalformedRows(f"{name} cannot be started ({error.strerror})") from None
    with process:
        try:
            printed, _ = process.communicate(timeout=patience_s)
        except subprocess.TimeoutExpired:
            raise MalformedRows(f"{name} did not end within {patience_s:g} s") from None
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        raise MalformedRows(f"{name} ended with exit code {process.returncode}")
    return printed.decode("utf-8") + "\n"


def _tail(file: Path) -> str:
    """Return the end of a file, with its heading where that was cut off."""
    with file.open("rb") as handle:
        size = handle.seek(0, os.SEEK_END)
        handle.seek(0)
        if size <= TAIL_BYTES:
            return handle.read().decode("utf-8")
        heading = handle.readline()
        handle.seek(size - TAIL_BYTES)
        handle.readline()
        return (heading + handle.read()).decode("utf-8")

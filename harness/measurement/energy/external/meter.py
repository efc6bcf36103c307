"""A meter of the user's own: an instrument that writes time with joules or watts.

    file that grows, or command that prints ---> rows ---> the part of them within the window

The instrument has the machine's wall clock and its own interval. The rows of a window are selected by the
wall clock; if they do not reach across both edges, there is no reading. Values between two rows are
interpolated, and the resolution states how far the rows are apart.
"""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.common.json_types import JsonObject
from harness.measurement.energy.counters.counter import available, unavailable
from harness.measurement.energy.counters.sampler import Sampler
from harness.measurement.energy.external.rows import (
    RUNNING,
    MalformedRows,
    Rows,
    decoded,
    joined,
    parse,
)
from harness.measurement.energy.external.window import WindowEnergy, measured, nearest, news_ns, pace_ns
from harness.measurement.energy.meter import MeterSpec
from harness.records.reading import Grade, Reading, Zone

PATIENCE_S = 10.0
"""The longest time that a command may take, and that the meter waits for a row after the window."""

WAIT_S = 0.1
"""The polling interval while waiting for a row after the window."""

STALE_S = 60.0
"""If the last row is older than this, nothing writes rows any more."""

EVERY_S = 1.0
"""The interval between two runs of a command that prints watts; for joules it runs at the edges only."""

TAIL_BYTES = 4_000_000
"""The part of a long file that is read: its end."""

DRIFT_NS = 20_000_000
"""The wall clock was set if it differs by more than this from the monotonic clock within a window."""

CLOCKS = "Set the clock of the instrument by this machine's, or both by one time server (NTP)."
BY_ITSELF = "Run the command by itself: it must print rows, and end within 10 s."
_NAMED = re.compile(r"([\w.-]+)=(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class RowSource:
    """Where rows come from: its name in the record, and a file or the arguments of a command."""

    name: str
    file: Path | None
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OpenWindow:
    """An open window: its first edge on both clocks in nanoseconds, and the output of a command so far."""

    wall_ns: int
    monotonic_ns: int
    sampler: Sampler["Rows | str"] | None


class ExternalMeter:
    """Reads the rows of an instrument.

    `argument` is a file, or else a command, split as a shell would; `NAME=` before it sets the name in the
    record. `wall` returns nanoseconds since the epoch, `clock` monotonic nanoseconds, `sleep` waits for
    seconds.
    """

    name = "external"
    grade: Grade = "measured"

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

    def zones(self) -> tuple[Zone, ...]:
        """Return its only zone, which has the user's name."""
        return (self._zone,)

    def start(self) -> OpenWindow:
        """Begin a window; a command that prints watts is run again every second."""
        if self._source.file:
            return OpenWindow(self._wall(), self._clock(), None)
        watts = isinstance(rows := self._first_rows(), Rows) and rows.kind == "watts"
        sampler = Sampler(self._read_rows, EVERY_S if watts else None)
        return OpenWindow(self._wall(), self._clock(), sampler)

    def read(self, mark: OpenWindow) -> tuple[Reading, ...]:
        """End the window, then find the rows around it."""
        end, span_ns = self._wall(), self._clock() - mark.monotonic_ns
        source = f"external: {self._source.name}"
        if abs(end - mark.wall_ns - span_ns) > DRIFT_NS:
            return (unavailable(self._zone, source, span_ns, "the wall clock was set within the window"),)
        rows, behind_ns = self._rows_until(end, mark.sampler)
        energy = (
            rows if isinstance(rows, str) else self._ahead(rows) or self._energy(mark, end, rows, behind_ns)
        )
        if isinstance(energy, str):
            return (unavailable(self._zone, source, span_ns, energy),)
        values = (energy.microjoules, energy.resolution_uj, energy.samples)
        observer_ns = mark.sampler.observer_ns if mark.sampler else 0
        return (available(self._zone, source, span_ns, *values, observer_ns),)

    def describe(self) -> JsonObject:
        """Return the name of the source, the kind of its rows, and their interval."""
        rows = self._first_rows()
        interval_ns = news_ns(rows) if isinstance(rows, Rows) else None
        return {
            "source": f"external: {self._source.name}",
            "reads": "a file" if self._source.file else "a command",
            "shows": rows.kind if isinstance(rows, Rows) else "unknown",
            "update_period_ns": interval_ns or round(EVERY_S * 1e9),
            "clock": "the wall clock of this machine",
        }

    def spec(self) -> JsonObject:
        """Return the arguments that open this meter in another process; a file's path becomes absolute."""
        file, command = self._source.file, shlex.join(self._source.command)
        return {"meter": "external", "argument": f"{self._source.name}={file.resolve() if file else command}"}

    def obstacle(self) -> tuple[str, str] | None:
        """Return why the meter cannot be used here, and the remedy, or None."""
        if not self._source.file and (obstacle := self._no_command()):
            return obstacle
        try:
            rows = self._first = self._load_rows()
        except MalformedRows as error:
            return f"{self._source.name}: {error}", error.remedy
        if ahead := self._ahead(rows):
            return f"{self._source.name}: {ahead}", CLOCKS
        age_s = (self._wall() - rows.points[-1][0]) / 1e9
        if age_s > STALE_S:
            return f"{self._source.name}: its last row is {age_s:,.0f} s old", RUNNING
        return None

    def _no_command(self) -> tuple[str, str] | None:
        """Return why the argument, which is not a file, is no command, and the remedy; or None."""
        if not self._source.command:
            return f"{self._argument!r} is not a command line that a shell could split", "Check its quotes."
        program = self._source.command[0]
        if Path(program).is_dir():
            return f"{program} is a folder", "Name a file or a program in it."
        return (
            None
            if shutil.which(program)
            else (f"{program} is neither a file nor a program", "Check its path.")
        )

    def _first_rows(self) -> "Rows | str":
        if self._first is None:
            self._first = self._read_rows()
        return self._first

    def _rows_until(self, end_ns: int, sampler: Sampler["Rows | str"] | None) -> tuple["Rows | str", int]:
        """Return the rows once they reach a time, or as they are after the time limit.

        Also by how much the last row of a file was older than that time at first, in nanoseconds.
        """
        waited, behind_ns = 0.0, 0
        while True:
            rows = joined(sampler.end()) if sampler else self._read_rows()
            if isinstance(rows, str) or rows.points[-1][0] >= end_ns or waited >= self._patience_s:
                return rows, behind_ns
            behind_ns = behind_ns or (0 if sampler else end_ns - rows.points[-1][0])
            self._sleep(WAIT_S)
            waited += WAIT_S

    def _energy(self, mark: OpenWindow, end_ns: int, rows: Rows, behind_ns: int) -> WindowEnergy | str:
        counts_at_edges = mark.sampler is not None and rows.kind == "joules"
        rows = nearest(rows, mark.wall_ns, end_ns) if counts_at_edges else rows
        return measured(rows, mark.wall_ns, end_ns, behind_ns)

    def _ahead(self, rows: Rows) -> str | None:
        """Return why the rows cannot be of this machine's time, or None.

        By the interval of the rows each edge is uncertain anyway.
        """
        ahead_ns = rows.points[-1][0] - self._wall()
        if ahead_ns <= max(DRIFT_NS, pace_ns(rows.points)):
            return None
        return f"its last row is {_seconds(ahead_ns)} s later than now: its clock runs ahead"

    def _read_rows(self) -> "Rows | str":
        try:
            return self._load_rows()
        except MalformedRows as error:
            return str(error)

    def _load_rows(self) -> Rows:
        """Return the rows of the file, or of one run of the command; MalformedRows if there are none."""
        if self._source.file is None:
            return parse(output(self._source.command, self._patience_s))
        try:
            return parse(decoded(_tail(self._source.file)))
        except OSError as error:
            denied = isinstance(error, PermissionError)
            remedy = "Allow this user to read it (chmod)." if denied else "Check its path, and its disk."
            raise MalformedRows(f"it cannot be read ({error.strerror})", remedy) from None


def open_external(spec: MeterSpec) -> ExternalMeter:
    """Open the meter that `ExternalMeter.spec` described."""
    return ExternalMeter(spec["argument"])


def source_of(argument: str) -> RowSource:
    """Return the source for `wall=readings.csv`, `readings.csv`, or `bmc=program with arguments`."""
    named = None if Path(argument).is_file() else _NAMED.fullmatch(argument)
    name, rest = (named[1], named[2]) if named else ("", argument)
    if Path(rest).is_file():
        return RowSource(name or Path(rest).name, Path(rest), ())
    try:
        command = tuple(shlex.split(rest))
    except ValueError:
        command = ()
    return RowSource(name or (Path(command[0]).name if command else "external"), None, command)


def output(command: tuple[str, ...], patience_s: float) -> str:
    """Run a command without a shell, in its own process group, and return its output.

    MalformedRows if it cannot start, fails, or takes too long; its whole process group is then killed.
    """
    name = Path(command[0]).name
    try:
        process = subprocess.Popen(  # noqa: S603 -- the user's command, without a shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise MalformedRows(f"{name} cannot be started ({error.strerror})", BY_ITSELF) from None
    with process:
        try:
            printed, _ = process.communicate(timeout=patience_s)
        except subprocess.TimeoutExpired:
            raise MalformedRows(f"{name} did not end within {patience_s:g} s", BY_ITSELF) from None
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        raise MalformedRows(f"{name} ended with exit code {process.returncode}", BY_ITSELF)
    return decoded(printed) + "\n"


def _seconds(nanoseconds: int) -> str:
    """Return seconds with three digits, or all digits before the point."""
    seconds = nanoseconds / 1e9
    return f"{seconds:,.0f}" if seconds >= 100 else f"{seconds:.3g}"  # noqa: PLR2004 -- three digits


def _tail(file: Path) -> bytes:
    """Return the end of a file; if that leaves out the heading, the heading comes first."""
    with file.open("rb") as handle:
        size = handle.seek(0, os.SEEK_END)
        handle.seek(0)
        if size <= TAIL_BYTES:
            return handle.read()
        heading = handle.readline()
        handle.seek(size - TAIL_BYTES)
        handle.readline()
        return heading + handle.read()
